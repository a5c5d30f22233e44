"""Ask, withdraw, decide, play. A shared clip is as good as its owner's token: each request looks at both."""

from __future__ import annotations

import secrets

from gateway.errors import Conflict, NotFound
from gateway.events import EventKind
from gateway.jobs.service import own
from gateway.store import Connection, Store, events, jobs, shares, tokens
from gateway.store.jobs import Job, JobStatus
from gateway.store.shares import Shared, ShareState
from gateway.store.tokens import Token
from gateway.tokens import service as token_service

AUTOMATIC = "gateway"


async def show(store: Store, token: Token, id: str) -> Job:
    """One of the token's own jobs, whose `share` and `share_id` tell; raises NotFound."""
    return await store.read(lambda tx: own(tx, token, id))


async def ask(store: Store, token: Token, id: str, *, approval: bool, now: float) -> Job:
    """Asks for the clip to be shared. Without `approval` it is shared at once, else an operator decides. Asking again
    changes nothing, unless it was refused.

    Raises NotFound, or Conflict for a video that is not completed.
    """

    def work(tx: Connection) -> Job:
        token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        job = own(tx, token, id)
        if job.status is not JobStatus.COMPLETED:
            raise Conflict(
                f"Video {job.id} is {job.status}; it can be shared once it is completed.",
                param="video_id",
                code="video_not_ready",
                headers={"x-should-retry": "false"},
            )
        if job.expires_at is not None and job.expires_at <= now:
            raise NotFound(f"The content of video {job.id} has expired.", param="video_id", code="content_expired")
        state = ShareState(job.share)
        if state in (ShareState.PRIVATE, ShareState.REFUSED):
            _move(tx, job, ShareState.PENDING, EventKind.SHARE_REQUESTED, token.principal, now)
            state = ShareState.PENDING
        if state is ShareState.PENDING and not approval:
            _move(tx, job, ShareState.APPROVED, EventKind.SHARE_APPROVED, AUTOMATIC, now)
        return own(tx, token, id)

    return await store.write(work)


async def withdraw(store: Store, token: Token, id: str, *, now: float) -> Job:
    """Back to private; the link is gone for good, a later one is another. Raises NotFound."""

    def work(tx: Connection) -> Job:
        token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        job = own(tx, token, id)
        if job.share != ShareState.PRIVATE:
            _move(tx, job, ShareState.PRIVATE, EventKind.SHARE_WITHDRAWN, token.principal, now)
        return own(tx, token, id)

    return await store.write(work)


async def decide(store: Store, id: str, *, approve: bool, reason: str | None, now: float, actor: str) -> Job:
    """An operator's word. What is pending can be approved or refused, what is approved can be refused.

    Raises NotFound, or Conflict where there is nothing to decide.
    """

    def work(tx: Connection) -> Job:
        job = jobs.get(tx, id)
        if job is None:
            raise NotFound(f"There is no video {id[:80]!r}.", param="video_id")
        open_to = {ShareState.PENDING} if approve else {ShareState.PENDING, ShareState.APPROVED}
        if ShareState(job.share) not in open_to:
            raise Conflict(f"The share of video {job.id} is {job.share}; there is nothing to decide.", param="decision")
        token = tokens.by_accessor(tx, job.accessor)
        if approve and (token is None or not token.accepted(now)):
            raise Conflict(f"The token {job.accessor} is not accepted; its clips are not shared.", param="decision")
        to, kind = (
            (ShareState.APPROVED, EventKind.SHARE_APPROVED)
            if approve
            else (ShareState.REFUSED, EventKind.SHARE_REFUSED)
        )
        _move(tx, job, to, kind, actor, now, reason)
        return jobs.get(tx, id) or job

    return await store.write(work)


async def listed(store: Store, *, state: ShareState | None, now: float, limit: int) -> list[Shared]:
    """What is not private, what waits for a decision first."""
    return await store.read(lambda tx: shares.all_shared(tx, state=state, now=now, limit=limit))


async def playable(store: Store, share_id: str, *, now: float) -> Job | None:
    """The job behind a link, if its share is approved, its token accepted and its clip not expired."""

    def work(tx: Connection) -> Job | None:
        id = shares.job_behind(tx, share_id)
        job = None if id is None else jobs.get(tx, id)
        if job is None or job.file is None or (job.expires_at is not None and job.expires_at <= now):
            return None
        token = tokens.by_accessor(tx, job.accessor)
        return job if token is not None and token.accepted(now) else None

    return await store.read(work)


def _move(
    tx: Connection, job: Job, to: ShareState, kind: EventKind, actor: str, now: float, reason: str | None = None
) -> None:
    share_id = secrets.token_urlsafe(24) if to is ShareState.APPROVED else None
    shares.set_state(tx, job.id, to, share_id)
    # The link itself stays out of the list: whoever reads events could play the clip.
    data = {"from": job.share, "to": str(to), "reason": reason}
    events.append(tx, kind, at=now, actor=actor, accessor=job.accessor, job=job.id, data=data)
