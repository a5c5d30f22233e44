"""Signal rows: one Security Event Token (RFC 8417) for one sink, and how its delivery went."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.store import attempts
from gateway.store.attempts import Outbox
from gateway.store.protocol import Connection, Row

OUTBOX = Outbox("signals", lane="sink", order="seq")


class SignalState(StrEnum):
    """How a signal stands."""

    PENDING = "pending"  # it is owed: waits for an attempt or for its sink, or is in flight
    DELIVERED = "delivered"  # the sink answered 202
    DEAD = "dead"  # the sink refused it, or every attempt failed
    DROPPED = "dropped"  # its sink was disabled or deleted


@dataclass(frozen=True)
class NewSignal:
    """What to tell one sink. `id` is the token's `jti`, `event` the event's claims as JSON text."""

    id: str
    sink: str
    accessor: str | None
    kind: str
    event: str


@dataclass(frozen=True)
class Signal:
    """One row. `txn` names the cause, `accessor` the token that it is about (None for a verification); `status_code`,
    `err` (RFC 8935, section 2.4) and `error` are the last attempt's. Times are Unix seconds."""

    seq: int
    id: str
    sink: str
    txn: str
    accessor: str | None
    kind: str
    event: str
    state: SignalState
    attempts: int
    next_attempt_at: float | None
    status_code: int | None
    err: str | None
    error: str | None
    created_at: float
    ended_at: float | None


@dataclass(frozen=True)
class SignalCounts:
    """Signals of one cause: `sent` and acknowledged, still `owed`, `dead`, `dropped`."""

    sent: int
    owed: int
    dead: int
    dropped: int


def insert_all(tx: Connection, txn: str, new: Sequence[NewSignal], *, at: float) -> int:
    """Adds them in their order as one statement, due at once, or held where their sink is paused."""
    rows = [[one.id, one.sink, one.accessor, one.kind, one.event] for one in new]
    return tx.execute(
        "INSERT INTO signals (id, sink, txn, accessor, kind, event, state, next_attempt_at, created_at) "
        "SELECT json_extract(one.value, '$[0]'), sinks.id, :txn, json_extract(one.value, '$[2]'), "
        "json_extract(one.value, '$[3]'), json_extract(one.value, '$[4]'), 'pending', "
        "CASE WHEN sinks.status = 'enabled' THEN :at END, :at "
        "FROM json_each(:rows) AS one JOIN sinks ON sinks.id = json_extract(one.value, '$[1]') ORDER BY one.key",
        {"txn": txn, "at": at, "rows": json.dumps(rows)},
    )


def due(tx: Connection, now: float) -> list[Signal]:
    """The oldest due signal of each sink."""
    return [_signal(row) for row in attempts.due(tx, OUTBOX, now)]


def claim(tx: Connection, signal: Signal, *, now: float, until: float) -> Signal | None:
    """Takes the signal's next attempt, if its row still is as it was read; None where somebody was faster."""
    row = attempts.claim(tx, OUTBOX, signal, now=now, until=until)
    return _signal(row) if row else None


def set_err(tx: Connection, signal: Signal, err: str) -> None:
    """Notes the code with which the sink refused it."""
    tx.execute("UPDATE signals SET err = :err WHERE seq = :seq", {"err": err, "seq": signal.seq})


def hold(tx: Connection, sink: str) -> int:
    """Lets everything that a sink is owed wait for `release`."""
    return tx.execute(
        "UPDATE signals SET next_attempt_at = NULL WHERE state = 'pending' AND sink = :sink", {"sink": sink}
    )


def unclaim(tx: Connection, signal: Signal) -> bool:
    """Lets one wait as well, and takes back its attempt, in which nothing was sent."""
    changed = tx.execute(
        "UPDATE signals SET next_attempt_at = NULL, attempts = attempts - 1 "
        "WHERE seq = :seq AND attempts = :attempts AND state = 'pending'",
        {"seq": signal.seq, "attempts": signal.attempts},
    )
    return bool(changed)


def release(tx: Connection, sink: str, *, now: float) -> int:
    """Makes due whatever was held for a sink."""
    return tx.execute(
        "UPDATE signals SET next_attempt_at = :now "
        "WHERE state = 'pending' AND sink = :sink AND next_attempt_at IS NULL",
        {"sink": sink, "now": now},
    )


def get(tx: Connection, id: str) -> Signal | None:
    """One signal."""
    row = tx.fetch_one("SELECT * FROM signals WHERE id = :id", {"id": id})
    return _signal(row) if row else None


def newest(
    tx: Connection, *, sink: str | None, state: SignalState | None, txn: str | None, accessor: str | None, limit: int
) -> list[Signal]:
    """The log, newest first; what is None does not filter."""
    rows = tx.fetch_all(
        "SELECT * FROM signals WHERE (CAST(:sink AS TEXT) IS NULL OR sink = :sink) "
        "AND (CAST(:state AS TEXT) IS NULL OR state = :state) AND (CAST(:txn AS TEXT) IS NULL OR txn = :txn) "
        "AND (CAST(:accessor AS TEXT) IS NULL OR accessor = :accessor) "
        "ORDER BY seq DESC LIMIT :limit",
        {"sink": sink, "state": state, "txn": txn, "accessor": accessor, "limit": limit},
    )
    return [_signal(row) for row in rows]


def counts(tx: Connection, txn: str) -> SignalCounts:
    """How the signals of one cause stand."""
    rows = tx.fetch_all("SELECT state, count(*) AS n FROM signals WHERE txn = :txn GROUP BY state", {"txn": txn})
    found = Counter({row["state"]: row["n"] for row in rows})
    return SignalCounts(found["delivered"], found["pending"], found["dead"], found["dropped"])


def delete_all(tx: Connection) -> int:
    """Forgets every signal; only a reset does this."""
    return tx.execute("DELETE FROM signals")


def _signal(row: Row) -> Signal:
    fields = {name: row[name] for name in Signal.__dataclass_fields__}
    return Signal(**{**fields, "state": SignalState(row["state"])})
