"""How each token was used: gathered in memory, written once a second, so that a poll costs no write.

A use is noted with the moment at which its request began, taken before the token was read. It is late where that lies
after the token's revocation was acknowledged, which is looked up when it is written.
"""

from __future__ import annotations

import asyncio
import logging

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.store import Connection, Store, tokens, uses
from gateway.store.uses import Use

log = logging.getLogger("leakdrill.gateway")

DELIVERY = "webhook delivery"
INTROSPECTION = "introspection"
# A revocation that has happened but was not answered yet may be answered for so long.
ANSWER_SECONDS = 5.0
MOST_KEPT = 1_000_000

Starts = dict[tuple[str, str], list[float]]  # by accessor and surface


class UsageBook:
    """What this gateway has accepted. What was gathered in the last second is lost if the process is killed."""

    def __init__(self, clock: Clock, replica: str) -> None:
        self._clock = clock
        self._replica = replica
        self._last: dict[str, float] = {}
        self._starts: Starts = {}

    def note(self, accessor: str, surface: str, start: float) -> None:
        """Remembers that a request which began at `start`, Unix seconds, was accepted for its bearer."""
        self._last[accessor] = start
        self.note_behind(accessor, surface, start)

    def note_behind(self, accessor: str, surface: str, start: float) -> None:
        """The same for what is accepted for a token that nobody showed: the one behind a link or a delivery."""
        # Not `setdefault`, which would make a list for every request.
        starts = self._starts.get((accessor, surface))
        if starts is None:
            self._starts[accessor, surface] = [start]
        else:
            starts.append(start)

    def clear(self) -> None:
        """Forgets everything."""
        self._last.clear()
        self._starts.clear()

    async def flush(self, store: Store) -> None:
        """Writes what was gathered."""
        if not self._last and not self._starts:
            return
        last, self._last = self._last, {}
        starts, self._starts = self._starts, {}
        now = self._clock.now()

        def work(tx: Connection) -> Starts:
            tokens.touch(tx, last.items())
            return self._add(tx, starts, now)

        try:
            self._keep(await store.write(work))
        except StoreUnavailable:
            self._last = {**last, **self._last}
            self._keep(starts)
            raise

    async def run(self, store: Store, every: float = 1.0) -> None:
        """Flushes for ever; cancel it, then `flush` once more."""
        while True:
            await asyncio.sleep(every)
            try:
                await self.flush(store)
            except StoreUnavailable as exc:
                log.warning("action=usage_not_written reason=%s", exc)

    def _add(self, tx: Connection, starts: Starts, now: float) -> Starts:
        """Writes uses; gives back those of which it cannot be said yet whether they are late."""
        ended = uses.acknowledgements(tx, {accessor for accessor, _ in starts}) if starts else {}
        held: Starts = {}
        for (accessor, surface), moments in starts.items():
            told = ended.get(accessor)
            if told is None and accessor in ended:
                waiting = [start for start in moments if abs(now - start) < ANSWER_SECONDS]
                if waiting:
                    held[accessor, surface] = waiting
                moments = [start for start in moments if abs(now - start) >= ANSWER_SECONDS]
            if moments:
                late = 0 if told is None else sum(start > told for start in moments)
                uses.add(tx, accessor, Use(surface, self._replica, len(moments), late, max(moments)))
        return held

    def _keep(self, starts: Starts) -> None:
        if sum(map(len, starts.values())) > MOST_KEPT:
            log.error("action=uses_lost count=%s", sum(map(len, starts.values())))
            return
        for key, moments in starts.items():
            self._starts[key] = [*moments, *self._starts.get(key, ())]
