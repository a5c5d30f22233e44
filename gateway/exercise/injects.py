"""What became of the planned injects: each waits, is held, was skipped, or was fired, once.

The plan is not here: whoever leads the exercise has it, and names an inject by its id. What became of one is known to
every gateway that shares the store, and is gone with a reset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from gateway.errors import Conflict
from gateway.events import EventKind
from gateway.store import Connection, Store, events, exercise

MOST_INJECTS = 200


class InjectState(StrEnum):
    """Where an inject stands. `fired` is final: what was told cannot be untold."""

    WAITING = "waiting"
    HELD = "held"
    SKIPPED = "skipped"
    FIRED = "fired"


_KINDS = {
    InjectState.WAITING: EventKind.INJECT_WAITING,
    InjectState.HELD: EventKind.INJECT_HELD,
    InjectState.SKIPPED: EventKind.INJECT_SKIPPED,
    InjectState.FIRED: EventKind.INJECT_FIRED,
}


@dataclass(frozen=True)
class Moved:
    """Where an inject stands, since when (Unix seconds; `replay_at` is ISO 8601 or None), and who put it there."""

    id: str
    state: InjectState
    at: float
    replay_at: str | None
    actor: str


@dataclass(frozen=True)
class Injects:
    """`by_clock` says that those whose replay time has come are to be fired by themselves. `moved` holds, by id, those
    that something was done with; the others wait."""

    by_clock: bool = False
    moved: Mapping[str, Moved] = field(default_factory=dict)


async def show(store: Store) -> Injects:
    """How they stand."""
    return await store.read(_read)


async def move(
    store: Store, id: str, state: InjectState, *, line: str | None, by_clock: bool, now: float, actor: str
) -> Moved:
    """Moves an inject; to where it is already does nothing. `line` goes on every page with the firing, and is not
    touched where it is None. `by_clock` says that nobody pressed a button.

    Raises Conflict for one that was fired before, so that of two who fire it one does; and for one that is held or
    skipped where only the clock would fire it.
    """

    def work(tx: Connection) -> Moved:
        found = _read(tx)
        before = found.moved.get(id)
        held = before.state if before is not None else InjectState.WAITING
        if before is not None and held is InjectState.FIRED:
            raise _fired(before)
        if by_clock and held is not InjectState.WAITING:
            raise Conflict(f"Inject {id} is {held}, so the clock does not fire it.", code="inject_not_waiting")
        clock = exercise.get(tx).clock
        moved = Moved(id, state, now, clock.iso(now) if clock else None, actor)
        if held is state:
            return before or moved
        if before is None and len(found.moved) >= MOST_INJECTS:
            raise Conflict(f"There are {MOST_INJECTS} injects already.", param="inject_id")
        data: dict[str, object] = {"inject": id}
        if state is InjectState.FIRED:
            data |= {"broadcast": line is not None, "by_clock": by_clock}
        events.append(tx, _KINDS[state], at=now, actor=actor, data=data)
        if line is not None:
            exercise.set_broadcast(tx, line)
            events.append(tx, EventKind.BROADCAST_SET, at=now, actor=actor, data={"text": line, "inject": id})
        _write(tx, replace(found, moved={**found.moved, id: moved}))
        return moved

    return await store.write(work)


async def set_by_clock(store: Store, on: bool, *, now: float, actor: str) -> Injects:
    """Whether the clock fires them; to what it is already does nothing."""

    def work(tx: Connection) -> Injects:
        found = _read(tx)
        if found.by_clock is on:
            return found
        events.append(tx, EventKind.INJECT_BY_CLOCK, at=now, actor=actor, data={"on": on})
        return _write(tx, replace(found, by_clock=on))

    return await store.write(work)


def _read(tx: Connection) -> Injects:
    text = exercise.injects(tx)
    if text is None:
        return Injects()
    values = json.loads(text)
    moved = [Moved(**{**one, "state": InjectState(one["state"])}) for one in values["moved"]]
    return Injects(values["by_clock"], {one.id: one for one in moved})


def _write(tx: Connection, injects: Injects) -> Injects:
    moved = [asdict(one) for one in injects.moved.values()]
    exercise.set_injects(tx, json.dumps({"by_clock": injects.by_clock, "moved": moved}))
    return injects


def _fired(before: Moved) -> Conflict:
    when = datetime.fromtimestamp(before.at, UTC).strftime("%H:%M:%S UTC")
    replayed = f", {before.replay_at[11:16]} on the replay clock" if before.replay_at else ""
    return Conflict(
        f"Inject {before.id} was fired at {when}{replayed}, by {before.actor}; nothing was done now.",
        code="inject_fired",
    )
