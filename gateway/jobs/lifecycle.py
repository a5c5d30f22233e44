"""What a worker does to a job's row: claim, extend, finish, fail, release. Every step is fenced by the attempt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from gateway.errors import StoreUnavailable
from gateway.events import EventKind
from gateway.faults import latency
from gateway.jobs.silence import Silence
from gateway.jobs.surroundings import ensure_same_protocol
from gateway.store import (
    Connection,
    Store,
    completing,
    events,
    jobs,
    leases,
    mending,
    messages,
    receiving,
    taking,
    workers,
)
from gateway.store.completing import Finished
from gateway.store.events import Entry
from gateway.store.jobs import Job
from gateway.store.mending import Faults
from gateway.store.messages import Message
from gateway.webhooks import queueing

log = logging.getLogger("leakdrill.gateway")

WITHHELD = "Access was revoked while this video was rendered; what was made is not kept."
WORKER_LOST = "Every worker that tried to render this video fell silent."


@dataclass(frozen=True)
class Claimed:
    """A job that was claimed, the seconds of simulated time for which it keeps its slot at the least, and the message
    that led to it where an engine delivers."""

    job: Job
    hold_seconds: float
    message: Message | None = None


@dataclass(frozen=True)
class Held:
    """A heartbeat's word on one job: who holds it and how far it is. `progress` is percent."""

    id: str
    attempt: int
    accessor: str
    progress: int
    step: int | None
    steps: int | None
    moved: bool


async def claim(store: Store, *, worker: str, now: float, lease_seconds: float, max_attempts: int) -> Job | None:
    """Takes the next job, or one whose worker fell silent; None where there is nothing to do."""
    taken = await claim_some(store, 1, worker=worker, now=now, lease_seconds=lease_seconds, max_attempts=max_attempts)
    return taken[0].job if taken else None


async def claim_some(
    store: Store, most: int, *, worker: str, now: float, lease_seconds: float, max_attempts: int, look: bool = True
) -> list[Claimed]:
    """The same for as many slots as are free: one commit for all. `look` asks first, without the write lock, whether
    there is anything to do."""
    if look and not await store.read(jobs.claimable):
        return []

    def work(tx: Connection) -> list[Claimed]:
        silent = leases.any_silent(tx)
        if silent:
            recover(tx, worker=worker, now=now, max_attempts=max_attempts)
        if tx.delivered:
            return receive(tx, None, most, worker=worker, now=now, lease_seconds=lease_seconds)
        until, taken = now + lease_seconds, list[tuple[Job, str | None]]()
        while silent and len(taken) < most:
            one = jobs.claim_silent(tx, worker=worker, now=now, lease_until=until)
            if one is None:
                break
            taken.append(one)
        waiting = jobs.claim_waiting(tx, most - len(taken), worker=worker, now=now, lease_until=until)
        taken += [(job, None) for job in waiting]
        return _begun(tx, [(*one, None) for one in taken], now)

    return await store.write(work, brief=True)


def recover(tx: Connection, *, worker: str, now: float, max_attempts: int) -> None:
    """Ends the jobs whose worker fell silent in their last attempt, and has the engine deliver the others again."""
    for lost in jobs.exhausted(tx, max_attempts):
        if jobs.fail(tx, lost.id, code="worker_lost", message=WORKER_LOST, now=now, attempt=lost.attempt):
            _append(tx, EventKind.JOB_FAILED, lost, worker, now, {"code": "worker_lost"})
            queueing.job_ended(tx, queueing.FAILED, job=lost.id, accessor=lost.accessor, now=now)
    if tx.delivered:
        messages.redeliver_silent(tx)


async def recover_silent(store: Store, *, worker: str, now: float, max_attempts: int) -> None:
    """The same where there is such a job."""
    if await store.read(leases.any_silent, snapshot=False):
        await store.write(lambda tx: recover(tx, worker=worker, now=now, max_attempts=max_attempts))


async def reconcile(store: Store, *, actor: str, now: float, mend: bool = True) -> Faults:
    """Compares rows and messages, mends what is lost or doubled, and notes that in the event list; what was wrong."""
    found = await store.read(mending.faults)
    if not found or not mend:
        return found

    def work(tx: Connection) -> Faults:
        mended = mending.mend(tx)
        if mended:
            events.append(tx, EventKind.QUEUE_MENDED, at=now, actor=actor, data=asdict(mended))
        return mended

    return await store.write(work)


