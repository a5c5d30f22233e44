"""What each token's client was seen doing, as counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.store.protocol import Connection


@dataclass(frozen=True)
class Finding:
    """One habit of one token's client. Times are Unix seconds; `example` is the newest case."""

    accessor: str
    finding: str
    count: int
    first_at: float
    last_at: float
    example: Mapping[str, object]


def add(tx: Connection, seen: Iterable[Finding]) -> None:
    """Adds to the counts."""
    for one in seen:
        tx.execute(
            "INSERT INTO client_findings (accessor, finding, count, first_at, last_at, example) "
            "VALUES (:accessor, :finding, :count, :first_at, :last_at, :example) "
            "ON CONFLICT (accessor, finding) DO UPDATE SET count = client_findings.count + excluded.count, "
            "first_at = CASE WHEN client_findings.first_at < excluded.first_at THEN client_findings.first_at "
            "ELSE excluded.first_at END, last_at = CASE WHEN client_findings.last_at > excluded.last_at "
            "THEN client_findings.last_at ELSE excluded.last_at END, example = excluded.example",
            {**vars(one), "example": json.dumps(one.example)},
        )


def of_tokens(tx: Connection, accessors: Iterable[str]) -> dict[str, list[Finding]]:
    """The findings of these tokens, the most frequent first."""
    return {
        accessor: [
            Finding(**{**dict(row), "example": json.loads(row["example"])})
            for row in tx.fetch_all(
                "SELECT * FROM client_findings WHERE accessor = :accessor ORDER BY count DESC, finding",
                {"accessor": accessor},
            )
        ]
        for accessor in accessors
    }


def delete_all(tx: Connection) -> int:
    """Forgets everything; only a reset does this."""
    return tx.execute("DELETE FROM client_findings")
