"""Rounds of attempts: how many are under way to each receiver, how a failed one waits, and when the next look is.

One receiver holds at most `lane` connections, one that fails a single one, and all that fail together at most half of
`slots`: a receiver that is slow or gone delays nobody else's deliveries.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from gateway.errors import APIError, LeakdrillError, StoreUnavailable
from gateway.outbound.calls import Reply

log = logging.getLogger("leakdrill.outbound")

LEASE_SPARE_SECONDS = 5.0
Item = TypeVar("Item")


@dataclass(frozen=True)
class Policy:
    """How often and how patiently. Seconds; `longest_retry_seconds` bounds the backoff and a receiver's Retry-After."""

    attempts: int = 8
    first_retry_seconds: float = 5.0
    longest_retry_seconds: float = 3600.0
    slots: int = 64
    lane: int = 2


class Stopped(LeakdrillError):
    """What was to be sent must not be sent any more."""


def retry_delay(policy: Policy, attempts: int, *, seed: str, asked: float | None = None) -> float:
    """Seconds to wait after that many failed attempts: doubling, plus up to a quarter of jitter from `seed`, and not
    less than the receiver `asked` for, all within the longest wait."""
    backoff = policy.first_retry_seconds * 2.0 ** (attempts - 1)
    jitter = random.Random(f"{seed}:{attempts}").uniform(1.0, 1.25)
    return min(max(backoff * jitter, asked or 0.0), policy.longest_retry_seconds)


def asked_seconds(retry_after: str | None, now: float) -> float | None:
    """What a Retry-After header asks for: seconds or an HTTP date (RFC 9110, section 10.2.3); None where unreadable."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


async def tried(call: Awaitable[Reply], *, what: str, id: str) -> Reply | str | None:
    """The reply, or why there is none; None where the call raised Stopped, so that nobody was asked."""
    try:
        return await call
    except Stopped:
        return None
    except APIError as exc:
        return exc.message
    except Exception as exc:
        log.exception("action=%s_attempt_broke id=%s", what, id)
        return f"The attempt broke off ({type(exc).__name__})."


class Flights:
    """The attempts of one kind, `what`, that are under way in this process."""

    def __init__(self, policy: Policy, what: str) -> None:
        self._policy = policy
        self._what = what
        self._flying: dict[asyncio.Task[None], str] = {}
        self._failing: set[str] = set()
        self._landing = asyncio.Event()

    @property
    def receivers(self) -> list[str]:
        """To whom: one entry an attempt."""
        return list(self._flying.values())

    def with_room(self, due: Sequence[Item], receiver_of: Callable[[Item], str]) -> list[Item]:
        """Those of what is due that may start now."""
        held = Counter(self._flying.values())
        total, failing = held.total(), sum(held[one] for one in self._failing)
        chosen = []
        for item in due:
            receiver = receiver_of(item)
            fails = receiver in self._failing
            if total >= self._policy.slots or held[receiver] >= (1 if fails else self._policy.lane):
                continue
            if fails and failing >= self._policy.slots // 2:
                continue
            chosen.append(item)
            total, failing = total + 1, failing + fails
        return chosen

    def start(self, receiver: str, attempt: Coroutine[Any, Any, bool | None]) -> None:
        """Begins an attempt, which says whether the receiver took it, or None where it was not asked."""
        task = asyncio.create_task(self._fly(receiver, attempt))
        self._flying[task] = receiver
        task.add_done_callback(self._has_landed)

    async def run(self, sweep: Callable[[], Awaitable[int]], every: float) -> None:
        """Sweeps until a sweep moves nothing, each `every` seconds and whenever an attempt has made room. For ever."""
        while True:
            try:
                while await sweep():
                    pass
            except StoreUnavailable as exc:
                log.warning("action=%s_sweep_failed error=%r", self._what, exc.message)
            except Exception:
                log.exception("action=%s_sweep_broke", self._what)
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with what it waits for.
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self._landing.wait()
            self._landing.clear()

    async def landed(self) -> None:
        """Waits until nothing is in flight."""
        while self._flying:
            await asyncio.wait(list(self._flying))

    async def close(self, grace: float = 1.0) -> None:
        """Gives what is in flight `grace` seconds; the rest becomes due again by itself."""
        if self._flying:
            await asyncio.wait(list(self._flying), timeout=grace)
        for task in list(self._flying):
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)

    async def _fly(self, receiver: str, attempt: Coroutine[Any, Any, bool | None]) -> None:
        try:
            went = await attempt
        except StoreUnavailable as exc:
            # It becomes due again when its lease is over; the receiver knows it by its id.
            log.warning("action=%s_settle_failed receiver=%s error=%r", self._what, receiver, exc.message)
            return
        if went is not None:
            (self._failing.discard if went else self._failing.add)(receiver)

    def _has_landed(self, flight: asyncio.Task[None]) -> None:
        del self._flying[flight]
        self._landing.set()
