"""Rows that are to be sent somewhere: what the tables of such rows have in common.

A claim moves `next_attempt_at` beyond the longest that an attempt can take. So a row whose gateway was ended in the
middle becomes due again by itself, and two gateways never hold the same row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.store.protocol import Connection, Row


@dataclass(frozen=True)
class Outbox:
    """A table of such rows. `lane` is the column that names the receiver; `order` says which of a receiver's due rows
    goes first. Every row begins as `pending` and leaves that state once."""

    table: str
    lane: str
    order: str


class Attempt(Protocol):
    """A row as it was read: whoever counted the last attempt holds it."""

    @property
    def seq(self) -> int: ...

    @property
    def attempts(self) -> int: ...


def any_due(tx: Connection, outbox: Outbox, now: float) -> bool:
    """Whether anything waits for an attempt: one step into an index, for a gateway that has nothing to do."""
    sql = f"SELECT 1 FROM {outbox.table} WHERE state = 'pending' AND next_attempt_at <= :now LIMIT 1"
    return tx.fetch_one(sql, {"now": now}) is not None


def due(tx: Connection, outbox: Outbox, now: float) -> list[Row]:
    """The first due row of each receiver. The walk goes from receiver to receiver, so that thousands of rows for one
    neither hide another's nor are read."""
    table, lane = outbox.table, outbox.lane
    return tx.fetch_all(
        "WITH RECURSIVE lanes (lane) AS ("
        f"SELECT min({lane}) FROM {table} WHERE state = 'pending' UNION ALL "
        f"SELECT (SELECT min({lane}) FROM {table} WHERE state = 'pending' AND {lane} > lanes.lane) "
        "FROM lanes WHERE lanes.lane IS NOT NULL) "
        f"SELECT * FROM {table} WHERE seq IN ("
        f"SELECT (SELECT seq FROM {table} WHERE state = 'pending' AND {lane} = lanes.lane "
        f"AND next_attempt_at <= :now ORDER BY {outbox.order} LIMIT 1) FROM lanes) "
        "ORDER BY next_attempt_at, seq",
        {"now": now},
    )


def claim(tx: Connection, outbox: Outbox, attempt: Attempt, *, now: float, until: float) -> Row | None:
    """Takes the row's next attempt, if it still is as it was read; None where somebody was faster."""
    return tx.fetch_one(
        f"UPDATE {outbox.table} SET attempts = attempts + 1, next_attempt_at = :until "
        "WHERE seq = :seq AND attempts = :attempts AND state = 'pending' AND next_attempt_at <= :now RETURNING *",
        {"until": until, "now": now, "seq": attempt.seq, "attempts": attempt.attempts},
    )


def still_pending(tx: Connection, outbox: Outbox, attempt: Attempt) -> bool:
    """Whether this attempt may still be sent."""
    sql = f"SELECT 1 FROM {outbox.table} WHERE seq = :seq AND attempts = :attempts AND state = 'pending'"
    return tx.fetch_one(sql, {"seq": attempt.seq, "attempts": attempt.attempts}) is not None


def end(
    tx: Connection,
    outbox: Outbox,
    attempt: Attempt,
    state: str,
    *,
    status_code: int | None,
    error: str | None,
    at: float,
) -> bool:
    """Ends the row in `state`; False where it ended otherwise or another attempt has it."""
    ended = tx.execute(
        f"UPDATE {outbox.table} SET state = :state, next_attempt_at = NULL, status_code = :status, "
        "error = :error, ended_at = :at WHERE seq = :seq AND attempts = :attempts AND state = 'pending'",
        {
            "state": state,
            "status": status_code,
            "error": error,
            "at": at,
            "seq": attempt.seq,
            "attempts": attempt.attempts,
        },
    )
    return bool(ended)


def postpone(
    tx: Connection, outbox: Outbox, attempt: Attempt, *, until: float, status_code: int | None, error: str
) -> bool:
    """Notes a failed attempt and when the next one is due."""
    changed = tx.execute(
        f"UPDATE {outbox.table} SET next_attempt_at = :until, status_code = :status, error = :error "
        "WHERE seq = :seq AND attempts = :attempts AND state = 'pending'",
        {
            "until": until,
            "status": status_code,
            "error": error,
            "seq": attempt.seq,
            "attempts": attempt.attempts,
        },
    )
    return bool(changed)


def end_lane(tx: Connection, outbox: Outbox, receiver: str, state: str, *, why: str, now: float) -> int:
    """Ends in `state` whatever still waits for one receiver; the number of rows."""
    return tx.execute(
        f"UPDATE {outbox.table} SET state = :state, next_attempt_at = NULL, error = :why, ended_at = :now "
        f"WHERE state = 'pending' AND {outbox.lane} = :receiver",
        {"state": state, "why": why, "now": now, "receiver": receiver},
    )
