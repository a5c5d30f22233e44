"""The one row that says where the exercise stands: phase, replay clock, broadcast line, injects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.clock import ReplayClock
from gateway.store.protocol import Connection, Row


class Phase(StrEnum):
    """Where the exercise stands."""

    NORMAL = "normal"  # testers use their own tokens
    EXPOSED = "exposed"  # tokens are behind a public page
    REVOKED = "revoked"  # access was cut off


@dataclass(frozen=True)
class Exercise:
    """`phase_since` is Unix seconds."""

    phase: Phase
    phase_since: float | None
    broadcast: str | None
    clock: ReplayClock | None


def get(tx: Connection) -> Exercise:
    """The row as it is."""
    row = tx.fetch_one("SELECT * FROM exercise WHERE id = 1")
    if row is None:
        raise LookupError("the exercise row is missing")
    return Exercise(Phase(row["phase"]), row["phase_since"], row["broadcast"], clock_of(row))


def clock_of(row: Row) -> ReplayClock | None:
    """The row's replay clock, if it has one."""
    if row["anchor"] is None:
        return None
    return ReplayClock(
        anchor=row["anchor"],
        anchor_wall=row["anchor_wall"],
        speed=row["speed"],
        running=bool(row["running"]),
        utc_offset=row["utc_offset"],
    )


def set_phase(tx: Connection, phase: Phase, at: float) -> None:
    """Moves to `phase`."""
    tx.execute("UPDATE exercise SET phase = :phase, phase_since = :at WHERE id = 1", {"phase": str(phase), "at": at})


def set_broadcast(tx: Connection, text: str | None) -> None:
    """The line shown on every page; None takes it away."""
    tx.execute("UPDATE exercise SET broadcast = :text WHERE id = 1", {"text": text})


def set_clock(tx: Connection, clock: ReplayClock | None) -> None:
    """The replay clock; None takes it away."""
    tx.chain_end = None
    tx.execute(
        "UPDATE exercise SET anchor = :anchor, anchor_wall = :wall, speed = :speed, running = :running, "
        "utc_offset = :offset WHERE id = 1",
        {
            "anchor": clock.anchor if clock else None,
            "wall": clock.anchor_wall if clock else None,
            "speed": clock.speed if clock else None,
            "running": int(clock.running) if clock else None,
            "offset": clock.utc_offset if clock else None,
        },
    )


def mint_freeze(tx: Connection) -> str | None:
    """Which scopes no token is issued with, as JSON text; None where nothing is frozen."""
    row = tx.fetch_one("SELECT mint_frozen FROM exercise WHERE id = 1")
    return row["mint_frozen"] if row else None


def set_mint_freeze(tx: Connection, text: str | None) -> None:
    """Puts that text in its place; None thaws."""
    tx.execute("UPDATE exercise SET mint_frozen = :text WHERE id = 1", {"text": text})


def profile(tx: Connection) -> str | None:
    """The latency profile in force, as JSON text; None where none was ever set."""
    row = tx.fetch_one("SELECT profile FROM exercise WHERE id = 1")
    return row["profile"] if row else None


def set_profile(tx: Connection, text: str | None) -> None:
    """Puts that text in its place; None takes it away."""
    tx.execute("UPDATE exercise SET profile = :text WHERE id = 1", {"text": text})


def injects(tx: Connection) -> str | None:
    """What became of the planned injects, as JSON text; None where nothing did."""
    row = tx.fetch_one("SELECT injects FROM exercise WHERE id = 1")
    return row["injects"] if row else None


def set_injects(tx: Connection, text: str | None) -> None:
    """Puts that text in its place; None has all of them wait."""
    tx.execute("UPDATE exercise SET injects = :text WHERE id = 1", {"text": text})


def sunset(tx: Connection) -> tuple[str | None, ReplayClock | None]:
    """The planned end of the API, as JSON text, and the replay clock that its times are read on."""
    row = tx.fetch_one("SELECT * FROM exercise WHERE id = 1")
    return (row["sunset"], clock_of(row)) if row else (None, None)


def set_sunset(tx: Connection, text: str | None) -> None:
    """Puts that text in its place; None takes it away."""
    tx.execute("UPDATE exercise SET sunset = :text WHERE id = 1", {"text": text})
