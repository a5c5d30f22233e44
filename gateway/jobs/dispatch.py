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
from gateway.jobs.finishing import Finisher
from gateway.jobs.lifecycle import Claimed
from gateway.settings import Settings
from gateway.store import Store

log = logging.getLogger("leakdrill.worker")


class Slots:
    """How many renders a worker may begin. One that is over frees its slot, while what it made is being published."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.free = number
        self._freed = asyncio.Event()

    def take(self) -> None:
        """A render is to begin."""
        self.free -= 1

    def give(self) -> None:
        """A render is over."""
        self.free += 1
        self._freed.set()

    async def wait(self) -> None:
        """Returns once a slot is free."""
        while self.free <= 0:
            self._freed.clear()
            await self._freed.wait()


@dataclass(frozen=True)
class Post:
    """A worker as its dispatcher sees it. `attempt` renders a claimed job to whatever end, for which a slot was taken;
    `wake_guard` lets the worker look at once whether its jobs are still its own; `finisher` publishes what was made."""

    name: str
    slots: Slots
    settings: Settings
    store: Store
    clock: Clock
    draining: asyncio.Event
    attempt: Callable[[Claimed], Awaitable[None]]
    wake_guard: Callable[[], None]
    finisher: Finisher

    async def pause(self, seconds: float) -> None:
        """Returns after so long, or when the worker drains."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.draining.wait()

    async def try_attempt(self, claimed: Claimed) -> bool:
        """Attempts it; False where the database went away. Then the lease decides: a job that could not be finished is
        taken over once that runs out."""
        try:
            await self.attempt(claimed)
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
        claimed: list[Claimed] = []
        try:
            while True:
                await post.slots.wait()
                # What is finished together is followed by as many, in the same commit.
                await post.finisher.gathered()
                if post.draining.is_set():
                    break
                ended = {one for one in busy if one.done()}
                busy -= ended
                # Where there was something to do a moment ago, there nearly always is again.
                claimed = await self._claim(post, look=not claimed)
                busy |= {self._begin(post, one) for one in claimed}
                if not all(one.result() for one in ended) or (not claimed and not ended):
                    await post.pause(post.settings.poll_seconds)
            await asyncio.gather(*busy)
        finally:
            for one in busy:
                one.cancel()

    @staticmethod
    def _begin(post: Post, claimed: Claimed) -> asyncio.Task[bool]:
        post.slots.take()
        return asyncio.create_task(post.try_attempt(claimed))

    async def _claim(self, post: Post, *, look: bool) -> list[Claimed]:
        try:
            return await lifecycle.claim_some(
                post.store,
                post.slots.free,
                worker=post.name,
                now=post.clock.now(),
                lease_seconds=post.settings.lease_seconds,
                max_attempts=post.settings.max_attempts,
                look=look,
            )
        except StoreUnavailable as exc:
            log.warning("action=store_unavailable worker=%s reason=%s", post.name, exc)
            return []
