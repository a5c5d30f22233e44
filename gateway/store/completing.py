"""Attempts that finish: their jobs are completed, all that finish together by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.store import credits, messages
from gateway.store.protocol import Connection, named


@dataclass(frozen=True)
class Finished:
    """What an attempt at a job has made: its clip's file and bytes, and where its motion goes on, if it does."""

    id: str
    attempt: int
    file: str
    size: int
    next_tick: int | None = None


@dataclass(frozen=True)
class Completion:
    """A job that was completed. `spared` says that its token was revoked and it went on all the same; `listened`, that
    webhooks of its token may want to know."""

    spared: bool
    listened: bool


_VALUES = (
    "(CAST(:id{0} AS TEXT), CAST(:attempt{0} AS INTEGER), CAST(:file{0} AS TEXT), CAST(:size{0} AS BIGINT), "
    "CAST(:next_tick{0} AS BIGINT))"
)
_HELD = (
    "jobs.id = done.column1 AND jobs.attempt = done.column2 AND jobs.status = 'in_progress' "
    "AND coalesce(jobs.spared, '') <> 'withhold'"
)
# One statement: whoever ends jobs holds up everybody else who writes.
_COMPLETE = """
    UPDATE jobs SET status = 'completed', progress = 100, completed_at = :now, expires_at = :expires,
        file = done.column3, bytes = done.column4, next_tick = done.column5, lease_until = NULL
    FROM (VALUES {values}) AS done WHERE {held}
    RETURNING id, attempt, account, credits, accessor, spared,
        (SELECT in_flight FROM tokens WHERE tokens.accessor = jobs.accessor) AS in_flight,
        EXISTS (SELECT 1 FROM webhook_endpoints AS hook WHERE hook.accessor = jobs.accessor) AS listened
"""
# Takes their messages away with them.
_SPEND = """
    WITH spent AS (DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT jobs.message FROM jobs, (VALUES {values}) AS done WHERE {held}))
"""


@lru_cache(maxsize=128)
def _completing(number: int, delivered: bool) -> str:
    parts = {"values": ", ".join(_VALUES.format(at) for at in range(number)), "held": _HELD}
    return (_SPEND.format(**parts) if delivered else "") + _COMPLETE.format(**parts)


def complete(
    tx: Connection, finished: Sequence[Finished], *, now: float, expires_at: float
) -> dict[tuple[str, int], Completion]:
    """Completes the jobs of these attempts, and spends what was held for them; by job and attempt. One that is missing
    is no longer the attempt's, or what it made is withheld: its output must then be discarded."""
    sql = _completing(len(finished), tx.delivered)
    rows = tx.fetch_all(sql, {"now": now, "expires": expires_at, **named(map(vars, finished))})
    for row in rows:
        if row["account"] is not None:
            credits.capture(tx, row["account"], row["credits"])
    for accessor in sorted({row["accessor"] for row in rows if row["in_flight"] is not None}):
        messages.refill(tx, accessor)
    return {(row["id"], row["attempt"]): Completion(row["spared"] is not None, bool(row["listened"])) for row in rows}
