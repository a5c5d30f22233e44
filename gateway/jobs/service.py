"""What a token's owner can do with jobs, and where a job stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gateway.errors import NotFound, QueuedJobsExceeded
from gateway.events import EventKind
from gateway.jobs import room
from gateway.jobs.line import Line, Load
from gateway.jobs.room import MAX_RETRY_AFTER
from gateway.limits import Tier, credits, repeats
from gateway.limits.repeats import Attempt
from gateway.store import Connection, Store, defects, events, fairness, jobs, polls, taking, tokens, traceparents, turns
from gateway.store.defects import Defect
from gateway.store.jobs import Job, JobStatus, RenderRequest
from gateway.store.tokens import Token
from gateway.tokens import service as token_service
from gateway.webhooks import queueing

CANCELLED = "The video was cancelled."


@dataclass(frozen=True)
class Standing:
    """A job and its place: `ahead` waiting jobs before it (None unless queued), seconds to go (None once ended).

    `replayed` says that the request which asked for it had been sent before.
    """

    job: Job
    ahead: int | None
    eta_seconds: float | None
    replayed: bool = False

    @property
    def poll_after_ms(self) -> int | None:
        """When to ask again, in milliseconds; None once it has ended. OpenAI's poll helper keeps the first value it
        sees, so it must suit the whole wait."""
        return None if self.eta_seconds is None else min(2000, max(200, int(self.eta_seconds * 1000) // 5))


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
    tier: Tier | None = None,
    attempt: Attempt | None = None,
    traceparent: str | None = None,
) -> Standing:
    """Queues a job. The token is checked again inside the transaction, so that none slips past a revocation.

    `id` is given where files lie ready under it, `fate` where the job is bound to meet a failure of that name. `tier`
    bounds how many of the token's jobs wait, and says when they are served. Where `attempt` was made before, the answer
    is its job. A metered token's credits are held for it; raises InsufficientQuota where there are too few.
    """
    id = id or jobs.id_at(now)

    def work(tx: Connection) -> Standing:
        current = token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        before = _made_before(tx, line, token, attempt, now) if attempt is not None else None
        if before is not None:
            return before
        room.ensure(tx, line, token, now=now, limit=queue_limit)
        if tier is not None and tier.queued is not None:
            _ensure_own_room(tx, line, token, tier.queued, now)
        priority = tier.priority if tier is not None else 0
        turn = line.turn(tx, token, priority, now)
        job = jobs.insert(
            tx, id=id, accessor=token.accessor, request=request, at=now, priority=priority, turn=turn, fate=fate
        )
        if traceparent is not None:
            traceparents.put(tx, id, traceparent)
        if tx.sight is not None and tx.sight.blurred(tx):
            taking.spare_late(tx, job)
        if attempt is not None:
            repeats.remember(tx, token.accessor, attempt, id, now=now)
        data: dict[str, object] = {"model": request.model, "size": request.size, "seconds": request.seconds}
        if current.account is not None:
            data["credits"] = credits.reserve(tx, current.account, id, request)
        events.append(
            tx, EventKind.JOB_QUEUED, at=now, actor=token.principal, accessor=token.accessor, job=id, data=data
        )
        line.joined(job)
        return _standing(tx, line, job, now)

    return await store.write(work, brief=True)


async def made_before(store: Store, line: Line, token: Token, attempt: Attempt, *, now: float) -> Standing | None:
    """The job that the same request made before, as it stands now; None where there was none.

    Raises IdempotencyKeyReused, or InvalidCredentials where the token was revoked meanwhile.
    """

    def work(tx: Connection) -> Standing | None:
        token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        return _made_before(tx, line, token, attempt, now)

    return await store.read(work)


async def show(store: Store, line: Line, token: Token, id: str, *, now: float) -> Standing:
    """One of the token's own jobs and where it stands; raises NotFound."""

    def work(tx: Connection) -> Standing:
        return _standing(tx, line, own(tx, token, id), now)

    return await store.read(work)


async def poll(
    store: Store, line: Line, secret_hash: bytes, id: str, *, now: float
) -> tuple[Token | None, Standing | None]:
    """A bearer's token and, if the job is its own, how that stands: one snapshot for both, because polls are many.

    Every call reads the token's row anew; only what is known of the waiting line may be a moment old.

    The token is not judged here; without a good one the standing must not be shown.
    """

    def glance(tx: Connection) -> tuple[Token, Standing | None] | None:
        found = polls.glance(tx, secret_hash, id)
        # A token that is refused shall cost what an unknown one does: everything, once more.
        if found is None or not found[0].accepted(now):
            return None
        token, job = found
        standing = _known_standing(tx, line, job) if job is not None else None
        return (token, standing) if job is None or standing is not None else None

    def work(tx: Connection) -> tuple[Token | None, Standing | None]:
        token, job = tokens.by_hash(tx, secret_hash), jobs.get(tx, id)
        if token is None or job is None or job.accessor != token.accessor or not token.accepted(now):
            return token, None
        return token, _standing(tx, line, job, now)

    # Nearly always one statement tells all; where it does not, everything is read anew on one snapshot.
    seen = await store.read(glance, snapshot=False)
    return await store.read(work) if seen is None else seen


