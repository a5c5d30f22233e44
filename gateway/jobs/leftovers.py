"""Clips that nobody will ever be served: what an attempt left that was ended without notice, or came too late.

A worker takes away what it has made in vain, and the next attempt what the one before has left. Where neither comes
about, because the job has ended meanwhile, the gateway does it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store import Store, jobs

log = logging.getLogger("leakdrill.gateway")

SWEEP_SECONDS = 15.0
SETTLING_SECONDS = 60.0  # how old a file is before it counts: a worker may be about to take it away itself
AT_ONCE = 200  # files in one question to the database


class Leftovers:
    """Sweeps the media directory. A clip that was found to be its job's is not asked about again."""

    def __init__(self, media: Path) -> None:
        self._media = media
        self._served: set[str] = set()

    async def run(self, store: Store) -> None:
        """Sweeps until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                # Wall time whatever the clock of the exercise is: it is compared with times of files.
                await self.sweep(store, now=time.time())
            except (StoreUnavailable, OSError) as exc:
                log.warning("action=leftovers_not_swept reason=%s", exc)

    async def sweep(self, store: Store, *, now: float) -> int:
        """Removes files of ended jobs that are not the clip their job ended with; how many. `now` is wall time, Unix
        seconds. What belongs to no known job is left alone: it may be somebody else's."""
        found = await asyncio.to_thread(lambda: sorted(self._unknown(now)))
        gone = 0
        for start in range(0, len(found), AT_ONCE):
            gone += await self._judge(store, found[start : start + AT_ONCE])
        if gone:
            log.info("action=leftovers_swept files=%s", gone)
        return gone

    async def _judge(self, store: Store, names: list[str]) -> int:
        ended = await store.read(lambda tx: jobs.ended_with(tx, {_job_of(name) for name in names}))
        gone = 0
        for name in names:
            clip = ended.get(_job_of(name))
            if clip is not None and _stem_of(name) == _stem_of(clip):
                self._served.add(_stem_of(name))
            elif clip is not None:
                try:
                    (self._media / name).unlink(missing_ok=True)
                except OSError as exc:  # the others can go all the same
                    log.warning("action=leftover_not_removed file=%s reason=%s", name, exc)
                else:
                    gone += 1
        return gone

    def _unknown(self, now: float) -> Iterator[str]:
        """Names of files that are old enough and not known to be served. Runs in a thread."""
        with os.scandir(self._media) as entries:
            for entry in entries:
                if _job_of(entry.name).startswith("video_") and _stem_of(entry.name) not in self._served:
                    with suppress(FileNotFoundError):
                        if now - entry.stat().st_mtime > SETTLING_SECONDS:
                            yield entry.name


def _job_of(name: str) -> str:
    return name.lstrip(".").partition(".")[0]


def _stem_of(name: str) -> str:
    """`video_….2` of `video_….2.mp4`; a file under way begins with a dot and so has no clip's stem."""
    return name.rpartition(".")[0]
