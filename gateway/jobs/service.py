"""What a token's owner can do with jobs, and where a job stands."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gateway.errors import NotFound, QueueFull
from gateway.events import EventKind
from gateway.jobs.line import Line, Load
from gateway.store import Connection, Store, events, jobs, tokens
from gateway.store.jobs import Job, JobStatus, RenderRequest
from gateway.store.tokens import Token
from gateway.tokens import service as token_service
from gateway.webhooks import queueing

CANCELLED = "The video was cancelled."


@dataclass(frozen=True)
class Standing:
    """A job and its place: `ahead` waiting jobs before it (None unless queued), seconds to go (None once ended)."""

    job: Job
    ahead: int | None
    eta_seconds: float | None


def new_id() -> str:
    """A video's id. Its first 64 random bits are the clip's forensic mark."""
    return f"video_{secrets.token_hex(16)}"


async def submit(
    store: Store,
    line: Line,
    token: Token,
    request: RenderRequest,
    *,
    now: float,
    queue_limit: int,
    id: str | None = None,
    fate: str | None = None,
) -> Standing:
    """Queues a job. The token is checked again inside the transaction, so that none slips past a revocation.

    `id` is given where files lie ready under it, `fate` where the job is bound to meet a failure of that name.
    """
    id = id or new_id()

    def work(tx: Connection) -> Standing:
        current = token_service.ensure_accepted(tokens.by_accessor(tx, token.accessor), now)
        token_service.ensure_scope(current, token_service.WRITE)
        _ensure_room(tx, line, now, queue_limit)
        job = jobs.insert(tx, id=id, accessor=token.accessor, request=request, at=now, fate=fate)
        data = {"model": request.model, "size": request.size, "seconds": request.seconds}
        events.append(
            tx, EventKind.JOB_QUEUED, at=now, actor=token.principal, accessor=token.accessor, job=id, data=data
        )
        line.joined()
        return _standing(tx, line, job, now)

    return await store.write(work, brief=True)


async def show(store: Store, line: Line, token: Token, id: str, *, now: float) -> Standing:
    """One of the token's own jobs and where it stands; raises NotFound."""

    def work(tx: Connection) -> Standing:
        return _standing(tx, line, _own(tx, token, id), now)

    return await store.read(work)


async def poll(
    store: Store, line: Line, secret_hash: bytes, id: str, *, now: float
) -> tuple[Token | None, Standing | None]:
    """A bearer's token and, if the job is its own, how that stands: one snapshot for both, because polls are many.

    The token is not judged here; without a good one the standing must not be shown.
    """

    def work(tx: Connection) -> tuple[Token | None, Standing | None]:
        token, job = tokens.by_hash(tx, secret_hash), jobs.get(tx, id)
        if token is None or job is None or job.accessor != token.accessor:
            return token, None
        return token, _standing(tx, line, job, now)

    return await store.read(work)


async def page(
    store: Store, token: Token, *, after: str | None, limit: int, newest_first: bool
) -> tuple[list[Job], bool]:
    """The token's jobs beyond `after`, and whether more follow; raises NotFound for an unknown `after`."""

    def work(tx: Connection) -> list[Job]:
        if after is not None and not jobs.arrived(tx, token.accessor, after):
            raise unknown(after, "after")
        return jobs.owned(tx, token.accessor, after=after, limit=limit + 1, newest_first=newest_first)

    found = await store.read(work)
    return found[:limit], len(found) > limit


async def cancel(store: Store, line: Line, token: Token, id: str, *, now: float) -> Standing:
    """Ends the job if it has not ended; the worker lets go within a guard tick."""

    def work(tx: Connection) -> Standing:
        job = _own(tx, token, id)
        _stop(tx, job, token, now)
        return _standing(tx, line, _own(tx, token, id), now)

    return await store.write(work)


async def delete(store: Store, token: Token, id: str, *, now: float) -> Job:
    """Ends the job if need be and hides it; the job as it was, so that its file can be removed."""

    def work(tx: Connection) -> Job:
        job = _own(tx, token, id)
        _stop(tx, job, token, now)
        jobs.mark_deleted(tx, id, now)
        events.append(tx, EventKind.JOB_DELETED, at=now, actor=token.principal, accessor=token.accessor, job=id)
        return job

    return await store.write(work)


async def for_link(store: Store, id: str, *, now: float) -> Job:
    """The job behind a signed link, while its token is accepted; raises InvalidCredentials or NotFound."""

    def work(tx: Connection) -> Job:
        job = jobs.get(tx, id)
        if job is None:
            raise NotFound(f"There is no video {id[:80]!r}.", param="video_id")
        token_service.ensure_accepted(tokens.by_accessor(tx, job.accessor), now)
        return job

    return await store.read(work)


async def load(store: Store, line: Line, *, now: float) -> Load:
    """How busy the queue is."""
    return await store.read(lambda tx: line.load(tx, now))


def _own(tx: Connection, token: Token, id: str) -> Job:
    job = jobs.get(tx, id)
    if job is None or job.accessor != token.accessor:
        raise unknown(id, "video_id")
    return job


def unknown(id: str, param: str = "video_id") -> NotFound:
    """For a video that is not there, or not this token's: the answer does not tell which."""
    return NotFound(f"There is no video {id[:80]!r} under this key.", param=param)


def _stop(tx: Connection, job: Job, token: Token, now: float) -> None:
    if jobs.fail(tx, job.id, code="cancelled", message=CANCELLED, now=now):
        events.append(tx, EventKind.JOB_CANCELLED, at=now, actor=token.principal, accessor=token.accessor, job=job.id)
        queueing.job_ended(tx, queueing.FAILED, job=job.id, accessor=job.accessor, now=now)


def _ensure_room(tx: Connection, line: Line, now: float, queue_limit: int) -> None:
    waiting = line.waiting(tx, now, queue_limit)
    if waiting >= queue_limit:
        wait = max(1, round(line.load(tx, now).eta_seconds(waiting) / queue_limit))
        raise QueueFull(
            f"{waiting} videos are waiting, which is the limit. Try again later.",
            headers={"Retry-After": str(min(wait, 60))},
        )


def _standing(tx: Connection, line: Line, job: Job, now: float) -> Standing:
    if job.ended:
        return Standing(job, None, None)
    if job.status is JobStatus.QUEUED:
        ahead = line.ahead(tx, now, job)
        return Standing(job, ahead, line.load(tx, now).eta_seconds(ahead))
    return Standing(job, None, line.load(tx, now).render_seconds * (100 - job.progress) / 100)
