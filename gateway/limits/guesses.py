"""Wrong guesses at a class code, per address and in all: buckets in memory, in each gateway process.

The arithmetic is that of the requests per minute. Right codes do not count, so that a whole class behind one address
may join in the same minute.
"""

from __future__ import annotations

import math

from gateway.errors import RateLimitExceeded
from gateway.limits.waits import SLACK_SECONDS, duration, whole_milliseconds

PER_ADDRESS = 30  # a minute
IN_ALL = 120
MAX_ADDRESSES = 10_000
WINDOW_SECONDS = 60.0


class _Bucket:
    """How much of a minute was used, in seconds, and when."""

    def __init__(self, limit: int) -> None:
        self._each = WINDOW_SECONDS / limit
        self._used, self._at = 0.0, -math.inf

    def wait(self, now: float) -> float:
        """Seconds until one more fits; 0 where it fits at once."""
        over = self._left_used(now) + self._each - WINDOW_SECONDS
        return over if over > SLACK_SECONDS else 0.0

    def take(self, now: float) -> None:
        self._used, self._at = self._left_used(now) + self._each, now

    def empty(self, now: float) -> bool:
        return self._left_used(now) == 0.0

    def _left_used(self, now: float) -> float:
        return max(0.0, self._used - max(0.0, now - self._at))


class GuessLimits:
    """Lets guesses through, or refuses them with an honest `Retry-After`."""

    def __init__(self) -> None:
        self._all = _Bucket(IN_ALL)
        self._by_address: dict[str, _Bucket] = {}

    def ensure(self, address: str, now: float) -> None:
        """Raises RateLimitExceeded where one more wrong guess would be too many; `now` is Unix seconds."""
        own = self._by_address.get(address)
        wait = max(self._all.wait(now), own.wait(now) if own else 0.0)
        if wait:
            raise _refusal(wait)

    def count(self, address: str, now: float) -> None:
        """A guess was wrong."""
        own = self._by_address.get(address)
        if own is None:
            self._make_room(now)
            own = self._by_address[address] = _Bucket(PER_ADDRESS)
        own.take(now)
        self._all.take(now)

    def clear(self) -> None:
        """Nobody has guessed."""
        self._all = _Bucket(IN_ALL)
        self._by_address.clear()

    def _make_room(self, now: float) -> None:
        if len(self._by_address) < MAX_ADDRESSES:
            return
        self._by_address = {address: one for address, one in self._by_address.items() if not one.empty(now)}
        if len(self._by_address) >= MAX_ADDRESSES:
            del self._by_address[next(iter(self._by_address))]


def _refusal(wait: float) -> RateLimitExceeded:
    milliseconds = whole_milliseconds(wait)
    return RateLimitExceeded(
        f"Too many wrong class codes. Please try again in {duration(wait)}.",
        code="too_many_guesses",
        headers={"Retry-After": str(math.ceil(milliseconds / 1000)), "retry-after-ms": str(milliseconds)},
    )
