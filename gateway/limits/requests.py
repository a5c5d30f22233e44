"""Requests per minute, as a bucket in memory: one a token, in each gateway process.

The arithmetic is that of the leaky bucket (ITU-T I.371, annex A): all that is kept of a token is how much of its minute
was used, in seconds, and when.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any

from gateway.errors import ANSWER_HEADERS, RateLimitExceeded
from gateway.limits.guesses import GuessLimits
from gateway.limits.tiers import Tiers
from gateway.limits.waits import SLACK_SECONDS, duration, whole_milliseconds
from gateway.tokens import Token

MAX_TOKENS = 100_000


class RequestLimits:
    """Admits requests, or refuses them with an honest `Retry-After`. `tiers` is what every other limit reads;
    `guesses` at class codes are admitted by themselves."""

    def __init__(self, tiers: Tiers) -> None:
        self.tiers = tiers
        self.guesses = GuessLimits()
        self._per_minute = {name: limit for name in tiers if (limit := tiers.of(name).requests_per_minute)}
        self._standard = self._per_minute.get("standard")
        self._known = frozenset(tiers)
        self._used: dict[str, tuple[float, float]] = {}

    def admit(self, token: Token, scope: MutableMapping[str, Any], now: float) -> None:
        """Counts a request at `now`, Unix seconds. The limit, what is left of it and when it will be whole again go on
        the answer. Raises RateLimitExceeded; what is refused is not counted."""
        limit = self._per_minute.get(token.tier)
        if limit is None and token.tier not in self._known:
            limit = self._standard
        if limit is None:
            return
        interval = 60 / limit
        used, at = self._used.get(token.accessor, (0.0, now))
        # Kept as a small number of seconds, not as a moment: adding to a moment a hundred thousand times would drift.
        used = max(0.0, used - max(0.0, now - at))
        if token.accessor not in self._used and len(self._used) >= MAX_TOKENS:
            self._forget(now)
        wait = used + interval - 60
        if wait > SLACK_SECONDS:
            self._used[token.accessor] = used, now
            self._tell(scope, limit, 0, used)
            raise refusal(token.tier, limit, wait)
        used += interval
        self._used[token.accessor] = used, now
        self._tell(scope, limit, math.floor((60 - used + SLACK_SECONDS) / interval), used)

    def clear(self) -> None:
        """Every bucket is full again."""
        self._used.clear()
        self.guesses.clear()

    def _forget(self, now: float) -> None:
        """Drops the buckets that are full, and the oldest one where none is."""
        self._used = {accessor: (used, at) for accessor, (used, at) in self._used.items() if at + used > now}
        if len(self._used) >= MAX_TOKENS:
            del self._used[next(iter(self._used))]

    @staticmethod
    def _tell(scope: MutableMapping[str, Any], limit: int, left: int, full_in: float) -> None:
        scope.setdefault(ANSWER_HEADERS, []).extend(
            (
                (b"x-ratelimit-limit-requests", b"%d" % limit),
                (b"x-ratelimit-remaining-requests", b"%d" % left),
                (b"x-ratelimit-reset-requests", duration(full_in).encode()),
            )
        )


def refusal(tier: str, limit: int, wait: float) -> RateLimitExceeded:
    """The refusal of a request that is accepted again in `wait` seconds."""
    milliseconds = whole_milliseconds(wait)
    return RateLimitExceeded(
        f"Rate limit reached for requests: a token of tier {tier} has {limit} a minute, polls included. "
        f"Please try again in {duration(wait)}.",
        headers={"Retry-After": str(math.ceil(milliseconds / 1000)), "retry-after-ms": str(milliseconds)},
    )
