"""Webhook endpoint rows: where a token's owner wants to be told."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gateway.store.protocol import Connection, Row


@dataclass(frozen=True)
class Endpoint:
    """One receiver. The secrets are kept as they are, because each delivery is signed with them; `old_secret` signs
    as well until `old_secret_until`. Times are Unix seconds."""

    id: str
    accessor: str
    name: str
    url: str
    event_types: tuple[str, ...]
    secret: str
    old_secret: str | None
    old_secret_until: float | None
    created_at: float
    updated_at: float

    def secrets(self, now: float) -> list[str]:
        """Those that sign now, the current one first."""
        old = self.old_secret if self.old_secret_until is not None and now < self.old_secret_until else None
        return [self.secret] if old is None else [self.secret, old]


def insert(tx: Connection, endpoint: Endpoint) -> None:
    """Adds the row."""
    tx.execute(
        "INSERT INTO webhook_endpoints (id, accessor, name, url, event_types, secret, old_secret, old_secret_until, "
        "created_at, updated_at) VALUES (:id, :accessor, :name, :url, :event_types, :secret, :old_secret, "
        ":old_secret_until, :created_at, :updated_at)",
        _fields(endpoint),
    )


def update(tx: Connection, endpoint: Endpoint) -> None:
    """Writes everything that can change."""
    tx.execute(
        "UPDATE webhook_endpoints SET name = :name, url = :url, event_types = :event_types, secret = :secret, "
        "old_secret = :old_secret, old_secret_until = :old_secret_until, updated_at = :updated_at WHERE id = :id",
        _fields(endpoint),
    )


def delete(tx: Connection, id: str) -> None:
    """Removes the row; its secrets go with it."""
    tx.execute("DELETE FROM webhook_endpoints WHERE id = :id", {"id": id})


def get(tx: Connection, id: str) -> Endpoint | None:
    """One endpoint, whoever owns it."""
    row = tx.fetch_one("SELECT * FROM webhook_endpoints WHERE id = :id", {"id": id})
    return _endpoint(row) if row else None


def owned(tx: Connection, accessor: str, *, after: str | None, limit: int) -> list[Endpoint]:
    """One token's endpoints older than `after`, newest first."""
    rows = tx.fetch_all(
        "SELECT * FROM webhook_endpoints WHERE accessor = :accessor "
        "AND (CAST(:after AS TEXT) IS NULL OR seq < (SELECT seq FROM webhook_endpoints WHERE id = :after)) "
        "ORDER BY seq DESC LIMIT :limit",
        {"accessor": accessor, "after": after, "limit": limit},
    )
    return [_endpoint(row) for row in rows]


def count(tx: Connection, accessor: str) -> int:
    """How many endpoints a token has."""
    row = tx.fetch_one("SELECT count(*) AS n FROM webhook_endpoints WHERE accessor = :accessor", {"accessor": accessor})
    return row["n"] if row else 0


def listening(tx: Connection, accessor: str, event_type: str) -> list[str]:
    """Ids of the token's endpoints that want `event_type`."""
    rows = tx.fetch_all(
        "SELECT id, event_types FROM webhook_endpoints WHERE accessor = :accessor ORDER BY seq", {"accessor": accessor}
    )
    return [row["id"] for row in rows if event_type in json.loads(row["event_types"])]


def delete_all(tx: Connection) -> int:
    """Forgets every endpoint; only a reset does this."""
    return tx.execute("DELETE FROM webhook_endpoints")


def _fields(endpoint: Endpoint) -> dict[str, object]:
    return {**vars(endpoint), "event_types": json.dumps(endpoint.event_types)}


def _endpoint(row: Row) -> Endpoint:
    fields = {name: row[name] for name in Endpoint.__dataclass_fields__}
    return Endpoint(**{**fields, "event_types": tuple(json.loads(row["event_types"]))})
