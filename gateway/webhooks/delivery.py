"""Delivers what is queued, from within the gateway. Any number of gateways may do so on one database.

An attempt is claimed by a conditional update, and the token is looked at again at the last moment before the bytes
go out. One endpoint holds at most `lane` connections, one that fails a single one, and all that fail together at most
half of `slots`: a receiver that is slow or gone delays nobody else's deliveries.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from gateway.clock import Clock
from gateway.errors import APIError, LeakdrillError, StoreUnavailable
from gateway.events import EventKind
from gateway.store import Connection, Store, defects, deliveries, events, tokens, webhooks
from gateway.store.defects import Defect
from gateway.store.deliveries import Delivery, DeliveryState
from gateway.store.tokens import Token
from gateway.store.webhooks import Endpoint
from gateway.tokens.usage import DELIVERY, UsageBook
from gateway.webhooks.sending import Sender

log = logging.getLogger("leakdrill.webhooks")

ACTOR = "gateway"
LEASE_SPARE_SECONDS = 5.0
NOT_ACCEPTED = "The token is no longer accepted."
NO_ENDPOINT = "The endpoint is gone."
INTERRUPTED = "The gateway was ended during the last attempt."


@dataclass(frozen=True)
class Policy:
    """How often and how patiently. Seconds; `longest_retry_seconds` bounds the backoff and a receiver's Retry-After."""

    attempts: int = 8
    first_retry_seconds: float = 5.0
    longest_retry_seconds: float = 3600.0
    slots: int = 64
    lane: int = 2


class _Stopped(LeakdrillError):
    """The delivery must not be sent any more."""


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


class Deliverer:
    """Takes due deliveries and sends them, and notes in `usage` what it sends for whom. `run` it for ever; after
    cancelling that, `close`."""

    def __init__(
        self, store: Store, clock: Clock, sender: Sender, policy: Policy, usage: UsageBook | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._sender = sender
        self._policy = policy
        self._usage = usage
        self._flights: dict[asyncio.Task[None], str] = {}
        self._failing: set[str] = set()
        self._landing = asyncio.Event()

    async def run(self, every: float) -> None:
        """Looks for due deliveries each `every` seconds, and whenever one of ours has made room."""
        while True:
            try:
                while await self.sweep():
                    pass
            except StoreUnavailable as exc:
                log.warning("action=webhook_sweep_failed error=%r", exc.message)
            except Exception:
                log.exception("action=webhook_sweep_broke")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._landing.wait(), every)
            self._landing.clear()

    async def sweep(self) -> int:
        """Starts what is due and has room; the number of rows it moved."""
        now = self._clock.now()
        if not await self._store.read(lambda tx: deliveries.any_due(tx, now)):
            return 0
        candidates = self._with_room(await self._store.read(lambda tx: deliveries.due(tx, now)))
        if not candidates:
            return 0
        until = now + self._sender.timeout + LEASE_SPARE_SECONDS
        moved, taken = await self._store.write(lambda tx: _claim(tx, candidates, self._policy, now=now, until=until))
        for delivery, endpoint in taken:
            task = asyncio.create_task(self._fly(delivery, endpoint))
            self._flights[task] = endpoint.id
            task.add_done_callback(self._has_landed)
        return moved

    async def landed(self) -> None:
        """Waits until nothing is in flight."""
        while self._flights:
            await asyncio.wait(list(self._flights))

    async def close(self, grace: float = 1.0) -> None:
        """Gives what is in flight `grace` seconds; the rest becomes due again by itself."""
        if self._flights:
            await asyncio.wait(list(self._flights), timeout=grace)
        for task in list(self._flights):
            task.cancel()
        await asyncio.gather(*self._flights, return_exceptions=True)

    def _has_landed(self, flight: asyncio.Task[None]) -> None:
        del self._flights[flight]
        self._landing.set()

    def _with_room(self, due: list[Delivery]) -> list[Delivery]:
        held = Counter(self._flights.values())
        total, failing = held.total(), sum(held[one] for one in self._failing)
        chosen = []
        for delivery in due:
            fails = delivery.endpoint in self._failing
            if total >= self._policy.slots or held[delivery.endpoint] >= (1 if fails else self._policy.lane):
                continue
            if fails and failing >= self._policy.slots // 2:
                continue
            chosen.append(delivery)
            total, failing = total + 1, failing + fails
        return chosen

    async def _fly(self, delivery: Delivery, endpoint: Endpoint) -> None:
        status: int | None = None
        asked: float | None = None
        try:
            reply = await self._sender.send(
                endpoint.url,
                delivery.payload.encode(),
                id=delivery.id,
                signing_secrets=endpoint.secrets(self._clock.now()),
                now=self._clock.now(),
                before_sending=lambda: self._last_look(delivery),
            )
            status, asked = reply.status, asked_seconds(reply.retry_after, self._clock.now())
            error = None if 200 <= status < 300 else f"The receiver answered {status}."
        except _Stopped:
            return
        except APIError as exc:
            error = exc.message
        except Exception as exc:
            log.exception("action=webhook_attempt_broke delivery=%s", delivery.id)
            error = f"The attempt broke off ({type(exc).__name__})."
        (self._failing.discard if error is None else self._failing.add)(endpoint.id)
        try:
            await self._settle(delivery, status, error, asked)
        except StoreUnavailable as exc:
            # It becomes due again when its lease is over; the receiver knows it by its id.
            log.warning("action=webhook_settle_failed delivery=%s error=%r", delivery.id, exc.message)

    async def _last_look(self, delivery: Delivery) -> None:
        """Raises _Stopped where the token was revoked, suspended or expired, or the row ended, since the claim."""
        now = self._clock.now()

        def look(tx: Connection) -> tuple[bool, bool]:
            token = tokens.by_accessor(tx, delivery.accessor)
            return deliveries.still_pending(tx, delivery), _may_be_told(tx, token, now)

        pending, accepted = await self._store.read(look)
        if pending and not accepted:
            await self._store.write(lambda tx: _end(tx, delivery, DeliveryState.STOPPED, None, NOT_ACCEPTED, now))
        if not (pending and accepted):
            raise _Stopped(delivery.id)
        if self._usage is not None:
            self._usage.note_behind(delivery.accessor, DELIVERY, now)

    async def _settle(self, delivery: Delivery, status: int | None, error: str | None, asked: float | None) -> None:
        now = self._clock.now()

        def work(tx: Connection) -> None:
            if error is None:
                _end(tx, delivery, DeliveryState.DELIVERED, status, None, now)
            elif delivery.attempts >= self._policy.attempts:
                _end(tx, delivery, DeliveryState.DEAD, status, error, now)
            else:
                wait = retry_delay(self._policy, delivery.attempts, seed=delivery.id, asked=asked)
                deliveries.postpone(tx, delivery, until=now + wait, status_code=status, error=error)

        await self._store.write(work, brief=True)