async def look(
    store: Store, line: Line, token: Token, id: str, *, since: int, now: float
) -> tuple[int, Standing] | None:
    """How the token's own job stands, and the newest event of the list; None where nothing at all has happened since
    the event `since`. The token is judged in the same snapshot.

    Raises InvalidCredentials, or NotFound for a job that was deleted.
    """

    def work(tx: Connection) -> tuple[int, Standing] | None:
        newest = events.last_seq(tx)
        if newest <= since:
            return None
        if not defects.on(tx, Defect.STREAM_UNCHECKED):
            token_service.ensure_still_good(tx, token, token_service.READ, now)
        return newest, _standing(tx, line, own(tx, token, id), now)

    return await store.read(work)


async def follow_from(store: Store, token: Token, id: str, last: int | None) -> int | None:
    """The event after which to follow the token's own job, for somebody who was told everything up to the event
    `last`; None where that included the job's end. Raises NotFound.

    A number that the list has not reached yet is of another list, and counts as none.
    """

    def work(tx: Connection) -> int | None:
        job = own(tx, token, id)
        if last is None or last > events.last_seq(tx):
            return 0
        end = events.end_of_job(tx, id) if job.ended else None
        return None if end is not None and end <= last else last

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
        job = own(tx, token, id)
        _stop(tx, job, token, now)
        return _standing(tx, line, own(tx, token, id), now)

    return await store.write(work)


async def delete(store: Store, token: Token, id: str, *, now: float) -> Job:
    """Ends the job if need be and hides it; the job as it was, so that its file can be removed."""

    def work(tx: Connection) -> Job:
        job = own(tx, token, id)
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
        if not defects.on(tx, Defect.LINK_OUTLIVES):
            token_service.ensure_accepted(tokens.by_accessor(tx, job.accessor), now)
        return job

    return await store.read(work)


async def load(store: Store, line: Line, *, now: float) -> Load:
    """How busy the queue is, right now."""
    return await store.read(lambda tx: line.load(tx, now, fresh=True))


def own(tx: Connection, token: Token, id: str, param: str = "video_id") -> Job:
    """One of the token's own jobs; raises NotFound naming `param`."""
    job = jobs.get(tx, id)
    if job is None or job.accessor != token.accessor:
        raise unknown(id, param)
    return job


def unknown(id: str, param: str = "video_id") -> NotFound:
    """For a video that is not there, or not this token's: the answer does not tell which."""
    return NotFound(f"There is no video {id[:80]!r} under this key.", param=param)


def _stop(tx: Connection, job: Job, token: Token, now: float) -> None:
    if jobs.fail(tx, job.id, code="cancelled", message=CANCELLED, now=now):
        if job.status is JobStatus.QUEUED:
            fairness.give_back(tx, token, job.priority)
        events.append(tx, EventKind.JOB_CANCELLED, at=now, actor=token.principal, accessor=token.accessor, job=job.id)
        queueing.job_ended(tx, queueing.FAILED, job=job.id, accessor=job.accessor, now=now)


def _ensure_own_room(tx: Connection, line: Line, token: Token, limit: int, now: float) -> None:
    if not turns.at_least_waiting(tx, token.accessor, limit):
        return
    oldest = turns.oldest_unended(tx, token.accessor)
    job = jobs.get(tx, oldest) if oldest is not None else None
    wait = _standing(tx, line, job, now).eta_seconds if job is not None else None
    raise QueuedJobsExceeded(
        f"{limit} of this token's videos wait, which is all that its tier {token.tier} allows. Try again once the "
        "oldest is done.",
        headers={"Retry-After": str(min(MAX_RETRY_AFTER, max(1, math.ceil(wait or 1))))},
    )


def _made_before(tx: Connection, line: Line, token: Token, attempt: Attempt, now: float) -> Standing | None:
    id = repeats.earlier_job(tx, token.accessor, attempt, now=now)
    job = jobs.get(tx, id) if id is not None else None
    if job is not None:
        return replace(_standing(tx, line, job, now), replayed=True)
    if id is not None and attempt.named:
        raise NotFound(
            "The video that this Idempotency-Key stands for was deleted. Send a new key to make another.",
            param="Idempotency-Key",
        )
    return None


def _known_standing(tx: Connection, line: Line, job: Job) -> Standing | None:
    """Where a job stands, as far as what was read of the line a moment ago tells it."""
    if job.ended:
        return Standing(job, None, None)
    load = line.recent()
    if load is None:
        return None
    if job.status is JobStatus.IN_PROGRESS:
        return _running(load, job)
    ahead = line.ahead(tx, load, job)
    return Standing(job, ahead, load.eta_seconds(ahead))


def _standing(tx: Connection, line: Line, job: Job, now: float) -> Standing:
    if job.ended:
        return Standing(job, None, None)
    load = line.load(tx, now)
    if job.status is JobStatus.IN_PROGRESS:
        return _running(load, job)
    ahead = line.ahead(tx, load, job)
    return Standing(job, ahead, load.eta_seconds(ahead))


def _running(load: Load, job: Job) -> Standing:
    return Standing(job, None, load.running_seconds(job) * (100 - job.progress) / 100)
