"""Clips that a worker's slots finish at about the same time are published together: one statement, one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.store.completing import Finished
from gateway.store.jobs import Job

Made = tuple[Job, Finished]
QUIET_TURNS = 5  # of the event loop, microseconds each


class Finisher:
    """Gathers what is finished while the last ones are written. `publish_all` says of each whether it was published,
    and may raise."""

    def __init__(self, publish_all: Callable[[list[Made]], Awaitable[list[bool]]]) -> None:
        self._publish_all = publish_all
        self._waiting: list[tuple[Made, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._sent = asyncio.Event()

    async def publish(self, job: Job, made: Finished) -> bool:
        """Returns once the clip is published, or is not to be; raises what `publish_all` raises."""
        published: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(((job, made), published))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await published

    async def gathered(self) -> None:
        """Returns once what has been finished is on its way: what is then asked of the store comes with it."""
        if self._waiting:
            self._sent.clear()
            await self._sent.wait()

    async def settled(self) -> None:
        """Returns once nothing is being written."""
        while self._writing is not None:
            await asyncio.wait({self._writing})

    async def _gather(self) -> None:
        """Lets the event loop turn for as long as that brings more: attempts that began together, and end as fast as
        they begin, still begin one after the other."""
        seen, quiet = 0, 0
        while quiet < QUIET_TURNS:
            seen, quiet = len(self._waiting), quiet + 1 if len(self._waiting) == seen else 0
            await asyncio.sleep(0)

    async def _write(self) -> None:
        try:
            await self._gather()
            while self._waiting:
                batch, self._waiting = self._waiting, []
                self._sent.set()
                try:
                    done = await self._publish_all([made for made, _ in batch])
                except Exception as exc:  # noqa: BLE001  it belongs to those who wait
                    for _, published in batch:
                        if not published.done():
                            published.set_exception(exc)
                else:
                    for (_, published), one in zip(batch, done, strict=True):
                        if not published.done():
                            published.set_result(one)
        finally:
            self._writing = None
