"""Webhook delivery rows: what is to be told, to whom, and how it went.

A claim moves `next_attempt_at` beyond the longest that an attempt can take. So a row whose gateway was ended in the
middle becomes due again by itself, and two gateways never hold the same row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.store import defects
from gateway.store.defects import Defect
from gateway.store.protocol import Connection, Row


class DeliveryState(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"  # waits for its first or next attempt, or is in flight
    DELIVERED = "delivered"  # the receiver answered 2xx
    DEAD = "dead"  # every attempt failed
    STOPPED = "stopped"  # its token is no longer accepted, or its endpoint is gone


@dataclass(frozen=True)
class Delivery:
    """One event for one endpoint. `id` is the `webhook-id` of every attempt, `payload` the exact text that is signed
    and sent, `status_code` and `error` are the last attempt's. Times are Unix seconds."""

    seq: int
    id: str
    endpoint: str
    accessor: str
    job: str | None
    event_type: str
    payload: str
    state: DeliveryState
    attempts: int
    next_attempt_at: float | None
    status_code: int | None
    error: str | None
    created_at: float
    ended_at: float | None


def insert(
    tx: Connection, *, id: str, endpoint: str, accessor: str, job: str, event_type: str, payload: str, at: float
) -> None:
    """Adds a delivery that is due at once."""
    tx.execute(
        "INSERT INTO webhook_deliveries (id, endpoint, accessor, job, event_type, payload, state, next_attempt_at, "
        "created_at) VALUES (:id, :endpoint, :accessor, :job, :event_type, :payload, 'pending', :at, :at)",
        {
            "id": id,
            "endpoint": endpoint,
            "accessor": accessor,
            "job": job,
            "event_type": event_type,
            "payload": payload,
            "at": at,
        },
    )


def any_due(tx: Connection, now: float) -> bool:
    """Whether anything waits for an attempt: one step into an index, for a gateway that has nothing to do."""
    sql = "SELECT 1 FROM webhook_deliveries WHERE state = 'pending' AND next_attempt_at <= :now LIMIT 1"
    return tx.fetch_one(sql, {"now": now}) is not None


def due(tx: Connection, now: float) -> list[Delivery]:
    """The most urgent due delivery of each endpoint. The walk goes from endpoint to endpoint, so that thousands of
    deliveries to one receiver neither hide another's nor are read."""
    rows = tx.fetch_all(
        "WITH RECURSIVE lanes (endpoint) AS ("
        "SELECT min(endpoint) FROM webhook_deliveries WHERE state = 'pending' UNION ALL "
        "SELECT (SELECT min(endpoint) FROM webhook_deliveries WHERE state = 'pending' AND endpoint > lanes.endpoint) "
        "FROM lanes WHERE lanes.endpoint IS NOT NULL) "
        "SELECT * FROM webhook_deliveries WHERE seq IN ("
        "SELECT (SELECT seq FROM webhook_deliveries WHERE state = 'pending' AND endpoint = lanes.endpoint "
        "AND next_attempt_at <= :now ORDER BY next_attempt_at, seq LIMIT 1) FROM lanes) "
        "ORDER BY next_attempt_at, seq",
        {"now": now},
    )
    return [_delivery(row) for row in rows]


def claim(tx: Connection, delivery: Delivery, *, now: float, until: float) -> Delivery | None:
    """Takes the delivery's next attempt, if its row still is as it was read; None where somebody was faster."""
    row = tx.fetch_one(
        "UPDATE webhook_deliveries SET attempts = attempts + 1, next_attempt_at = :until "
        "WHERE seq = :seq AND attempts = :attempts AND state = 'pending' AND next_attempt_at <= :now RETURNING *",
        {"until": until, "now": now, "seq": delivery.seq, "attempts": delivery.attempts},
    )
    return _delivery(row) if row else None


def still_pending(tx: Connection, delivery: Delivery) -> bool:
    """Whether this attempt may still be sent."""
    return (
        tx.fetch_one(
            "SELECT 1 FROM webhook_deliveries WHERE seq = :seq AND attempts = :attempts AND state = 'pending'",
            {"seq": delivery.seq, "attempts": delivery.attempts},
        )
        is not None
    )


