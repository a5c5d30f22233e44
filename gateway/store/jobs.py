"""Job rows: the truth about every video, whoever delivers the work."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from pydantic_core import to_json

from gateway.store import credits, fairness, messages, turns
from gateway.store.job import Job, JobStatus, Place, RenderRequest, id_at, reference_of, reference_text
from gateway.store.leases import SILENT, any_silent
from gateway.store.protocol import Connection
from gateway.store.tokens import GOOD

# What a job is can be had from here too, beside what is done with it.
__all__ = ["Job", "JobStatus", "Place", "RenderRequest", "id_at", "reference_of", "reference_text"]

_FIELDS = tuple(field.name for field in fields(Job))
COLUMNS = ", ".join(_FIELDS)
COLUMNS_OF_JOBS = ", ".join(f"jobs.{name}" for name in _FIELDS)
REMEMBERED = 4096  # characters
_STATUS = {str(status): status for status in JobStatus}


@dataclass(frozen=True)
class QueueCounts:
    """`waiting` and `running` jobs."""

    waiting: int
    running: int


def insert(
    tx: Connection,
    *,
    id: str,
    accessor: str,
    request: RenderRequest,
    at: float,
    priority: int = 0,
    turn: int = 0,
    fate: str | None = None,
) -> Job:
    """Adds a queued job."""
    seq = tx.insert(
        "INSERT INTO jobs (id, accessor, status, request, priority, turn, fate, created_at) "
        "VALUES (:id, :accessor, 'queued', :request, :priority, :turn, :fate, :at)",
        {
            "id": id,
            "accessor": accessor,
            "request": to_json(vars(request)).decode(),
            "priority": priority,
            "turn": turn,
            "fate": fate,
            "at": at,
        },
    )
    messages.refill(tx, accessor)
    return Job(seq, id, accessor, JobStatus.QUEUED, request, priority, turn, created_at=at, fate=fate)


def get(tx: Connection, id: str) -> Job | None:
    """The job, unless deleted."""
    row = tx.fetch_one(f"SELECT {COLUMNS} FROM jobs WHERE id = :id AND deleted_at IS NULL", {"id": id})
    return job_of(row) if row else None


def arrived(tx: Connection, accessor: str, id: str) -> bool:
    """Whether this token ever had such a job; a page may go on behind one that was deleted meanwhile."""
    params = {"accessor": accessor, "id": id}
    return tx.fetch_one("SELECT 1 FROM jobs WHERE id = :id AND accessor = :accessor", params) is not None


def owned(tx: Connection, accessor: str, *, after: str | None, limit: int, newest_first: bool) -> list[Job]:
    """One token's jobs beyond the job `after`, in order of arrival."""
    direction, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    rows = tx.fetch_all(
        f"SELECT {COLUMNS} FROM jobs WHERE accessor = :accessor AND deleted_at IS NULL "
        f"AND (CAST(:after AS TEXT) IS NULL OR seq {beyond} (SELECT seq FROM jobs WHERE id = :after)) "
        f"ORDER BY seq {direction} LIMIT :limit",
        {"accessor": accessor, "after": after, "limit": limit},
    )
    return [job_of(row) for row in rows]


def queue_counts(tx: Connection) -> QueueCounts:
    """The length of the line and of what is being rendered."""
    row = tx.fetch_one(
        "SELECT (SELECT coalesce(sum(n), 0) FROM line_blocks) AS waiting, "
        "(SELECT count(*) FROM jobs WHERE status = 'in_progress') AS running"
    )
    return QueueCounts(row["waiting"], row["running"]) if row else QueueCounts(0, 0)


def count_by_status(tx: Connection) -> dict[str, int]:
    """All jobs that are not deleted, by status."""
    rows = tx.fetch_all("SELECT status, count(*) AS n FROM jobs WHERE deleted_at IS NULL GROUP BY status")
    return {row["status"]: row["n"] for row in rows}


def running(tx: Connection) -> int:
    """How many jobs are being rendered."""
    row = tx.fetch_one("SELECT count(*) AS n FROM jobs WHERE status = 'in_progress'")
    return row["n"] if row else 0


