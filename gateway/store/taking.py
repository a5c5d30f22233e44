"""What a revocation does to, and finds at, everything that hangs on the tokens it takes.

Each call is over the tokens that a filter matches and whatever those minted.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store import credits, messages, places
from gateway.store.job import Job, JobStatus
from gateway.store.protocol import Connection
from gateway.store.streams import SILENT_SECONDS
from gateway.store.tokens import TokenFilter


@dataclass(frozen=True)
class Hanging:
    """What hangs on some tokens: jobs that wait and that are rendered, share links that play, webhook endpoints,
    deliveries that wait, event streams that are open in any gateway, credits that are held for the jobs."""

    queued: int
    running: int
    links: int
    endpoints: int
    deliveries: int
    streams: int
    credits: int


@dataclass(frozen=True)
class Stopped:
    """Jobs that were ended, and the credits that were given back for them."""

    jobs: int
    credits: int


def hanging(tx: Connection, which: TokenFilter, now: float) -> Hanging:
    """Counts on one snapshot; tokens that are revoked already hold nothing up."""
    theirs = "accessor IN (SELECT accessor FROM owners)"
    row = tx.fetch_one(
        f"WITH owners (accessor) AS (SELECT accessor FROM tokens WHERE state <> 'revoked' AND {which.tree()}) SELECT "
        f"(SELECT count(*) FROM jobs WHERE status = 'queued' AND {theirs}) AS queued, "
        f"(SELECT count(*) FROM jobs WHERE status = 'in_progress' AND {theirs}) AS running, "
        "(SELECT count(*) FROM jobs WHERE share <> 'private' AND share = 'approved' AND deleted_at IS NULL "
        f"AND expires_at > :now AND {theirs}) AS links, "
        f"(SELECT count(*) FROM webhook_endpoints WHERE {theirs}) AS endpoints, "
        f"(SELECT count(*) FROM webhook_deliveries WHERE state = 'pending' AND {theirs}) AS deliveries, "
        f"(SELECT count(*) FROM open_streams WHERE seen_at >= :alive AND {theirs}) AS streams",
        {**which.params(), "now": now, "alive": now - SILENT_SECONDS},
    )
    if row is None:
        raise LookupError("a row of counts is missing")
    reserved = sum(credits.held(tx, which, status) for status in (JobStatus.QUEUED, JobStatus.IN_PROGRESS))
    return Hanging(**dict(row), credits=reserved)


def stop_jobs(
    tx: Connection, which: TokenFilter, status: JobStatus, *, revocation: str, message: str, now: float
) -> Stopped:
    """Ends every job in `status`, those included that an earlier revocation had spared."""
    released = credits.release_held(tx, which, status)
    messages.withdraw(tx, which, status)
    ended = tx.execute(
        "UPDATE jobs SET status = 'failed', error_code = 'access_revoked', error_message = :message, "
        "completed_at = :now, lease_until = NULL, revocation = :revocation, spared = NULL "
        f"WHERE status = :job_status AND accessor IN (SELECT accessor FROM tokens WHERE {which.tree()})",
        {**which.params(), "message": message, "now": now, "revocation": revocation, "job_status": str(status)},
    )
    if ended and status is JobStatus.QUEUED:
        places.recount(tx)
    if ended and status is JobStatus.IN_PROGRESS:
        messages.tell_taken(tx)
    return Stopped(ended, released)


def spare_jobs(tx: Connection, which: TokenFilter, status: JobStatus, *, revocation: str, withhold: bool) -> int:
    """Lets every job in `status` go on although its token is revoked; the number of jobs. What they make is stored, or
    with `withhold` thrown away. What an earlier revocation withheld stays withheld."""
    return tx.execute(
        "UPDATE jobs SET spared = :spared, revocation = :revocation "
        "WHERE status = :job_status AND (spared IS NULL OR (spared = 'finish' AND :spared = 'withhold')) "
        f"AND accessor IN (SELECT accessor FROM tokens WHERE {which.tree()})",
        {
            **which.params(),
            "spared": "withhold" if withhold else "finish",
            "revocation": revocation,
            "job_status": str(status),
        },
    )


def spare_late(tx: Connection, job: Job) -> None:
    """Lets a job go its way that a gateway took although its token was revoked."""
    tx.execute(
        "UPDATE jobs SET spared = 'finish' WHERE seq = :seq "
        "AND accessor IN (SELECT accessor FROM tokens WHERE state = 'revoked')",
        {"seq": job.seq},
    )
    messages.refill(tx, job.accessor)


def spared(tx: Connection, id: str) -> str | None:
    """How a revocation spared the job: `finish`, `withhold`, or None where it is no such job."""
    row = tx.fetch_one("SELECT spared FROM jobs WHERE id = :id", {"id": id})
    return row["spared"] if row else None
