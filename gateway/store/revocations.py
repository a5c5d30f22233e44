"""Revocation rows."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gateway.store.protocol import Connection, Row


@dataclass(frozen=True)
class RevokedItem:
    """What a revocation did to one token: `revoked`, or `already` where it was revoked before."""

    accessor: str
    principal: str
    cohort: str
    outcome: str


@dataclass(frozen=True)
class Revocation:
    """One revocation. Times are Unix seconds; `tokens` counts the tokens that it changed."""

    id: str
    selector: dict[str, object]
    reason: str
    actor: str
    requested_at: float
    acknowledged_at: float
    tokens: int
    jobs_queued: int
    jobs_running: int
    items: tuple[RevokedItem, ...]


def insert(tx: Connection, revocation: Revocation) -> None:
    """Adds the row."""
    fields = dict(vars(revocation))
    fields["selector"] = json.dumps(revocation.selector)
    fields["items"] = json.dumps([vars(item) for item in revocation.items])
    tx.execute(
        "INSERT INTO revocations (id, selector, reason, actor, requested_at, acknowledged_at, tokens, jobs_queued, "
        "jobs_running, items) VALUES (:id, :selector, :reason, :actor, :requested_at, :acknowledged_at, :tokens, "
        ":jobs_queued, :jobs_running, :items)",
        fields,
    )


def get(tx: Connection, id: str) -> Revocation | None:
    """One revocation."""
    row = tx.fetch_one("SELECT * FROM revocations WHERE id = :id", {"id": id})
    return _revocation(row) if row else None


def newest(tx: Connection, limit: int) -> list[Revocation]:
    """The latest revocations, newest first."""
    rows = tx.fetch_all("SELECT * FROM revocations ORDER BY acknowledged_at DESC LIMIT :limit", {"limit": limit})
    return [_revocation(row) for row in rows]


def delete_all(tx: Connection) -> int:
    """Forgets every revocation; only a reset does this."""
    return tx.execute("DELETE FROM revocations")


def _revocation(row: Row) -> Revocation:
    fields = dict(row)
    fields["selector"] = json.loads(row["selector"])
    fields["items"] = tuple(RevokedItem(**item) for item in json.loads(row["items"]))
    return Revocation(**fields)
