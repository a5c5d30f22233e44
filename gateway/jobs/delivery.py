"""Jobs by Procrastinate: its worker waits for notifications, fetches messages and keeps so many slots busy.

What it asks of the database goes through our own store, by a job manager of ours: a message is fetched and its job
claimed in one transaction, and taken away in the one that ends the job. So a message is never without its row's word, a
database that goes away ends no worker, and nothing is written twice. What is lost or doubled all the same is mended
here, once in a while, by any worker: the lease decides, not the engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from procrastinate import App, JobContext
from procrastinate import jobs as engine
from procrastinate.connector import BaseAsyncConnector
from procrastinate.manager import JobManager, NotificationCallback

from gateway.errors import StoreUnavailable
from gateway.jobs import lifecycle
from gateway.jobs.dispatch import Post
from gateway.jobs.lifecycle import Claimed
from gateway.store import messages
from gateway.store.engine import analyse, changed_tables
from gateway.store.messages import QUEUE, SENT, TAKEN, TASK

log = logging.getLogger("leakdrill.worker")

POLL_SECONDS = 1.0  # between looks, where a notification was missed
RECOVER_SECONDS = 1.0  # between looks for jobs whose worker fell silent
RECONCILE_EVERY = 5  # of these looks also compares rows and messages
HEARTBEAT_SECONDS = 30.0  # of the engine's own list of workers, which decides nothing here
FORGET_SECONDS = 86_400.0  # after which the engine forgets a worker that was ended without a word


class _Manager(JobManager):
    """What the engine's worker asks, answered by our store. The worker fetches one message after the other; so that as
    many as it has free slots share a commit, `ready` holds those that it will ask for at once. `claimed` are those that
    it was given and has not begun."""

    def __init__(self, post: Post) -> None:
        super().__init__(BaseAsyncConnector())
        self.ready: deque[Claimed] = deque()
        self.claimed: dict[int, Claimed] = {}
        self._post = post
        self._told = 0  # notifications so far
        self._idle = True  # the last fetch found nothing

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> engine.Job | None:
        while not self.ready and not self._post.draining.is_set():
            told = self._told
            try:
                await self._fetch(worker_id)
            except StoreUnavailable as exc:
                log.warning("action=store_unavailable worker=%s reason=%s", self._post.name, exc)
                return None
            # What was told meanwhile would be forgotten by the worker, which takes it for what it has just looked at.
            if told == self._told:
                break
        if not self.ready:
            return None
        taken = self.ready.popleft()
        if taken.message is None:
            raise LookupError(f"no message led to job {taken.job.id}")
        self._post.slots.take()
        self.claimed[taken.message.id] = taken
        return engine.Job(
            id=taken.message.id,
            status=engine.Status.DOING.value,
            queue=QUEUE,
            lock=None,
            queueing_lock=None,
            task_name=TASK,
            task_kwargs={"job": taken.message.job},
            worker_id=worker_id,
        )

    async def _fetch(self, worker_id: int) -> None:
        post = self._post
        await post.finisher.settled()  # what is finished together is then followed by as many
        free = max(1, post.slots.free)
        if self._idle and not await post.store.read(messages.any_waiting, snapshot=False):
            return
        now, lease = post.clock.now(), post.settings.lease_seconds
        taken = await post.store.write(
            lambda tx: lifecycle.receive(tx, worker_id, free, worker=post.name, now=now, lease_seconds=lease)
        )
        self._idle = not taken
        self.ready.extend(taken)

    async def finish_job(self, job: engine.Job, status: engine.Status, delete_job: bool) -> None:
        """The transaction that ended the job took its message away. Where there was none, the lease decides."""

    async def give_back(self) -> None:
        """Releases what was fetched and is not to be begun any more."""
        for taken in self.ready:
            with suppress(StoreUnavailable):  # then the lease decides
                await lifecycle.release(self._post.store, taken.job, worker=self._post.name, now=self._post.clock.now())
        self.ready.clear()

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        return ()  # the guard knows what is no longer ours

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        told = self._post.store.listen((SENT, TAKEN))
        if told is None:
            return
        async for channel in told:
            if channel != SENT:
                self._post.wake_guard()
            if channel != TAKEN:
                self._told += 1
                await on_notification(channel=channel, notification={"type": "job_inserted", "job_id": 0})

    async def register_worker(self) -> int:
        return await self._post.store.write(messages.register)

    async def unregister_worker(self, worker_id: int) -> None:
        try:
            await self._post.store.write(lambda tx: messages.unregister(tx, worker_id))
        except StoreUnavailable as exc:
            log.warning("action=goodbye_not_written worker=%s reason=%s", self._post.name, exc)

    async def update_heartbeat(self, worker_id: int) -> None:
        with suppress(StoreUnavailable):  # the next one will do
            await self._post.store.write(lambda tx: messages.beat(tx, worker_id))

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        return await self._post.store.write(lambda tx: messages.forget(tx, seconds_since_heartbeat))


class Engine:
    """Delivery by Procrastinate."""

    async def run(self, post: Post) -> None:
        recovery = asyncio.create_task(_recover(post))
        try:
            while not post.draining.is_set():
                try:
                    await _work(post)
                except StoreUnavailable as exc:
                    log.warning("action=store_unavailable worker=%s reason=%s", post.name, exc)
                    await post.pause(POLL_SECONDS)
        finally:
            recovery.cancel()
            await asyncio.gather(recovery, return_exceptions=True)


async def _work(post: Post) -> None:
    """Runs the engine's worker until ours drains and no slot is busy; raises StoreUnavailable where it cannot begin."""
    manager = _Manager(post)
    app = App(connector=manager.connector)
    app.job_manager = manager

    @app.task(name=TASK, queue=QUEUE, pass_context=True)
    async def render(context: JobContext, job: str) -> None:
        await post.try_attempt(manager.claimed.pop(context.job.id or 0))

    worker = asyncio.create_task(
        app.run_worker_async(
            queues=[QUEUE],
            concurrency=post.slots.number,
            fetch_job_polling_interval=POLL_SECONDS,
            abort_job_polling_interval=FORGET_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=FORGET_SECONDS,
            install_signal_handlers=False,
        )
    )
    draining = asyncio.create_task(post.draining.wait())
    try:
        await asyncio.wait({worker, draining}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        draining.cancel()
        worker.cancel()  # it finishes what it has begun
        with suppress(asyncio.CancelledError):
            await worker
        await manager.give_back()


async def _recover(post: Post) -> None:
    """Has jobs delivered again whose worker fell silent, and now and then compares rows and messages."""
    beats = 0
    while True:
        await asyncio.sleep(RECOVER_SECONDS)
        beats += 1
        now = post.clock.now()
        try:
            attempts = post.settings.max_attempts
            await lifecycle.recover_silent(post.store, worker=post.name, now=now, max_attempts=attempts)
            if beats % RECONCILE_EVERY == 0:
                if await post.store.read(changed_tables):
                    await post.store.write(analyse)
                mended = await lifecycle.reconcile(post.store, actor=post.name, now=now)
                if mended:
                    log.warning("action=queue_mended worker=%s what=%s", post.name, mended)
        except StoreUnavailable as exc:
            log.warning("action=recovery_failed worker=%s reason=%s", post.name, exc)