def receive(
    tx: Connection, receiver: int | None, most: int, *, worker: str, now: float, lease_seconds: float
) -> list[Claimed]:
    """The next jobs that the engine hands over, claimed in the same transaction. `receiver` is the engine's number of
    the worker."""
    taken = receiving.take(tx, receiver, most, worker=worker, now=now, lease_until=now + lease_seconds)
    return _begun(tx, [(one.job, one.taken_from, one.message) for one in taken], now)


def _begun(tx: Connection, taken: list[tuple[Job, str | None, Message | None]], now: float) -> list[Claimed]:
    """Tells of jobs that were claimed: each with who fell silent over it, and the message that led to it."""
    if not taken:
        return []
    events.append_all(tx, [_start(job, taken_from, now) for job, taken_from, _ in taken])
    holds = latency.holds_of(tx, [job for job, _, _ in taken], now)
    jobs.set_holds(tx, [(job, hold) for (job, _, _), hold in zip(taken, holds, strict=True) if hold > 0])
    return [Claimed(job, hold, message) for (job, _, message), hold in zip(taken, holds, strict=True)]


def _start(job: Job, taken_from: str | None, now: float) -> Entry:
    data: dict[str, object] = {"attempt": job.attempt}
    if taken_from is None:
        return _entry(EventKind.JOB_STARTED, job, str(job.worker), now, data)
    return _entry(EventKind.JOB_RECLAIMED, job, str(job.worker), now, {"from": taken_from, **data})


