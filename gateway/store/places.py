"""Where jobs stand in the waiting line, from what the database keeps of it in `line_blocks`."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise

from gateway.store.job import Place
from gateway.store.protocol import Connection

_WITHIN_A_TURN = (
    "SELECT count(*) AS n FROM jobs "
    "WHERE status = 'queued' AND priority = :priority AND turn = :turn AND seq >= :from AND seq < :seq"
)
# In three pieces, for which both stores find their way in the index: see `counting` on `seq`.
_ACROSS_TURNS = """
    SELECT (SELECT count(*) FROM jobs
            WHERE status = 'queued' AND priority = :from_priority AND turn = :from_turn AND seq >= :from)
         + (SELECT count(*) FROM jobs WHERE status = 'queued'
            AND (priority, turn) >= (:from_priority, :after_from) AND (priority, turn) <= (:priority, :before))
         + (SELECT count(*) FROM jobs WHERE status = 'queued' AND priority = :priority AND turn = :turn AND seq < :seq)
    AS n
"""
_END: Place = (2**63 - 1, 2**63 - 1, 2**63 - 1)
_ORDER = "ORDER BY priority, turn, seq"
_REVERSED = "ORDER BY priority DESC, turn DESC, seq DESC"


@dataclass(frozen=True)
class Blocks:
    """The line in blocks, first served first: each one's first place, how many wait before it, and a number that
    changes with it; how many wait in all."""

    starts: tuple[Place, ...]
    before: tuple[int, ...]
    changes: tuple[int, ...]
    waiting: int

    def holding(self, place: Place) -> int:
        """Which block the place is in."""
        return bisect_right(self.starts, place) - 1


def blocks(tx: Connection) -> Blocks:
    """The line's blocks, of which there are one for some hundred waiting jobs."""
    rows = tx.fetch_all(f"SELECT priority, turn, seq, n, changes FROM line_blocks {_ORDER}")
    starts, counts, changes = [], [], []
    for priority, turn, seq, n, changed in rows:
        starts.append((priority, turn, seq))
        counts.append(n)
        changes.append(changed)
    before = tuple(accumulate(counts, initial=0))
    return Blocks(tuple(starts), before[:-1], tuple(changes), before[-1])


def waiting(tx: Connection) -> int:
    """How many jobs wait."""
    row = tx.fetch_one("SELECT coalesce(sum(n), 0) AS n FROM line_blocks")
    return row["n"] if row else 0


def first(tx: Connection, limit: int) -> tuple[Place, ...]:
    """The places of the jobs that are served first."""
    rows = tx.fetch_all(
        f"SELECT priority, turn, seq FROM jobs WHERE status = 'queued' {_ORDER} LIMIT :limit", {"limit": limit}
    )
    return tuple((priority, turn, seq) for priority, turn, seq in rows)


def lasts(tx: Connection) -> list[Place]:
    """The last place of each priority at which somebody waits, the priority that is served last first."""
    found: list[Place] = []
    below = "1 = 1"
    while True:
        row = tx.fetch_one(
            f"SELECT priority, turn, seq FROM jobs WHERE status = 'queued' AND {below} {_REVERSED} LIMIT 1",
            {"priority": found[-1][0]} if found else {},
        )
        if row is None:
            return found
        priority, turn, seq = row
        found.append((priority, turn, seq))
        below = "priority < :priority"


def rank(tx: Connection, start: Place, place: Place) -> int:
    """How many wait from `start` on and before `place`. It reads as many places of the index."""
    (from_priority, from_turn, seq), (priority, turn, before) = start, place
    own = {"priority": priority, "turn": turn, "from": seq, "seq": before}
    if (from_priority, from_turn) == (priority, turn):
        row = tx.fetch_one(_WITHIN_A_TURN, own)
    else:
        bounds = {"from_priority": from_priority, "from_turn": from_turn, "after_from": from_turn + 1}
        row = tx.fetch_one(_ACROSS_TURNS, {**own, **bounds, "before": turn - 1})
    return row["n"] if row else 0


def ahead_of(tx: Connection, place: Place) -> int:
    """How many will be served before that place: the whole blocks before its own, and what of that is before it."""
    row = tx.fetch_one(
        f"SELECT priority, turn, seq FROM line_blocks WHERE (priority, turn, seq) <= (:priority, :turn, :seq) "
        f"{_REVERSED} LIMIT 1",
        dict(zip(("priority", "turn", "seq"), place, strict=True)),
    )
    if row is None:
        return 0
    priority, turn, seq = row
    start = (priority, turn, seq)
    whole = tx.fetch_one(
        "SELECT coalesce(sum(n), 0) AS n FROM line_blocks WHERE (priority, turn, seq) < (:priority, :turn, :seq)",
        {"priority": priority, "turn": turn, "seq": seq},
    )
    return (whole["n"] if whole else 0) + rank(tx, start, place)


def recount(tx: Connection) -> None:
    """Counts each block anew, for SQLite's triggers pass over what a revocation takes from the line. It reads the whole
    line's index once, which for many jobs is far less than counting each as it goes."""
    line = blocks(tx)
    counts = (after - before for before, after in pairwise((*line.before, line.waiting)))
    for start, following, n in zip(line.starts, (*line.starts[1:], _END), counts, strict=True):
        found = rank(tx, start, following)
        if found != n:
            tx.execute(
                "UPDATE line_blocks SET n = :n, changes = changes + 1 "
                "WHERE priority = :priority AND turn = :turn AND seq = :seq",
                {"n": found, "priority": start[0], "turn": start[1], "seq": start[2]},
            )
