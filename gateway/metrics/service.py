"""A scrape: what this process counted, how the database stands, and the event list read on to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.faults.latency import WORKER_SILENCE_SECONDS
from gateway.faults.modes import SILENCE_SECONDS
from gateway.metrics.counts import ProcessCounts
from gateway.metrics.tally import Tally, read_piece
from gateway.store import Store, metrics
from gateway.store.metrics import Standing

LONGEST_SECONDS = 2.5  # of reading the list at one scrape, whose reader waits; the rest is for the next one
#: How things stand is read again only after so many times what reading it took.
REST = 20


@dataclass(frozen=True)
class Scrape:
    """What one scrape found. `standing` is None where the database did not answer, `tally` where the event list has not
    been read to its end yet; `now` is Unix seconds, `seconds` how long reading took."""

    replica: str
    now: float
    standing: Standing | None
    tally: Tally | None
    unread: int
    counts: ProcessCounts
    streams: int
    errs: bool
    tiers: frozenset[str]
    seconds: float


@dataclass(frozen=True)
class Own:
    """What is asked of this process at a scrape: its open streams, and whether it was told to do anything wrong."""

    streams: Callable[[], int]
    errs: Callable[[], bool]


class Metrics:
    """One for each gateway. Scrapes that come at once share a reading."""

    def __init__(
        self, store: Store, clock: Clock, *, replica: str, tiers: frozenset[str], own: Own, reuse_seconds: float
    ) -> None:
        self.counts = ProcessCounts()
        self._store = store
        self._clock = clock
        self._replica = replica
        self._tiers = tiers
        self._own = own
        self._reuse = reuse_seconds
        self._tally = Tally(tiers)
        self._standing: Standing | None = None
        self._good_until = 0.0
        self._reading = asyncio.Lock()

    @property
    def unread(self) -> int:
        """How many events the last scrape had no time for."""
        return self._tally.unread

    async def scrape(self) -> Scrape:
        """The figures as they are now; of the database, as they were a moment ago at the most."""
        async with self._reading:
            began = self.counts.timer()
            standing: Standing | None = None
            try:
                standing = await self._stand()
                await self._catch_up()
            except StoreUnavailable:
                standing = None
            tally = self._tally if standing is not None and self._tally.complete else None
            return Scrape(
                self._replica,
                self._clock.now(),
                standing,
                tally,
                self._tally.unread,
                self.counts,
                self._own.streams(),
                self._own.errs(),
                self._tiers,
                self.counts.timer() - began,
            )

    async def _stand(self) -> Standing:
        # Wall time, not the exercise's: this is about what a query costs here and now.
        at = time.monotonic()
        if self._standing is None or at >= self._good_until:
            now = self._clock.now()
            workers, replicas = now - WORKER_SILENCE_SECONDS, now - SILENCE_SECONDS
            self._standing = await self._store.read(
                lambda tx: metrics.standing(tx, now=now, workers_since=workers, replicas_since=replicas)
            )
            took = time.monotonic() - at
            self._good_until = time.monotonic() + max(self._reuse, REST * took) if self._reuse else 0.0
        return self._standing

    async def _catch_up(self) -> None:
        """Reads the list on to its end, resting after each piece for as long as it took; stops after
        LONGEST_SECONDS."""
        began = time.monotonic()
        while True:
            at, tally = time.monotonic(), self._tally
            piece = await self._store.read(lambda tx, tally=tally: read_piece(tx, tally.read, tally.untold))  # type: ignore[misc]
            if piece.last < tally.read:  # another database was put in its place
                self._tally = Tally(self._tiers)
                continue
            tally.add(piece)
            if not tally.unread or time.monotonic() - began > LONGEST_SECONDS:
                return
            await asyncio.sleep(time.monotonic() - at)
