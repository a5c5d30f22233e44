"""Gathers what clients do, request by request, in memory, and writes the counts once a second.

A client that is never refused costs one dictionary look-up a request. Memory is bounded: the newest MAX_TOKENS tokens
that were refused something, and the newest MAX_VIDEOS videos that somebody polls. What was gathered in the last
second is lost if the process is killed, and each gateway process sees its own requests only.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from gateway.clients.habits import (
    CALLED_AFTER_REVOCATION,
    DOWNLOADED_LATE,
    IGNORED_RETRY_AFTER,
    POLLED_FASTER,
    RETRIED_401,
    RETRY_STORM,
    WAITED,
)
from gateway.errors import APIError, InvalidCredentials, StoreUnavailable
from gateway.faults.failures import surface_of
from gateway.store import Store, findings
from gateway.store.findings import Finding
from gateway.tokens import Token

log = logging.getLogger("leakdrill.gateway")

MAX_TOKENS = 10_000
MAX_VIDEOS = 50_000
MAX_PENDING = 20_000

TOO_EARLY = 0.8  # of what the last answer asked for
STORM_REQUESTS = 10
STORM_SECONDS = 1.0
# What was sent before the refusal had arrived is no disregard of it.
UNDER_WAY_SECONDS = 0.25
FORGET_SECONDS = 300.0
ANY = "*"

K = TypeVar("K")
V = TypeVar("V")


@dataclass
class _Told:
    """A refusal that said when to come back: Unix seconds of both moments, and the words for the example."""

    at: float
    until: float
    what: str


@dataclass
class _Refusals:
    """What one token was refused: holds by verb (ANY for all), recent moments, the last 401's verb and path."""

    holds: dict[str, _Told] = field(default_factory=dict)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=STORM_REQUESTS))
    unauthorized: tuple[str, str] | None = None
    unauthorized_at: float = -math.inf


@dataclass(slots=True)
class _Waited:
    """A video that somebody polls: when it was last asked for, and in milliseconds what the answer said to wait, now
    and at the least so far."""

    accessor: str
    at: float
    told: int
    least: int


