"""Takes away what is old enough, in small transactions; each gateway does so, and whoever comes second finds less.

The event list is never cut: each of its lines rests on the one before, and who asks what became of a token or a clip
reads it from the first line on. It ages out as a whole, with its database: see docs/operate.md.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.events import EventKind
from gateway.jobs import outputs
from gateway.settings import Settings
from gateway.store import Connection, Store, ageing, events

log = logging.getLogger("leakdrill.gateway")

SWEEP_SECONDS = 60.0
DAY = 86_400.0


class Retention:
    """Sweeps by the settings; a `keep_…_days` of 0 keeps for ever."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._expired_until = 0.0

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                # Reports bear the times of files, whatever the clock of the exercise says.
                await self.sweep(wall=time.time())
            except (StoreUnavailable, OSError) as exc:
                log.warning("action=old_not_swept reason=%s", exc)

    async def sweep(self, *, wall: float) -> dict[str, int]:
        """How much of what was taken away: clips, jobs, deliveries, signals, reports. `wall` is Unix seconds."""
        now, keep = self._clock.now(), self._settings
        gone = {"clips": await self._drop_clips(now)}
        if keep.keep_jobs_days:
            gone["jobs"] = await self._drop_all(self._jobs_before(now - keep.keep_jobs_days * DAY))
        if keep.keep_deliveries_days:
            before = now - keep.keep_deliveries_days * DAY
            gone["deliveries"] = await self._drop_all(lambda tx: ageing.drop_deliveries(tx, before))
            gone["signals"] = await self._drop_all(lambda tx: ageing.drop_signals(tx, before))
        if keep.keep_reports_days:
            gone["reports"] = await asyncio.to_thread(self._drop_reports, wall - keep.keep_reports_days * DAY)
        rows = {name: number for name, number in gone.items() if number and name in ("jobs", "deliveries", "signals")}
        if rows:
            await self._store.write(
                lambda tx: events.append(tx, EventKind.RECORDS_AGED, at=now, actor="gateway", data=rows)
            )
        return gone

    async def _drop_clips(self, now: float) -> int:
        number = 0
        while found := await self._store.read(lambda tx: ageing.clips_expired(tx, self._expired_until, now)):
            number += await asyncio.to_thread(self._remove, [file for file, _ in found])
            self._expired_until = found[-1][1]
        return number

    def _remove(self, files: list[str]) -> int:
        there = 0
        for file in filter(None, files):
            clip = self._settings.media / file
            there += clip.exists()
            try:
                outputs.remove(clip)
            except OSError as exc:
                log.warning("action=old_clip_not_removed file=%s reason=%s", file, exc)
        return there

    def _jobs_before(self, before: float) -> Callable[[Connection], list[str]]:
        return lambda tx: ageing.drop_jobs(tx, before)

    async def _drop_all(self, drop: Callable[[Connection], int | list[str]]) -> int:
        number = 0
        while done := await self._store.write(drop):
            if isinstance(done, list):
                await asyncio.to_thread(self._remove, done)
            number += len(done) if isinstance(done, list) else done
            await asyncio.sleep(0)  # others write in between
        return number

    def _drop_reports(self, before: float) -> int:
        number = 0
        for folder in _entries(self._settings.data / "reports"):
            if max(entry.stat().st_mtime for entry in (folder, *folder.rglob("*"))) < before:
                shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
                number += 1
        return number


def _entries(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.iterdir()) if folder.is_dir() else ()
