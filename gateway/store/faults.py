"""Fault rules: which failures strike whom, and how often they have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.store.protocol import Connection, Row


@dataclass(frozen=True)
class FaultRow:
    """A rule as it is kept. `rule` is what was asked for; `remaining` counts down to 0, None where a rate decides;
    `created_at` and `until` are Unix seconds."""

    id: str
    rule: Mapping[str, Any]
    remaining: int | None
    fired: int
    created_at: float
    until: float | None


def insert(tx: Connection, row: FaultRow) -> None:
    """Adds a rule."""
    tx.execute(
        "INSERT INTO faults (id, rule, remaining, fired, created_at, until) "
        "VALUES (:id, :rule, :remaining, :fired, :created_at, :until)",
        {**vars(row), "rule": json.dumps(row.rule)},
    )


def everything(tx: Connection) -> list[FaultRow]:
    """All rules, oldest first, over or not."""
    return [_row(row) for row in tx.fetch_all("SELECT * FROM faults ORDER BY created_at, seq")]


def strike(tx: Connection, id: str, now: float) -> FaultRow | None:
    """Counts a strike; None where the rule is gone, over, or used up meanwhile."""
    row = tx.fetch_one(
        "UPDATE faults SET fired = fired + 1, remaining = remaining - 1 "
        "WHERE id = :id AND (remaining IS NULL OR remaining > 0) AND (until IS NULL OR until > :now) RETURNING *",
        {"id": id, "now": now},
    )
    return _row(row) if row else None


def delete(tx: Connection, id: str) -> FaultRow | None:
    """Takes a rule away; what it was, or None where there is none."""
    row = tx.fetch_one("DELETE FROM faults WHERE id = :id RETURNING *", {"id": id})
    return _row(row) if row else None


def delete_all(tx: Connection) -> int:
    """Takes every rule away; how many there were."""
    return tx.execute("DELETE FROM faults")


def _row(row: Row) -> FaultRow:
    return FaultRow(
        id=row["id"],
        rule=json.loads(row["rule"]),
        remaining=row["remaining"],
        fired=row["fired"],
        created_at=row["created_at"],
        until=row["until"],
    )