def mean_render_seconds(tx: Connection, since: float = 0.0) -> float | None:
    """Seconds from start to finish over the last 20 finished jobs that started at or after `since`; None where none
    did. One that ended before it began, by clocks that were set meanwhile, says nothing."""
    row = tx.fetch_one(
        "SELECT avg(completed_at - started_at) AS seconds FROM (SELECT completed_at, started_at FROM jobs "
        "WHERE status = 'completed' AND completed_at >= :since AND started_at >= :since AND completed_at >= started_at "
        "ORDER BY completed_at DESC LIMIT 20) AS latest",
        {"since": since},
    )
    return row["seconds"] if row else None


def claimable(tx: Connection) -> bool:
    """Whether `claim` would find anything: a read, so that idle workers never take the write lock."""
    if any_silent(tx):
        return True
    return messages.any_waiting(tx) if tx.delivered else bool(turns.next_waiting(tx, 1))


def exhausted(tx: Connection, max_attempts: int) -> list[Job]:
    """Jobs whose worker fell silent in their last attempt."""
    rows = tx.fetch_all(
        f"SELECT {COLUMNS} FROM jobs WHERE status = 'in_progress' AND {SILENT} AND attempt >= :max",
        {"max": max_attempts},
    )
    return [job_of(row) for row in rows]


_CLAIM = (
    "UPDATE jobs SET status = 'in_progress', attempt = attempt + 1, worker = :worker, lease_until = :lease, "
    "started_at = coalesce(started_at, :now), progress = 0, step = NULL, steps = NULL, hold = NULL "
)


def claim_silent(tx: Connection, *, worker: str, now: float, lease_until: float) -> tuple[Job, str] | None:
    """Takes the first job whose worker fell silent, and says who that is. Its token must be good, or have been revoked
    so that the job goes on."""
    held = tx.fetch_one(
        "SELECT jobs.seq, jobs.worker FROM jobs JOIN tokens USING (accessor) "
        f"WHERE jobs.status = 'in_progress' AND jobs.{SILENT} "
        f"AND ({GOOD} OR jobs.spared IS NOT NULL) ORDER BY jobs.seq LIMIT 1"
    )
    if held is None:
        return None
    row = tx.fetch_one(
        f"{_CLAIM} WHERE seq = :seq AND status = 'in_progress' AND {SILENT} RETURNING {COLUMNS}",
        {"worker": worker, "lease": lease_until, "now": now, "seq": held["seq"]},
    )
    return (job_of(row), held["worker"]) if row else None


def claim_waiting(tx: Connection, most: int, *, worker: str, now: float, lease_until: float) -> list[Job]:
    """Takes those whose turn it is, `most` at most. The last one's turn is then the line's."""
    taken: list[Job] = []
    while len(taken) < most and (seqs := turns.next_waiting(tx, most - len(taken))):
        params = {f"seq{number}": seq for number, seq in enumerate(seqs)}
        rows = tx.fetch_all(
            f"{_CLAIM} WHERE status = 'queued' AND seq IN ({', '.join(map(':{}'.format, params))}) RETURNING {COLUMNS}",
            {"worker": worker, "lease": lease_until, "now": now, **params},
        )
        taken += sorted(map(job_of, rows), key=attrgetter("place"))
        if len(rows) < len(seqs):
            raise LookupError(f"of the jobs {seqs}, only {len(rows)} wait")
    fairness.served_all(tx, taken)
    return taken


def set_holds(tx: Connection, holds: Iterable[tuple[Job, float]]) -> None:
    """For how many seconds each of these attempts, just claimed, keeps its slot at the least."""
    for job, seconds in holds:
        tx.execute("UPDATE jobs SET hold = :hold WHERE seq = :seq", {"hold": seconds, "seq": job.seq})


