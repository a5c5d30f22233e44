"""What each gateway was told to do wrong: a consistency profile and defects, for a time.

It is kept in the database, one row a gateway, so that any of them can be asked to tell any other. No mode stays on for
ever: each has an end, a day away at the most.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from gateway.errors import InvalidRequest, NotFound
from gateway.events import EventKind
from gateway.faults import consistency, defects
from gateway.faults.consistency import Consistency, Kind
from gateway.store import Connection, Store, events, exercise, replicas
from gateway.store.defects import Defect
from gateway.store.replicas import Replica

MOST_SECONDS = 86_400.0
SILENCE_SECONDS = 6.0  # after which a gateway counts as gone


@dataclass(frozen=True)
class Mode:
    """What one gateway does. `since` and `until` are Unix seconds, `until` None only where everything is right."""

    consistency: Consistency
    defects: frozenset[Defect] = frozenset()
    since: float = 0.0
    until: float | None = None

    @property
    def right(self) -> bool:
        """Whether it keeps the promise."""
        return self.consistency.kind is Kind.STRICT and not self.defects

    def at(self, now: float) -> Mode:
        """The same, or everything right once its time is over."""
        return RIGHT if self.until is not None and now >= self.until else self


RIGHT = Mode(consistency.available()["strict"])


@dataclass(frozen=True)
class Wanted:
    """What an operator asks for; None leaves that part as it is. `replica` None means all of them."""

    replica: str | None = None
    profile: str | None = None
    seconds: float | None = None
    defects: list[str] | None = None
    for_seconds: float = 3600.0


@dataclass(frozen=True)
class Standing:
    """A gateway, whether it was heard of lately, and what it does."""

    replica: Replica
    alive: bool
    mode: Mode


async def show(store: Store, now: float) -> list[Standing]:
    """Every gateway that has used this database, by name."""
    return await store.read(lambda tx: _all(tx, now))


async def tell(store: Store, wanted: Wanted, *, now: float, actor: str) -> list[Standing]:
    """Tells one gateway, or all of them, what to do from now on; those that were told.

    Raises NotFound for a gateway that is not there, InvalidRequest for what cannot be told.
    """
    if wanted.seconds is not None and wanted.profile is None:
        raise InvalidRequest("Name the profile whose bound is given.", param="profile")
    profile = None if wanted.profile is None else consistency.named(wanted.profile, wanted.seconds)
    found = None if wanted.defects is None else defects.named(wanted.defects)

    def work(tx: Connection) -> list[Standing]:
        meant = [one for one in _all(tx, now) if wanted.replica in (None, one.replica.name)]
        if not meant:
            known = ", ".join(one.replica.name for one in _all(tx, now))
            raise NotFound(f"There is no gateway {wanted.replica!r}; there are {known}.", param="replica")
        for one in meant:
            mode = _changed(one.mode, profile, found, now, wanted.for_seconds)
            replicas.set_mode(tx, one.replica.name, None if mode.right else _text(mode))
            events.append(
                tx, EventKind.REPLICA_TOLD, at=now, actor=actor, data={"replica": one.replica.name, **_told(mode)}
            )
        return [one for one in _all(tx, now) if wanted.replica in (None, one.replica.name)]

    return await store.write(work)


def present(tx: Connection, name: str, now: float) -> Mode:
    """What the gateway of that name does now."""
    return _parsed(replicas.mode(tx, name)).at(now)


def speed(tx: Connection) -> float:
    """How many times as fast as the wall the replayed morning runs: what divides every simulated time. 1 without it."""
    clock = exercise.get(tx).clock
    return clock.speed if clock is not None and clock.running else 1.0


def expire(tx: Connection, name: str, now: float) -> None:
    """Notes that a mode's time is over."""
    mode = _parsed(replicas.mode(tx, name))
    if not mode.right and mode.at(now).right:
        replicas.set_mode(tx, name, None)
        data = {"replica": name, **_told(RIGHT)}
        events.append(tx, EventKind.REPLICA_TOLD, at=now, actor="gateway", data=data)


def _changed(
    before: Mode, profile: Consistency | None, found: frozenset[Defect] | None, now: float, for_seconds: float
) -> Mode:
    mode = Mode(
        before.consistency if profile is None else profile,
        before.defects if found is None else found,
        now,
        now + for_seconds,
    )
    cache = defects.cache_of(mode.defects)
    if cache is not None and mode.consistency.kind is not Kind.STRICT:
        raise InvalidRequest(
            f"{cache[0]} is about what a strict gateway remembers, and would not show behind {mode.consistency.name}.",
            param="defects",
        )
    return RIGHT if mode.right else mode


def _all(tx: Connection, now: float) -> list[Standing]:
    return [
        Standing(one, now - one.seen_at <= SILENCE_SECONDS, _parsed(one.mode).at(now))
        for one in replicas.everything(tx)
    ]


def _told(mode: Mode) -> dict[str, object]:
    return {"consistency": mode.consistency.shown, "defects": sorted(mode.defects), "until": mode.until}


def _text(mode: Mode) -> str:
    return json.dumps(
        {
            "profile": mode.consistency.model_dump(mode="json"),
            "defects": sorted(mode.defects),
            "since": mode.since,
            "until": mode.until,
        }
    )


@lru_cache(maxsize=64)
def _parsed(text: str | None) -> Mode:
    if text is None:
        return RIGHT
    values = json.loads(text)
    return Mode(
        Consistency.model_validate(values["profile"]),
        frozenset(map(Defect, values["defects"])),
        values["since"],
        values["until"],
    )
