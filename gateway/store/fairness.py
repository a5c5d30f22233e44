"""Turns in a line that is shared fairly.

Start-time fair queueing, with a job as the unit: a job's turn is the line's, which is that of the job last taken from
it, or one more than the last that its token was given, whichever is later. So each token has one job in a turn, and one
that comes anew waits for at most one job of each other token, however many those have in line. A token shares its turns
with all that it minted and they minted: more child tokens are no larger share. Each priority is a line of its own.
Source: Goyal, Vin, Cheng, Start-time Fair Queuing, SIGCOMM 1996, https://doi.org/10.1145/248156.248171
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.store.job import Job
from gateway.store.protocol import Connection
from gateway.store.token import Token

_LINE = ""  # the root whose turn is the line's

_ROOT = """
    WITH RECURSIVE above (accessor, parent) AS (
        SELECT accessor, parent FROM tokens WHERE accessor = :accessor
        UNION SELECT up.accessor, up.parent FROM tokens AS up JOIN above ON up.accessor = above.parent)
    SELECT accessor FROM above WHERE parent IS NULL
"""
_KNOWN = "SELECT root, turn FROM turns WHERE root IN (:line, :root) AND priority = :priority"
_UNENDED = """
    SELECT 1 WHERE EXISTS (SELECT 1 FROM jobs WHERE status = 'queued' AND priority = :priority)
    OR EXISTS (SELECT 1 FROM jobs WHERE status = 'in_progress' AND priority = :priority)
"""
_NOTE = (
    "INSERT INTO turns (root, priority, turn) VALUES (:root, :priority, :turn) "
    "ON CONFLICT (root, priority) DO UPDATE SET turn = excluded.turn"
)


def root_of(tx: Connection, token: Token) -> str:
    """The accessor of the token from which all above it descend: its own unless it was minted."""
    if token.parent is None:
        return token.accessor
    row = tx.fetch_one(_ROOT, {"accessor": token.accessor})
    return str(row["accessor"]) if row else token.accessor


def take(tx: Connection, token: Token, priority: int) -> int:
    """The turn of the token's next job of this priority, noted as its last."""
    root = root_of(tx, token)
    params = {"line": _LINE, "root": root, "priority": priority}
    known = {row["root"]: row["turn"] for row in tx.fetch_all(_KNOWN, params)}
    turn: int = max(known.get(_LINE, 0), known.get(root, -1) + 1)
    # Where nobody waits or is served there is nobody to be fair to, and numbers stay small.
    if turn and tx.fetch_one(_UNENDED, {"priority": priority}) is None:
        tx.execute("DELETE FROM turns WHERE priority = :priority", {"priority": priority})
        turn = 0
    tx.execute(_NOTE, {"root": root, "priority": priority, "turn": turn})
    return turn


def give_back(tx: Connection, token: Token, priority: int) -> None:
    """For a job of the token that left the line without being served: its next has one turn less to wait for."""
    tx.execute(
        "UPDATE turns SET turn = turn - 1 WHERE root = :root AND priority = :priority",
        {"root": root_of(tx, token), "priority": priority},
    )


def served(tx: Connection, priority: int, turn: int) -> None:
    """A job of that turn was taken from the line. One that was given back to it may be of an earlier turn."""
    if turn:
        tx.execute(f"{_NOTE} WHERE turns.turn < excluded.turn", {"root": _LINE, "priority": priority, "turn": turn})


def served_all(tx: Connection, taken: Iterable[Job]) -> None:
    """The same of several jobs."""
    latest: dict[int, int] = {}
    for job in taken:
        latest[job.priority] = max(job.turn, latest.get(job.priority, 0))
    for priority, turn in latest.items():
        served(tx, priority, turn)


def forget(tx: Connection) -> None:
    """Forgets every turn."""
    tx.execute("DELETE FROM turns")
