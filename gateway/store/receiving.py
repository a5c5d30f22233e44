"""A message becomes a claim: one conditional update of the row that it names."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store import fairness, jobs, messages
from gateway.store.job import Job, JobStatus
from gateway.store.leases import SILENT
from gateway.store.messages import LINE, LOW, ORDER, WINDOW, Message
from gateway.store.protocol import Connection
from gateway.store.tokens import GOOD


@dataclass(frozen=True)
class Taken:
    """A job that was claimed, and the message that led to it. `taken_from` is the worker that fell silent over it."""

    job: Job
    message: Message
    taken_from: str | None


# Fetched and claimed in one statement. `was` is the row as it stood. Only its own message claims it, so that a doubled
# one leads to nothing.
_TAKE = f"""
    WITH told AS MATERIALIZED ({messages.NEXT}), taken AS (
        UPDATE jobs SET status = 'in_progress', attempt = jobs.attempt + 1, worker = :worker, lease_until = :lease,
            started_at = coalesce(jobs.started_at, :now), progress = 0, step = NULL, steps = NULL
        FROM told, jobs AS was JOIN tokens USING (accessor)
        WHERE jobs.seq = was.seq AND was.id = told.job AND was.message = told.id
        AND ({GOOD} OR was.spared IS NOT NULL)
        AND (was.status = 'queued' AND (tokens.in_flight IS NULL OR tokens.in_flight > (
                SELECT count(*) FROM jobs WHERE status = 'in_progress' AND accessor = tokens.accessor))
            OR was.status = 'in_progress' AND was.{SILENT})
        RETURNING {jobs.COLUMNS_OF_JOBS}, was.status AS was_status, was.worker AS was_worker,
            coalesce(tokens.in_flight > {WINDOW}, TRUE) AND EXISTS (SELECT 1 FROM (
                SELECT message {LINE} {ORDER} LIMIT {LOW}) AS soon WHERE message IS NULL) AS few)
    SELECT told.id AS message, told.job, taken.* FROM told LEFT JOIN taken ON TRUE
"""


def take(tx: Connection, receiver: int | None, *, worker: str, now: float, lease_until: float) -> Taken | None:
    """The job of the next message that leads to one: it waits, or its worker fell silent, and it may be rendered. The
    messages before it are spent. None where there is no other message."""
    params = {"receiver": receiver, "worker": worker, "lease": lease_until, "now": now}
    while (row := tx.fetch_one(_TAKE, params)) is not None:
        id, named, *values, was, holder, few = row
        message = Message(id, named or "")
        if was is None:
            messages.drop(tx, message)
            continue
        job = jobs.job_of(values)
        if few:
            messages.refill(tx, job.accessor)
        if was == JobStatus.IN_PROGRESS:
            return Taken(job, message, holder)
        fairness.served(tx, job.priority, job.turn)
        return Taken(job, message, None)
    return None