def end(
    tx: Connection, delivery: Delivery, state: DeliveryState, *, status_code: int | None, error: str | None, at: float
) -> bool:
    """Ends the delivery; False where it ended otherwise or another attempt has it."""
    return bool(
        tx.execute(
            "UPDATE webhook_deliveries SET state = :state, next_attempt_at = NULL, status_code = :status, "
            "error = :error, ended_at = :at WHERE seq = :seq AND attempts = :attempts AND state = 'pending'",
            {
                "state": str(state),
                "status": status_code,
                "error": error,
                "at": at,
                "seq": delivery.seq,
                "attempts": delivery.attempts,
            },
        )
    )


def postpone(tx: Connection, delivery: Delivery, *, until: float, status_code: int | None, error: str) -> bool:
    """Notes a failed attempt and when the next one is due."""
    return bool(
        tx.execute(
            "UPDATE webhook_deliveries SET next_attempt_at = :until, status_code = :status, error = :error "
            "WHERE seq = :seq AND attempts = :attempts AND state = 'pending'",
            {
                "until": until,
                "status": status_code,
                "error": error,
                "seq": delivery.seq,
                "attempts": delivery.attempts,
            },
        )
    )


def stop_revoked(tx: Connection, revocation: str, *, why: str, now: float) -> int:
    """Stops what still waits for the tokens that a revocation took; the number of deliveries."""
    if defects.on(tx, Defect.HOOK_KEEPS_FIRING):
        return 0
    return tx.execute(
        "UPDATE webhook_deliveries SET state = 'stopped', next_attempt_at = NULL, error = :why, ended_at = :now "
        "WHERE state = 'pending' AND accessor IN (SELECT accessor FROM tokens WHERE revocation = :revocation)",
        {"why": why, "now": now, "revocation": revocation},
    )


def stop_endpoint(tx: Connection, endpoint: str, *, why: str, now: float) -> int:
    """Stops what still waits for one endpoint; the number of deliveries."""
    return tx.execute(
        "UPDATE webhook_deliveries SET state = 'stopped', next_attempt_at = NULL, error = :why, ended_at = :now "
        "WHERE state = 'pending' AND endpoint = :endpoint",
        {"why": why, "now": now, "endpoint": endpoint},
    )


def get(tx: Connection, id: str) -> Delivery | None:
    """One delivery."""
    row = tx.fetch_one("SELECT * FROM webhook_deliveries WHERE id = :id", {"id": id})
    return _delivery(row) if row else None


def newest(
    tx: Connection, *, accessor: str | None, state: DeliveryState | None, job: str | None, limit: int
) -> list[Delivery]:
    """The log, newest first; what is None does not filter."""
    rows = tx.fetch_all(
        "SELECT * FROM webhook_deliveries WHERE (:accessor IS NULL OR accessor = :accessor) "
        "AND (:state IS NULL OR state = :state) AND (:job IS NULL OR job = :job) ORDER BY seq DESC LIMIT :limit",
        {"accessor": accessor, "state": None if state is None else str(state), "job": job, "limit": limit},
    )
    return [_delivery(row) for row in rows]


def again(tx: Connection, delivery: Delivery, *, now: float) -> None:
    """Makes it due now. One that had ended starts anew, with all its attempts."""
    tx.execute(
        "UPDATE webhook_deliveries SET attempts = CASE WHEN state = 'pending' THEN attempts ELSE 0 END, "
        "state = 'pending', next_attempt_at = :now, ended_at = NULL WHERE seq = :seq",
        {"now": now, "seq": delivery.seq},
    )


def delete_all(tx: Connection) -> int:
    """Forgets every delivery; only a reset does this."""
    return tx.execute("DELETE FROM webhook_deliveries")


def _delivery(row: Row) -> Delivery:
    fields = {name: row[name] for name in Delivery.__dataclass_fields__}
    return Delivery(**{**fields, "state": DeliveryState(row["state"])})
