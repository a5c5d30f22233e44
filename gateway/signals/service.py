"""What an operator does with sinks: set up, show, change, verify, take away; and the log of what was sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.clock import Clock
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.events import EventKind
from gateway.outbound import Reach, checked
from gateway.signals import claims, outbox
from gateway.signals.claims import Kind
from gateway.store import Connection, Store, attempts, events, signals, sinks
from gateway.store.signals import OUTBOX, NewSignal, Signal, SignalState
from gateway.store.sinks import Sink, SinkStatus

MOST_SINKS = 20
DISABLED = "The sink was disabled."
DELETED = "The sink was deleted."


async def create(
    store: Store,
    *,
    url: str,
    audience: str,
    authorization: str | None,
    status: SinkStatus,
    issuer: str,
    allow_private: Reach,
    clock: Clock,
    actor: str,
) -> Sink:
    """A new sink; raises UrlRefused, FetchFailed, or InvalidRequest for one too many."""
    await checked(url, allow_private=allow_private)
    now = clock.now()
    sink = Sink(f"sink_{secrets.token_hex(8)}", url, issuer, audience, authorization, status, now, now)

    def work(tx: Connection) -> None:
        if len(sinks.every(tx)) >= MOST_SINKS:
            raise InvalidRequest(
                f"There are {MOST_SINKS} sinks, which is the most; delete one first.", code="sink_limit"
            )
        sinks.insert(tx, sink)
        data = {"sink": sink.id, "audience": audience, "status": str(status)}
        events.append(tx, EventKind.SINK_CREATED, at=now, actor=actor, data=data)

    await store.write(work)
    return sink


async def show(store: Store, id: str) -> Sink:
    """One sink; raises NotFound."""
    return await store.read(lambda tx: _sink(tx, id))


async def every(store: Store) -> list[Sink]:
    """All of them, oldest first."""
    return await store.read(sinks.every)


async def change(
    store: Store, id: str, given: Mapping[str, Any], *, allow_private: Reach, clock: Clock, actor: str
) -> Sink:
    """The sink with the fields of it that are given. One that is enabled again is sent what was held; one that is
    disabled loses what it was owed. Raises NotFound, UrlRefused or FetchFailed."""
    if "url" in given:
        await checked(given["url"], allow_private=allow_private)
    now = clock.now()

    def work(tx: Connection) -> Sink:
        present = _sink(tx, id)
        changed = replace(present, **given)
        if changed == present:
            return present
        changed = replace(changed, updated_at=now)
        sinks.update(tx, changed)
        fields = sorted(name for name in given if getattr(changed, name) != getattr(present, name))
        data: dict[str, object] = {"sink": id, "fields": fields}
        if changed.status is not present.status:
            data |= {"status": str(changed.status), **_move(tx, changed, now=now)}
        events.append(tx, EventKind.SINK_UPDATED, at=now, actor=actor, data=data)
        return changed

    return await store.write(work)


async def delete(store: Store, id: str, *, clock: Clock, actor: str) -> Sink:
    """Takes the sink away, and drops what it was owed; what it was. Raises NotFound."""
    now = clock.now()

    def work(tx: Connection) -> Sink:
        sink = _sink(tx, id)
        dropped = attempts.end_lane(tx, OUTBOX, id, SignalState.DROPPED, why=DELETED, now=now)
        sinks.delete(tx, id)
        events.append(tx, EventKind.SINK_DELETED, at=now, actor=actor, data={"sink": id, "dropped": dropped})
        return sink

    return await store.write(work)


async def verify(store: Store, id: str, state: str | None, *, clock: Clock, actor: str) -> Signal:
    """Queues a verification event behind what the sink is owed; raises NotFound, or Conflict for a disabled sink."""
    now = clock.now()
    new = NewSignal(outbox.new_id(), id, None, Kind.VERIFICATION, claims.verification(state))

    def work(tx: Connection) -> Signal | None:
        if _sink(tx, id).status is SinkStatus.DISABLED:
            raise Conflict(f"The sink {id} is disabled; enable it first.", param="sink_id")
        signals.insert_all(tx, outbox.new_txn(), [new], at=now)
        events.append(tx, EventKind.SINK_VERIFIED, at=now, actor=actor, data={"sink": id, "signal": new.id})
        return signals.get(tx, new.id)

    queued = await store.write(work)
    if queued is None:
        raise NotFound(f"There is no sink {id[:80]!r}.", param="sink_id", code="sink_not_found")
    return queued


async def log(
    store: Store,
    *,
    sink: str | None,
    state: SignalState | None,
    txn: str | None,
    accessor: str | None,
    limit: int,
) -> list[Signal]:
    """Signals, newest first."""
    return await store.read(
        lambda tx: signals.newest(tx, sink=sink, state=state, txn=txn, accessor=accessor, limit=limit)
    )


def _sink(tx: Connection, id: str) -> Sink:
    sink = sinks.get(tx, id)
    if sink is None:
        raise NotFound(f"There is no sink {id[:80]!r}.", param="sink_id", code="sink_not_found")
    return sink


def _move(tx: Connection, sink: Sink, *, now: float) -> dict[str, object]:
    """What a new status does to what the sink is owed."""
    if sink.status is SinkStatus.ENABLED:
        return {"released": signals.release(tx, sink.id, now=now)}
    if sink.status is SinkStatus.PAUSED:
        return {"held": signals.hold(tx, sink.id)}
    return {"dropped": attempts.end_lane(tx, OUTBOX, sink.id, SignalState.DROPPED, why=DISABLED, now=now)}
