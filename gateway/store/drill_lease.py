"""The one row that says whose drill has the gateway. A lease ends at `until` unless it is renewed before."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.protocol import Connection


@dataclass(frozen=True)
class DrillLease:
    """Times are Unix seconds."""

    drill: str
    scenario: str
    who: str
    since: float
    until: float


def get(tx: Connection) -> DrillLease | None:
    """The row, whether its time is over or not."""
    row = tx.fetch_one("SELECT drill, scenario, who, since, until FROM drill_lease WHERE id = 1")
    return None if row is None else DrillLease(*row)


def take(tx: Connection, lease: DrillLease) -> bool:
    """Puts that lease in its place; False where another one's time is not over at its `since`."""
    # One statement, so that of two that come together only one finds the place free.
    return bool(
        tx.execute(
            "INSERT INTO drill_lease (id, drill, scenario, who, since, until) "
            "VALUES (1, :drill, :scenario, :who, :since, :until) ON CONFLICT (id) DO UPDATE SET "
            "drill = excluded.drill, scenario = excluded.scenario, who = excluded.who, since = excluded.since, "
            "until = excluded.until WHERE drill_lease.until <= excluded.since",
            vars(lease),
        )
    )


def renew(tx: Connection, drill: str, until: float) -> bool:
    """Lets it last until then; False where that drill has no lease. One that has run out is renewed all the same, as
    long as no other has taken its place."""
    return bool(
        tx.execute("UPDATE drill_lease SET until = :until WHERE drill = :drill", {"until": until, "drill": drill})
    )


def delete(tx: Connection, drill: str) -> bool:
    """Takes that drill's lease away; False where it has none."""
    return bool(tx.execute("DELETE FROM drill_lease WHERE drill = :drill", {"drill": drill}))


def delete_all(tx: Connection) -> None:
    """Nobody's drill has the gateway."""
    tx.execute("DELETE FROM drill_lease", {})
