"""Webhook delivery rows: what is to be told, to whom, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.store import attempts, defects
from gateway.store.attempts import Outbox
from gateway.store.defects import Defect
from gateway.store.protocol import Connection, Row

OUTBOX = Outbox("webhook_deliveries", lane="endpoint", order="next_attempt_at, seq")


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
    """Whether anything waits for an attempt."""
    return attempts.any_due(tx, OUTBOX, now)


def due(tx: Connection, now: float) -> list[Delivery]:
    """The most urgent due delivery of each endpoint."""
    return [_delivery(row) for row in attempts.due(tx, OUTBOX, now)]


def claim(tx: Connection, delivery: Delivery, *, now: float, until: float) -> Delivery | None:
    """Takes the delivery's next attempt, if its row still is as it was read; None where somebody was faster."""
    row = attempts.claim(tx, OUTBOX, delivery, now=now, until=until)
    return _delivery(row) if row else None


def stop_revoked(tx: Connection, revocation: str, *, why: str, now: float) -> int:
    """Stops what still waits for the tokens that a revocation took; the number of deliveries."""
    if defects.on(tx, Defect.HOOK_KEEPS_FIRING):
        return 0
    return tx.execute(
        "UPDATE webhook_deliveries SET state = 'stopped', next_attempt_at = NULL, error = :why, ended_at = :now "
        "WHERE state = 'pending' AND accessor IN (SELECT accessor FROM tokens WHERE revocation = :revocation)",
        {"why": why, "now": now, "revocation": revocation},
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
        "SELECT * FROM webhook_deliveries WHERE (CAST(:accessor AS TEXT) IS NULL OR accessor = :accessor) "
        "AND (CAST(:state AS TEXT) IS NULL OR state = :state) AND (CAST(:job AS TEXT) IS NULL OR job = :job) "
        "ORDER BY seq DESC LIMIT :limit",
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
