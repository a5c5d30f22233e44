"""A message becomes a claim: one conditional update of the row that it names."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store import jobs, messages
from gateway.store.job import Job, JobStatus
from gateway.store.messages import LOW, WINDOW, Message
from gateway.store.protocol import Connection
from gateway.store.tokens import GOOD


@dataclass(frozen=True)
class Taken:
    """A job that was claimed. `taken_from` names the worker that fell silent over it."""

    job: Job
    taken_from: str | None


# `was` is the row as it stood. Only its own message claims it, so that a doubled one leads to nothing.
_CLAIM = f"""
    UPDATE jobs SET status = 'in_progress', attempt = jobs.attempt + 1, worker = :worker, lease_until = :lease,
        started_at = coalesce(jobs.started_at, :now), progress = 0, step = NULL, steps = NULL
    FROM jobs AS was JOIN tokens USING (accessor)
    WHERE jobs.seq = was.seq AND was.id = :job AND was.message = :message
    AND ({GOOD} OR was.spared IS NOT NULL)
    AND (was.status = 'queued' AND (tokens.in_flight IS NULL OR tokens.in_flight > (
            SELECT count(*) FROM jobs WHERE status = 'in_progress' AND accessor = tokens.accessor))
        OR was.status = 'in_progress' AND was.lease_until < :now)
    RETURNING {jobs.COLUMNS_OF_JOBS}, was.status AS was_status, was.worker AS was_worker,
        coalesce(tokens.in_flight > {WINDOW}, TRUE) AND EXISTS (SELECT 1 FROM (
            SELECT message FROM jobs WHERE status = 'queued' AND accessor = tokens.accessor
            ORDER BY priority, seq LIMIT {LOW}) AS soon WHERE message IS NULL) AS few
"""
_COUNT = len(jobs.COLUMNS_OF_JOBS.split(", "))


def claim(tx: Connection, message: Message, *, worker: str, now: float, lease_until: float) -> Taken | None:
    """Takes the message's job if it waits, or its worker fell silent, and it may be rendered; None, and the message is
    spent, where not."""
    row = tx.fetch_one(
        _CLAIM, {"worker": worker, "lease": lease_until, "now": now, "job": message.job, "message": message.id}
    )
    if row is None:
        messages.drop(tx, message)
        return None
    *values, was, holder, few = row
    job = jobs.job_of(values)
    if few:
        messages.refill(tx, job.accessor)
    return Taken(job, holder if was == JobStatus.IN_PROGRESS else None)
