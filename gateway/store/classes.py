"""A school class and its seats. At most one class is open; of ended ones only their ids and times stay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.store.protocol import Connection, Row

MOST_ENDED = 50  # of which a code is told to be stale, and not wrong


@dataclass(frozen=True)
class ClassRow:
    """A class; times are Unix seconds, `ended_at` None while it is open."""

    id: str
    opened_at: float
    ended_at: float | None


@dataclass(frozen=True)
class Seat:
    """One student's place. `taken_by` is `join`, or `paper` where the token was printed; None while it is free.
    `resets` is how often it was freed again."""

    number: int
    name: str
    accessor: str
    taken_at: float | None = None
    taken_by: str | None = None
    resets: int = 0


def insert(tx: Connection, row: ClassRow, seats: Iterable[Seat]) -> None:
    """Adds an open class; the database refuses a second one."""
    tx.execute(
        "INSERT INTO classes (id, state, opened_at) VALUES (:id, 'open', :at)", {"id": row.id, "at": row.opened_at}
    )
    for seat in seats:
        tx.execute(
            "INSERT INTO class_seats (class, number, name, accessor) VALUES (:class, :number, :name, :accessor)",
            {"class": row.id, "number": seat.number, "name": seat.name, "accessor": seat.accessor},
        )


def open_one(tx: Connection) -> ClassRow | None:
    """The class that is open."""
    row = tx.fetch_one("SELECT id, opened_at, ended_at FROM classes WHERE state = 'open'")
    return ClassRow(*row) if row else None


def known(tx: Connection) -> list[ClassRow]:
    """The open class and the latest that have ended."""
    rows = tx.fetch_all(
        "SELECT id, opened_at, ended_at FROM classes ORDER BY state DESC, opened_at DESC, id LIMIT :most",
        {"most": MOST_ENDED + 1},
    )
    return [ClassRow(*row) for row in rows]


def seats(tx: Connection, id: str) -> list[Seat]:
    """The seats of a class, by number."""
    rows = tx.fetch_all(
        "SELECT number, name, accessor, taken_at, taken_by, resets FROM class_seats WHERE class = :id ORDER BY number",
        {"id": id},
    )
    return [_seat(row) for row in rows]


def take(tx: Connection, id: str, number: int, *, by: str, at: float) -> bool:
    """Takes a seat; False where somebody has it."""
    return bool(
        tx.execute(
            "UPDATE class_seats SET taken_at = :at, taken_by = :by "
            "WHERE class = :id AND number = :number AND taken_at IS NULL",
            {"id": id, "number": number, "by": by, "at": at},
        )
    )


def free(tx: Connection, id: str, number: int, *, before: str, accessor: str) -> bool:
    """Frees a seat, with another token than the one named `before`; False where it is not that one's any more."""
    return bool(
        tx.execute(
            "UPDATE class_seats SET accessor = :accessor, taken_at = NULL, taken_by = NULL, resets = resets + 1 "
            "WHERE class = :id AND number = :number AND accessor = :before",
            {"id": id, "number": number, "before": before, "accessor": accessor},
        )
    )


def end(tx: Connection, *, at: float) -> int:
    """Ends the open class and forgets its seats with their names; how many classes that were, 0 or 1."""
    tx.execute("DELETE FROM class_seats")
    return tx.execute("UPDATE classes SET state = 'ended', ended_at = :at WHERE state = 'open'", {"at": at})


def _seat(row: Row) -> Seat:
    return Seat(*row)