async def lost(store: Store, held: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of the (id, attempt) pairs that are no longer ours: cancelled, revoked, deleted or taken over."""
    still = await store.read(lambda tx: jobs.still_held(tx, held), snapshot=False)
    return [pair for pair in held if pair not in still]


async def ended(store: Store, job: Job) -> bool:
    """Whether no attempt at the job will follow: done, failed, cancelled, revoked or deleted."""
    return not await store.read(lambda tx: jobs.unended(tx, [job.id]))


async def beat(store: Store, worker: str, held: list[Held], *, now: float, lease_seconds: float) -> None:
    """Extends the leases, writes progress where it moved, and says that the worker lives."""

    def work(tx: Connection) -> None:
        workers.beat(tx, worker, now)
        for one in held:
            extended = jobs.extend(
                tx,
                one.id,
                one.attempt,
                lease_until=now + lease_seconds,
                progress=one.progress,
                step=one.step,
                steps=one.steps,
            )
            if extended and one.moved:
                data = {"progress": one.progress, "step": one.step, "steps": one.steps}
                events.append(
                    tx,
                    EventKind.JOB_PROGRESSED,
                    at=now,
                    actor=worker,
                    accessor=one.accessor,
                    job=one.id,
                    data=data,
                )

    await store.write(work)


async def look_for_silent(store: Store, silence: Silence) -> None:
    """One look at who renews their leases; what a silent worker holds may be taken from then on."""
    found = silence.look(await store.read(leases.held, snapshot=False))
    if found:
        await store.write(lambda tx: [leases.found_silent(tx, lease) for lease in found])


async def watch_leases(store: Store, *, lease_seconds: float, every: float) -> None:
    """Looks for silent workers until cancelled, for who renews no lease and so cannot know whether others could."""
    silence = Silence(lease_seconds, at_most=2 * every)
    while True:
        await asyncio.sleep(every)
        try:
            if silence.look(await store.read(leases.held, snapshot=False)):
                # They may all have waited for a database that took no writes: once it does, they get time to speak.
                await store.write(lambda tx: None)
                await asyncio.sleep(2 * every)
                await look_for_silent(store, silence)
        except StoreUnavailable as exc:
            log.warning("action=leases_not_watched reason=%s", exc)


async def complete(
    store: Store,
    job: Job,
    *,
    worker: str,
    file: str,
    size: int,
    now: float,
    keep_seconds: float,
    next_tick: int | None = None,
) -> bool:
    """Publishes the clip. False where the job was taken away meanwhile, or a revocation lets it end but withholds what
    it made: the output must then be discarded."""
    made = Finished(job.id, job.attempt, file, size, next_tick)
    [done] = await complete_all(store, [(job, made)], worker=worker, now=now, keep_seconds=keep_seconds)
    return done


async def complete_all(
    store: Store, made: Sequence[tuple[Job, Finished]], *, worker: str, now: float, keep_seconds: float
) -> list[bool]:
    """The same for clips that are finished at the same time: one commit for all."""

    def work(tx: Connection) -> list[bool]:
        done = completing.complete(tx, [one for _, one in made], now=now, expires_at=now + keep_seconds)
        told = [(job, one, done[job.id, job.attempt]) for job, one in made if (job.id, job.attempt) in done]
        events.append_all(tx, [_completed(job, one, worker, now) for job, one, _ in told])
        for job, _, completion in told:
            if completion.listened and not completion.spared:
                queueing.job_ended(tx, queueing.COMPLETED, job=job.id, accessor=job.accessor, now=now)
        for job, _ in made:
            if (job.id, job.attempt) not in done:
                _withhold(tx, job, worker, now)
        return [(job.id, job.attempt) in done for job, _ in made]

    return await store.write(work, brief=True)


def _completed(job: Job, made: Finished, worker: str, now: float) -> Entry:
    return _entry(EventKind.JOB_COMPLETED, job, worker, now, {"bytes": made.size, "attempt": job.attempt})


def _withhold(tx: Connection, job: Job, worker: str, now: float) -> None:
    """Ends a job that a revocation let end, but not keep what it made; any other is not this attempt's any more."""
    if taking.spared(tx, job.id) != "withhold":
        return
    if jobs.fail(tx, job.id, code="access_revoked", message=WITHHELD, now=now, attempt=job.attempt):
        data = {"code": "access_revoked", "message": WITHHELD, "withheld": True}
        _append(tx, EventKind.JOB_FAILED, job, worker, now, data)


async def fail(store: Store, job: Job, *, worker: str, code: str, message: str, now: float) -> bool:
    """Ends the job with an error, if it is still this attempt's."""

    def work(tx: Connection) -> bool:
        ended = jobs.fail(tx, job.id, code=code, message=message, now=now, attempt=job.attempt)
        if ended:
            _append(tx, EventKind.JOB_FAILED, job, worker, now, {"code": code, "message": message})
            queueing.job_ended(tx, queueing.FAILED, job=job.id, accessor=job.accessor, now=now)
        return ended

    return await store.write(work, brief=True)


async def release(store: Store, job: Job, *, worker: str, now: float) -> bool:
    """Gives the job back to its place in the line: a worker that must stop at once."""

    def work(tx: Connection) -> bool:
        released = jobs.release(tx, job.id, job.attempt)
        if released:
            _append(tx, EventKind.JOB_RELEASED, job, worker, now, {"attempt": job.attempt})
        return released

    return await store.write(work, brief=True)


async def worker_started(store: Store, worker: workers.Worker) -> None:
    """Registers a worker; raises OperatorError where others live that are of another version."""

    def work(tx: Connection) -> None:
        ensure_same_protocol(workers.alive(tx, worker.started_at - workers.SILENCE_SECONDS))
        workers.register(tx, worker)
        data = {"host": worker.host, "pid": worker.pid, "slots": worker.slots, "version": worker.version}
        events.append(tx, EventKind.WORKER_STARTED, at=worker.started_at, actor=worker.name, data=data)

    await store.write(work)


async def worker_stopped(store: Store, name: str, *, now: float) -> None:
    """A worker says goodbye."""

    def work(tx: Connection) -> None:
        workers.stop(tx, name, now)
        events.append(tx, EventKind.WORKER_STOPPED, at=now, actor=name)

    await store.write(work)


def _append(tx: Connection, kind: EventKind, job: Job, worker: str, now: float, data: Mapping[str, object]) -> None:
    events.append_all(tx, [_entry(kind, job, worker, now, data)])


def _entry(kind: EventKind, job: Job, worker: str, now: float, data: Mapping[str, object]) -> Entry:
    return Entry(kind, now, worker, job.accessor, job.id, data)
