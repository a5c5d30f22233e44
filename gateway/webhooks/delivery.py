"""Delivers what is queued, from within the gateway. Any number of gateways may do so on one database.

An attempt is claimed by a conditional update, and the token is looked at again at the last moment before the bytes
go out.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.clock import Clock
from gateway.events import EventKind
from gateway.outbound import Flights, Policy, Stopped
from gateway.outbound.rounds import LEASE_SPARE_SECONDS, asked_seconds, retry_delay, tried
from gateway.store import Connection, Store, attempts, defects, deliveries, events, tokens, webhooks
from gateway.store.defects import Defect
from gateway.store.deliveries import OUTBOX, Delivery, DeliveryState
from gateway.store.tokens import Token
from gateway.store.webhooks import Endpoint
from gateway.tokens.usage import DELIVERY, UsageBook
from gateway.webhooks.sending import Sender

ACTOR = "gateway"
NOT_ACCEPTED = "The token is no longer accepted."
NO_ENDPOINT = "The endpoint is gone."
INTERRUPTED = "The gateway was ended during the last attempt."


class Deliverer:
    """Takes due deliveries and sends them, and notes in `usage` what it sends for whom. `run` it for ever; after
    cancelling that, close its `flights`."""

    def __init__(
        self, store: Store, clock: Clock, sender: Sender, policy: Policy, usage: UsageBook | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._sender = sender
        self._policy = policy
        self.flights = Flights(policy, "webhook")
        self._usage = usage

    async def run(self, every: float) -> None:
        """Looks for due deliveries each `every` seconds, and whenever one of ours has made room."""
        await self.flights.run(self.sweep, every)

    async def sweep(self) -> int:
        """Starts what is due and has room; the number of rows it moved."""
        now = self._clock.now()
        if not await self._store.read(lambda tx: deliveries.any_due(tx, now)):
            return 0
        due = await self._store.read(lambda tx: deliveries.due(tx, now))
        candidates = self.flights.with_room(due, lambda delivery: delivery.endpoint)
        if not candidates:
            return 0
        until = now + self._sender.timeout + LEASE_SPARE_SECONDS
        moved, taken = await self._store.write(lambda tx: _claim(tx, candidates, self._policy, now=now, until=until))
        for delivery, endpoint in taken:
            self.flights.start(endpoint.id, self._fly(delivery, endpoint))
        return moved

    async def _fly(self, delivery: Delivery, endpoint: Endpoint) -> bool | None:
        """Whether the receiver took it; None where nothing was sent."""
        call = self._sender.send(
            endpoint.url,
            delivery.payload.encode(),
            id=delivery.id,
            signing_secrets=endpoint.secrets(self._clock.now()),
            now=self._clock.now(),
            before_sending=lambda: self._last_look(delivery),
        )
        reply = await tried(call, what="webhook", id=delivery.id)
        if reply is None:
            return None
        if isinstance(reply, str):
            await self._settle(delivery, None, reply, None)
            return False
        taken = 200 <= reply.status < 300
        error = None if taken else f"The receiver answered {reply.status}."
        await self._settle(delivery, reply.status, error, asked_seconds(reply.retry_after, self._clock.now()))
        return taken

    async def _last_look(self, delivery: Delivery) -> None:
        """Raises Stopped where the token was revoked, suspended or expired, or the row ended, since the claim."""
        now = self._clock.now()

        def look(tx: Connection) -> tuple[bool, bool]:
            token = tokens.by_accessor(tx, delivery.accessor)
            return attempts.still_pending(tx, OUTBOX, delivery), _may_be_told(tx, token, now)

        pending, accepted = await self._store.read(look)
        if pending and not accepted:
            await self._store.write(lambda tx: _end(tx, delivery, DeliveryState.STOPPED, None, NOT_ACCEPTED, now))
        if not (pending and accepted):
            raise Stopped(delivery.id)
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
                attempts.postpone(tx, OUTBOX, delivery, until=now + wait, status_code=status, error=error)

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
    ended = attempts.end(tx, OUTBOX, delivery, state, status_code=status, error=error, at=now)
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