def still_held(tx: Connection, held: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those of the attempts, each a job's id and a number, that may finish: not cancelled, revoked or taken over."""
    params = {f"id{number}": id for number, (id, _) in enumerate(held)}
    ids = ", ".join(f":{name}" for name in params)
    rows = tx.fetch_all(f"SELECT id, attempt FROM jobs WHERE status = 'in_progress' AND id IN ({ids})", params)
    return {(id, attempt) for id, attempt in rows}.intersection(held)


def extend(
    tx: Connection, id: str, attempt: int, *, lease_until: float, progress: int, step: int | None, steps: int | None
) -> bool:
    """A heartbeat: a longer lease and the progress so far. False where the attempt is no longer the holder."""
    return bool(
        tx.execute(
            "UPDATE jobs SET lease_until = :lease, progress = :progress, step = :step, steps = :steps "
            "WHERE id = :id AND attempt = :attempt AND status = 'in_progress'",
            {
                "lease": lease_until,
                "progress": progress,
                "step": step,
                "steps": steps,
                "id": id,
                "attempt": attempt,
            },
        )
    )


def fail(tx: Connection, id: str, *, code: str, message: str, now: float, attempt: int | None = None) -> bool:
    """Ends a job that has not ended, and gives back what was held for it; with `attempt`, only while that attempt holds
    it."""
    row = tx.fetch_one(
        "UPDATE jobs SET status = 'failed', error_code = :code, error_message = :message, completed_at = :now, "
        "lease_until = NULL WHERE id = :id AND status IN ('queued', 'in_progress') "
        "AND (CAST(:attempt AS BIGINT) IS NULL OR attempt = :attempt) "
        "RETURNING account, credits, message, accessor, worker",
        {"code": code, "message": message, "now": now, "id": id, "attempt": attempt},
    )
    if row is None:
        return False
    if row["account"] is not None:
        credits.release(tx, row["account"], row["credits"])
    messages.ended(tx, row["message"])
    messages.refill(tx, row["accessor"])
    if attempt is None and row["worker"] is not None:
        messages.tell_taken(tx)
    return True


def release(tx: Connection, id: str, attempt: int) -> bool:
    """Gives a job back to its old place in the line."""
    row = tx.fetch_one(
        "UPDATE jobs SET status = 'queued', worker = NULL, lease_until = NULL, progress = 0, step = NULL, "
        "steps = NULL WHERE id = :id AND attempt = :attempt AND status = 'in_progress' RETURNING accessor",
        {"id": id, "attempt": attempt},
    )
    if row is not None:
        messages.given_back(tx, id, row["accessor"])
    return row is not None


def mark_deleted(tx: Connection, id: str, at: float) -> None:
    """Hides the job from its owner; the row stays for the record."""
    tx.execute("UPDATE jobs SET deleted_at = :at WHERE id = :id", {"at": at, "id": id})


def delete_all(tx: Connection) -> int:
    """Forgets every job, and who had which turn; only a reset does this."""
    fairness.forget(tx)
    messages.delete_all(tx)
    return tx.execute("DELETE FROM jobs")


def unended(tx: Connection, ids: Iterable[str]) -> set[str]:
    """Those of the ids that name a job which waits or is being rendered."""
    sql = "SELECT 1 FROM jobs WHERE id = :id AND status IN ('queued', 'in_progress') AND deleted_at IS NULL"
    return {id for id in ids if tx.fetch_one(sql, {"id": id}) is not None}


def ended_with(tx: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Those of the ids that name a job which has ended, and its clip's file; empty where it has none, or was
    deleted."""
    sql = (
        "SELECT CASE WHEN deleted_at IS NULL THEN file END AS file FROM jobs "
        "WHERE id = :id AND status IN ('completed', 'failed')"
    )
    found = ((id, tx.fetch_one(sql, {"id": id})) for id in ids)
    return {id: row["file"] or "" for id, row in found if row is not None}


def _request(text: str) -> RenderRequest:
    # A video is polled many times, and what was asked for never changes; long ones would fill the memory.
    return _remembered(text) if len(text) <= REMEMBERED else _parsed(text)


def _parsed(text: str) -> RenderRequest:
    values = json.loads(text)
    # JSON has no tuples, and a request is compared and hashed by value.
    values["base_prompts"] = tuple(values["base_prompts"])
    values["colours"] = tuple(map(tuple, values["colours"]))
    return RenderRequest(**values)


_remembered = lru_cache(maxsize=4096)(_parsed)


def job_of(row: Iterable[Any]) -> Job:
    """From a row of `COLUMNS`: by place, because a look-up by name costs more than the query."""
    # Past `__init__`, which sets the fields of a frozen value one by one: polls are many.
    job = object.__new__(Job)
    values = job.__dict__
    values.update(zip(_FIELDS, row, strict=True))
    values["status"], values["request"] = _STATUS[values["status"]], _request(values["request"])
    return job