class ClientBook:
    """Call `arrived` and `polled` on the way in, `refused` on the way out; all are O(1) and do no I/O."""

    def __init__(self) -> None:
        self._refusals: dict[str, _Refusals] = {}
        self._videos: dict[str, _Waited] = {}
        self._pending: dict[tuple[str, str], Finding] = {}

    def arrived(self, token: Token, scope: Mapping[str, Any], now: float) -> None:
        """A request with a good token: did its client wait as it was told?"""
        known = self._refusals.get(token.accessor)
        if known is None or not known.holds:
            return
        verb = scope["method"]
        for key in (ANY, verb):
            told = known.holds.get(key)
            if told is None:
                continue
            if now >= told.until:
                del known.holds[key]
                if now - told.until < FORGET_SECONDS:
                    self._note(token.accessor, WAITED, scope, now, told.what)
            elif now - told.at >= UNDER_WAY_SECONDS:
                waited = f"came after {now - told.at:.3f} s"
                self._note(token.accessor, IGNORED_RETRY_AFTER, scope, now, f"{told.what}; {waited}")

    def polled(
        self, accessor: str, video: str, scope: Mapping[str, Any], now: float, poll_after_ms: int | None
    ) -> None:
        """A video was asked for, and its answer says to come back in `poll_after_ms`; None once it has ended."""
        before = self._videos.pop(video, None)
        if before is not None and before.accessor == accessor:
            if now - before.at < before.told * TOO_EARLY / 1000:
                self._judge_pace(before, scope, now)
            if poll_after_ms is not None:
                before.at, before.told, before.least = now, poll_after_ms, min(before.least, poll_after_ms)
                self._videos[video] = before
        elif poll_after_ms is not None:
            _make_room(self._videos, MAX_VIDEOS)
            self._videos[video] = _Waited(accessor, now, poll_after_ms, poll_after_ms)

    def _judge_pace(self, before: _Waited, scope: Mapping[str, Any], now: float) -> None:
        # OpenAI's poll helper keeps to the first value it was given; that it may.
        told = before.told
        if _header(scope, b"x-stainless-poll-helper") and not _header(scope, b"x-stainless-custom-poll-interval"):
            told = before.least
        if now - before.at < told * TOO_EARLY / 1000:
            words = f"told to wait {told} ms; came after {(now - before.at) * 1000:.0f} ms"
            self._note(before.accessor, POLLED_FASTER, scope, now, words)

    def refused(self, accessor: str, error: APIError, scope: Mapping[str, Any], now: float) -> None:
        """A request of a known token was answered with `error`."""
        known = self._refusals.pop(accessor, None) or _Refusals()
        _make_room(self._refusals, MAX_TOKENS)
        self._refusals[accessor] = known
        what = f"{error.status} {error.error_code}"
        self._count_storm(accessor, known, scope, now, what)
        if isinstance(error, InvalidCredentials):
            self._count_unauthorized(accessor, known, error, scope, now)
            return
        if error.error_code in ("content_expired", "link_expired"):
            self._note(accessor, DOWNLOADED_LATE, scope, now, what)
        wait = wait_told(error)
        if wait is not None:
            concerned = ANY if error.error_code == "rate_limit_exceeded" else str(scope["method"])
            before = known.holds.get(concerned)
            # A request that came too early must not move the moment up.
            if before is None or now + wait > before.until:
                at = before.at if before is not None and now < before.until else now
                known.holds[concerned] = _Told(at, now + wait, f"{what}, told to wait {wait:g} s")

    def _count_storm(self, accessor: str, known: _Refusals, scope: Mapping[str, Any], now: float, what: str) -> None:
        known.recent.append(now)
        if len(known.recent) == STORM_REQUESTS and now - known.recent[0] <= STORM_SECONDS:
            known.recent.clear()  # the next ten are the next storm
            self._note(accessor, RETRY_STORM, scope, now, f"{STORM_REQUESTS} refusals within 1 s, the last {what}")

    def _count_unauthorized(
        self, accessor: str, known: _Refusals, error: InvalidCredentials, scope: Mapping[str, Any], now: float
    ) -> None:
        if error.reason == "revoked":
            self._note(accessor, CALLED_AFTER_REVOCATION, scope, now, "401 invalid_api_key, the key was revoked")
        same = (scope["method"], scope["path"])
        counted = _header(scope, b"x-stainless-retry-count").strip(b"0") != b""
        again = known.unauthorized == same and now - known.unauthorized_at < FORGET_SECONDS
        if (counted or again) and not is_poll(*same):
            self._note(accessor, RETRIED_401, scope, now, "401 invalid_api_key to the same request before")
        known.unauthorized, known.unauthorized_at = same, now

    def _note(self, accessor: str, finding: str, scope: Mapping[str, Any], now: float, told: str) -> None:
        example = {"route": f"{scope['method']} {scope['path'][:200]}", "told": told}
        before = self._pending.get((accessor, finding))
        if before is None and len(self._pending) >= MAX_PENDING:
            return
        count, first = (before.count + 1, before.first_at) if before is not None else (1, now)
        self._pending[accessor, finding] = Finding(accessor, finding, count, first, now, example)

    def clear(self) -> None:
        """Forgets everything."""
        self._refusals.clear()
        self._videos.clear()
        self._pending.clear()

    async def flush(self, store: Store) -> None:
        """Writes what was gathered."""
        if not self._pending:
            return
        taken, self._pending = self._pending, {}
        try:
            await store.write(lambda tx: findings.add(tx, taken.values()))
        except StoreUnavailable:
            for key, one in taken.items():
                later = self._pending.get(key)
                if later is not None:
                    one = replace(later, count=one.count + later.count, first_at=one.first_at)
                self._pending[key] = one
            raise

    async def run(self, store: Store, every: float = 1.0) -> None:
        """Flushes for ever; cancel it, then `flush` once more."""
        while True:
            await asyncio.sleep(every)
            try:
                await self.flush(store)
            except StoreUnavailable as exc:
                log.warning("action=findings_not_written reason=%s", exc)


def is_poll(verb: str, path: str) -> bool:
    """Whether it asks where one video stands. Asking again is how one waits, not a retry."""
    return surface_of(verb, path) == "retrieve"


def wait_told(error: APIError) -> float | None:
    """Seconds that the error asks to wait: `retry-after-ms`, else `Retry-After`; None where it names none."""
    headers = {name.lower(): value for name, value in error.headers.items()}
    try:
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1000
        return float(headers["retry-after"]) if "retry-after" in headers else None
    except ValueError:
        return None  # a date, which only a seeded fault sends


def _header(scope: Mapping[str, Any], name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


def _make_room(kept: dict[K, V], most: int) -> None:
    """Drops the entry that was used longest ago."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
