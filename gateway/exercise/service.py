"""Read and move the exercise. Every move is an event in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.clock import ReplayClock
from gateway.events import Event, EventKind
from gateway.store import (
    Connection,
    Store,
    characters,
    classes,
    credits,
    deliveries,
    disclosures,
    drill_lease,
    events,
    exercise,
    faults,
    findings,
    idempotency,
    jobs,
    replicas,
    restorations,
    revocations,
    signals,
    sinks,
    streams,
    tokens,
    uses,
    webhooks,
)
from gateway.store.exercise import Exercise, Phase


@dataclass(frozen=True)
class Counts:
    """Tokens by shown state and jobs by status."""

    tokens: Mapping[str, int]
    jobs: Mapping[str, int]


async def show(store: Store) -> Exercise:
    """The exercise as it stands."""
    return await store.read(exercise.get)


async def counts(store: Store, *, now: float) -> Counts:
    """How many there are of everything."""
    return await store.read(lambda tx: Counts(tokens.count_by_state(tx, now), jobs.count_by_status(tx)))


async def set_phase(store: Store, phase: Phase, *, now: float, actor: str) -> Exercise:
    """Moves the phase; to where it is already does nothing."""

    def work(tx: Connection) -> Exercise:
        before = exercise.get(tx).phase
        if before is not phase:
            exercise.set_phase(tx, phase, now)
            data = {"from": str(before), "to": str(phase)}
            events.append(tx, EventKind.PHASE_CHANGED, at=now, actor=actor, data=data)
        return exercise.get(tx)

    return await store.write(work)


async def set_clock(store: Store, clock: ReplayClock | None, *, now: float, actor: str) -> Exercise:
    """Starts, moves or takes away the replay clock."""

    def work(tx: Connection) -> Exercise:
        exercise.set_clock(tx, clock)
        data: dict[str, Any] = {"time": None}
        if clock is not None:
            data = {"time": clock.iso(now), "speed": clock.speed, "running": clock.running}
        events.append(tx, EventKind.CLOCK_SET, at=now, actor=actor, data=data)
        return exercise.get(tx)

    return await store.write(work)


async def set_broadcast(store: Store, text: str | None, *, now: float, actor: str) -> Exercise:
    """Sets or takes away the line shown on every page."""

    def work(tx: Connection) -> Exercise:
        exercise.set_broadcast(tx, text)
        events.append(tx, EventKind.BROADCAST_SET, at=now, actor=actor, data={"text": text})
        return exercise.get(tx)

    return await store.write(work)


async def reset(store: Store, *, now: float, actor: str) -> None:
    """Back to a clean room: no token, no job, no revocation, no class, no clock. The event list stays and goes on."""

    def work(tx: Connection) -> None:
        idempotency.delete_all(tx)
        findings.delete_all(tx)
        characters.delete_all(tx)
        ended = classes.end(tx, at=now)
        deliveries.delete_all(tx)
        disclosures.delete_all(tx)
        webhooks.delete_all(tx)
        signals.delete_all(tx)
        sinks.delete_all(tx)
        streams.delete_all(tx)
        uses.delete_all(tx)
        restorations.delete_all(tx)
        gone = {"jobs": jobs.delete_all(tx), "tokens": tokens.delete_all(tx), "revocations": revocations.delete_all(tx)}
        gone["classes"] = ended
        credits.delete_all(tx)
        exercise.set_phase(tx, Phase.NORMAL, now)
        exercise.set_broadcast(tx, None)
        exercise.set_clock(tx, None)
        exercise.set_profile(tx, None)
        exercise.set_mint_freeze(tx, None)
        exercise.set_sunset(tx, None)
        exercise.set_injects(tx, None)
        drill_lease.delete_all(tx)
        faults.delete_all(tx)
        replicas.clear_modes(tx)
        events.append(tx, EventKind.RESET, at=now, actor=actor, data=gone)

    await store.write(work)


async def gateway_started(store: Store, *, now: float, version: str) -> None:
    """Notes the start; also proves that the store takes writes."""
    await store.write(
        lambda tx: events.append(tx, EventKind.GATEWAY_STARTED, at=now, actor="gateway", data={"version": version})
    )


async def event_page(store: Store, *, after: int, limit: int, kind: str) -> list[Event]:
    """Events beyond `after`, oldest first."""
    return await store.read(lambda tx: events.page(tx, after=after, limit=limit, kind=kind))


async def last_event(store: Store) -> int:
    """The newest event's number."""
    return await store.read(events.last_seq)
