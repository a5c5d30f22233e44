"""One drill at a time: whoever drills holds a lease on the gateway, and renews it while it runs.

Two drills would change each other's clock, phase and faults, and each would be judged by what the other did. A drill
that was killed renews nothing, so its lease runs out by itself.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime

from gateway.errors import Conflict, NotFound
from gateway.events import EventKind
from gateway.store import Connection, Store, drill_lease, events
from gateway.store.drill_lease import DrillLease

UNDER_WAY = "drill_under_way"


async def show(store: Store, *, now: float) -> DrillLease | None:
    """The lease in force at `now`, or None."""
    found = await store.read(drill_lease.get)
    return found if found is not None and found.until > now else None


async def begin(store: Store, scenario: str, who: str, *, seconds: float, now: float, actor: str) -> DrillLease:
    """A lease for `seconds`; raises Conflict (`drill_under_way`) while another drill has one."""
    wanted = DrillLease(f"drill_{secrets.token_hex(8)}", scenario, who, since=now, until=now + seconds)

    def work(tx: Connection) -> DrillLease:
        before = drill_lease.get(tx)
        if not drill_lease.take(tx, wanted):
            holder = drill_lease.get(tx) or before
            raise _under_way(holder, now) if holder else Conflict("Another drill has just begun.", code=UNDER_WAY)
        if before is not None:
            _note_end(tx, before, now=now, actor=actor, lapsed=True)
        data = {"id": wanted.drill, "scenario": scenario, "who": who}
        events.append(tx, EventKind.DRILL_BEGAN, at=now, actor=actor, data=data)
        return wanted

    return await store.write(work)


async def renew(store: Store, drill: str, *, seconds: float, now: float) -> DrillLease:
    """The lease of that drill, for `seconds` from `now`. Raises Conflict where another drill has the gateway, NotFound
    where none of this id holds a lease."""

    def work(tx: Connection) -> DrillLease:
        renewed = drill_lease.renew(tx, drill, now + seconds)
        found = drill_lease.get(tx)
        if renewed and found is not None:
            return found
        if found is not None and found.until > now:
            raise _under_way(found, now)
        raise _unknown(drill)

    return await store.write(work)


async def end(store: Store, drill: str, *, now: float, actor: str) -> DrillLease:
    """Ends that drill's lease; what it was. Raises NotFound where it holds none."""

    def work(tx: Connection) -> DrillLease:
        found = drill_lease.get(tx)
        if found is None or found.drill != drill or not drill_lease.delete(tx, drill):
            raise _unknown(drill)
        _note_end(tx, found, now=now, actor=actor, lapsed=False)
        return replace(found, until=min(found.until, now))

    return await store.write(work)


def _note_end(tx: Connection, lease: DrillLease, *, now: float, actor: str, lapsed: bool) -> None:
    data = {"id": lease.drill, "scenario": lease.scenario, "lapsed": lapsed}
    events.append(tx, EventKind.DRILL_ENDED, at=now, actor=actor, data=data)


def _under_way(lease: DrillLease, now: float) -> Conflict:
    since = datetime.fromtimestamp(lease.since, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
    return Conflict(
        f"A drill has this gateway: {lease.scenario} since {since}, run by {lease.who} ({lease.drill}). Nothing was "
        "changed. Wait until it ends, or stop it where it runs. If it was killed, its lease runs out in "
        f"{max(1, round(lease.until - now))} s.",
        code=UNDER_WAY,
    )


def _unknown(drill: str) -> NotFound:
    return NotFound(f"No drill {drill} has this gateway; its lease was ended, or another's took its place.")
