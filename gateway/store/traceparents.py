"""The trace that a job belongs to, as W3C's `traceparent`, where requests are traced."""

from __future__ import annotations

from gateway.store.protocol import Connection


def put(tx: Connection, job: str, traceparent: str) -> None:
    """Notes it."""
    tx.execute("UPDATE jobs SET traceparent = :traceparent WHERE id = :job", {"traceparent": traceparent, "job": job})


def of(tx: Connection, job: str) -> str | None:
    """The job's; None where its request was not traced."""
    row = tx.fetch_one("SELECT traceparent FROM jobs WHERE id = :job", {"job": job})
    return row["traceparent"] if row else None
