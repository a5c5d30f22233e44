"""Sink rows: who is told of changes of access."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.store.protocol import Connection, Row


class SinkStatus(StrEnum):
    """What becomes of what a sink is owed (OpenID Shared Signals Framework 1.0)."""

    ENABLED = "enabled"  # it is sent
    PAUSED = "paused"  # it is held
    DISABLED = "disabled"  # it is dropped, and nothing new is written


@dataclass(frozen=True)
class Sink:
    """One receiver of security events. `issuer` is what its events name as theirs; `authorization` is the whole header
    that goes with each, kept as it is because it is sent. Times are Unix seconds."""

    id: str
    url: str
    issuer: str
    audience: str
    authorization: str | None
    status: SinkStatus
    created_at: float
    updated_at: float


def insert(tx: Connection, sink: Sink) -> None:
    """Adds the row."""
    tx.execute(
        'INSERT INTO sinks (id, url, issuer, audience, "authorization", status, created_at, updated_at) '
        "VALUES (:id, :url, :issuer, :audience, :authorization, :status, :created_at, :updated_at)",
        vars(sink),
    )


def update(tx: Connection, sink: Sink) -> None:
    """Writes everything that can change."""
    tx.execute(
        'UPDATE sinks SET url = :url, audience = :audience, "authorization" = :authorization, status = :status, '
        "updated_at = :updated_at WHERE id = :id",
        vars(sink),
    )


def delete(tx: Connection, id: str) -> None:
    """Removes the row, and its header with it."""
    tx.execute("DELETE FROM sinks WHERE id = :id", {"id": id})


def get(tx: Connection, id: str) -> Sink | None:
    """One sink."""
    row = tx.fetch_one("SELECT * FROM sinks WHERE id = :id", {"id": id})
    return _sink(row) if row else None


def every(tx: Connection) -> list[Sink]:
    """All of them, oldest first."""
    return [_sink(row) for row in tx.fetch_all("SELECT * FROM sinks ORDER BY seq")]


def listening(tx: Connection) -> list[str]:
    """Ids of those that are owed what happens now: all that are not disabled."""
    return [row["id"] for row in tx.fetch_all("SELECT id FROM sinks WHERE status <> 'disabled' ORDER BY seq")]


def delete_all(tx: Connection) -> int:
    """Forgets every sink; only a reset does this."""
    return tx.execute("DELETE FROM sinks")


def _sink(row: Row) -> Sink:
    fields = {name: row[name] for name in Sink.__dataclass_fields__}
    return Sink(**{**fields, "status": SinkStatus(row["status"])})