def _may_be_told(tx: Connection, token: Token | None, now: float) -> bool:
    return token is not None and (token.accepted(now) or defects.on(tx, Defect.HOOK_KEEPS_FIRING))


def _claim(
    tx: Connection, candidates: Sequence[Delivery], policy: Policy, *, now: float, until: float
) -> tuple[int, list[tuple[Delivery, Endpoint]]]:
    """How many rows were moved, and those that are ours to send."""
    moved, taken = 0, []
    for delivery in candidates:
        token, endpoint = tokens.by_accessor(tx, delivery.accessor), webhooks.get(tx, delivery.endpoint)
        if endpoint is None or not _may_be_told(tx, token, now):
            why = NO_ENDPOINT if endpoint is None else NOT_ACCEPTED
            moved += _end(tx, delivery, DeliveryState.STOPPED, None, why, now)
        elif delivery.attempts >= policy.attempts:
            moved += _end(tx, delivery, DeliveryState.DEAD, None, INTERRUPTED, now)
        elif (claimed := deliveries.claim(tx, delivery, now=now, until=until)) is not None:
            moved += 1
            taken.append((claimed, endpoint))
    return moved, taken


_KINDS = {
    DeliveryState.DELIVERED: EventKind.WEBHOOK_DELIVERED,
    DeliveryState.DEAD: EventKind.WEBHOOK_DEAD,
    DeliveryState.STOPPED: EventKind.WEBHOOK_STOPPED,
}


def _end(
    tx: Connection, delivery: Delivery, state: DeliveryState, status: int | None, error: str | None, now: float
) -> bool:
    ended = deliveries.end(tx, delivery, state, status_code=status, error=error, at=now)
    if ended:
        data = {
            "delivery": delivery.id,
            "endpoint": delivery.endpoint,
            "type": delivery.event_type,
            "attempts": delivery.attempts,
            "status_code": status,
            "error": error,
        }
        events.append(tx, _KINDS[state], at=now, actor=ACTOR, accessor=delivery.accessor, job=delivery.job, data=data)
    return ended
