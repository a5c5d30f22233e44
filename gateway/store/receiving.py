"""A message becomes a claim: one conditional update of the row that it names."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store import fairness, jobs, messages
from gateway.store.job import Job, JobStatus
from gateway.store.leases import SILENT
from gateway.store.messages import LOW, ORDER, WINDOW, Message
from gateway.store.protocol import Connection
from gateway.store.tokens import GOOD


@dataclass(frozen=True)
class Taken:
    """A job that was claimed, and the message that led to it. `taken_from` is the worker that fell silent over it."""

    job: Job
    message: Message
    taken_from: str | None


# Fetched and claimed in one statement. `was` is a row as it stood. Only its own message claims it, so that a doubled
# one leads to nothing. Among the waiting jobs of a token, `nth` are claimed up to as many as it may have in flight.
_TAKE = f"""
    WITH told AS MATERIALIZED ({messages.NEXT}), fit AS (
        SELECT told.id AS message, was.seq, was.status, was.worker, tokens.accessor, tokens.in_flight,
            row_number() OVER (PARTITION BY was.accessor, was.status ORDER BY told.number) AS nth
        FROM told JOIN jobs AS was ON was.id = told.job AND was.message = told.id JOIN tokens USING (accessor)
        WHERE ({GOOD} OR was.spared IS NOT NULL)
        AND (was.status = 'queued' OR was.status = 'in_progress' AND was.{SILENT})
    ), taken AS (
        UPDATE jobs SET status = 'in_progress', attempt = jobs.attempt + 1, worker = :worker, lease_until = :lease,
            started_at = coalesce(jobs.started_at, :now), progress = 0, step = NULL, steps = NULL, hold = NULL
        FROM fit AS was
        WHERE jobs.seq = was.seq AND (was.status = 'in_progress' OR was.in_flight IS NULL
            OR was.in_flight >= was.nth + (
                SELECT count(*) FROM jobs WHERE status = 'in_progress' AND accessor = was.accessor))
        RETURNING {jobs.COLUMNS_OF_JOBS}, was.message AS by_message, was.status AS was_status,
            was.worker AS was_worker, coalesce(was.in_flight > {WINDOW}, TRUE) AS windowed)
    SELECT told.id AS message, told.job, taken.*, windowed AND EXISTS (SELECT 1 FROM (
        SELECT message FROM jobs WHERE status = 'queued' AND accessor = taken.accessor {ORDER}
        LIMIT {LOW} + CAST(:most AS INTEGER)) AS soon WHERE message IS NULL) AS few
    FROM told LEFT JOIN taken ON taken.by_message = told.id ORDER BY told.number
"""


def take(
    tx: Connection, receiver: int | None, most: int, *, worker: str, now: float, lease_until: float
) -> list[Taken]:
    """The jobs of the next messages that lead to one: they wait, or their worker fell silent, and they may be rendered.
    Messages that lead to none are spent. Fewer than `most` where there are no other messages."""
    found: list[Taken] = []
    params = {"receiver": receiver, "worker": worker, "lease": lease_until, "now": now}
    while len(found) < most and (rows := tx.fetch_all(_TAKE, {**params, "most": most - len(found)})):
        refilled: set[str] = set()
        for row in rows:
            id, named, *values, _by_message, was, holder, _windowed, few = row
            message = Message(id, named or "")
            if was is None:
                messages.drop(tx, message)
                continue
            job = jobs.job_of(values)
            if few:
                refilled.add(job.accessor)
            found.append(Taken(job, message, holder if was == JobStatus.IN_PROGRESS else None))
        for accessor in sorted(refilled):
            messages.refill(tx, accessor)
    fairness.served_all(tx, [one.job for one in found if one.taken_from is None])
    return found
