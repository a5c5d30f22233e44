"""Who brings jobs to a worker's slots: the embedded loop here, which looks for the next one, or the engine, in
`delivery`. Either ends once the worker drains and no slot is busy, and goes on while the database does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.jobs import lifecycle
from gateway.settings import Settings
from gateway.store import Store
from gateway.store.jobs import Job

log = logging.getLogger("leakdrill.worker")


@dataclass(frozen=True)
class Post:
    """A worker as its dispatcher sees it. `attempt` renders a claimed job to whatever end; `wake_guard` lets the worker
    look at once whether its jobs are still its own."""

    name: str
    slots: int
    settings: Settings
    store: Store
    clock: Clock
    draining: asyncio.Event
    attempt: Callable[[Job], Awaitable[None]]
    wake_guard: Callable[[], None]

    async def pause(self, seconds: float) -> None:
        """Returns after so long, or when the worker drains."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.draining.wait()

    async def try_attempt(self, job: Job) -> bool:
        """Attempts it; False where the database went away. Then the lease decides: a job that could not be finished is
        taken over once that runs out."""
        try:
            await self.attempt(job)
        except StoreUnavailable as exc:
            log.warning("action=store_unavailable worker=%s reason=%s", self.name, exc)
            return False
        return True


class Dispatcher(Protocol):
    """Brings jobs until the worker drains."""

    async def run(self, post: Post) -> None: ...


class EmbeddedLoop:
    """Looks for as many jobs as slots are free, every `poll_seconds` while there are none."""

    async def run(self, post: Post) -> None:
        busy: set[asyncio.Task[bool]] = set()
        try:
            while not post.draining.is_set():
                jobs = await self._claim(post, post.slots - len(busy))
                busy |= {asyncio.create_task(post.try_attempt(job)) for job in jobs}
                if len(busy) == post.slots:
                    ended, busy = await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
                else:
                    ended = {one for one in busy if one.done()}
                    busy -= ended
                if not all(one.result() for one in ended) or (not jobs and not ended):
                    await post.pause(post.settings.poll_seconds)
            await asyncio.gather(*busy)
        finally:
            for one in busy:
                one.cancel()

    async def _claim(self, post: Post, free: int) -> list[Job]:
        try:
            return await lifecycle.claim_some(
                post.store,
                free,
                worker=post.name,
                now=post.clock.now(),
                lease_seconds=post.settings.lease_seconds,
                max_attempts=post.settings.max_attempts,
            )
        except StoreUnavailable as exc:
            log.warning("action=store_unavailable worker=%s reason=%s", post.name, exc)
            return []


def dispatcher(store: Store) -> Dispatcher:
    """The one that suits the database."""
    from gateway.jobs.delivery import Engine

    return Engine() if store.delivered else EmbeddedLoop()
