"""When each token was last used: gathered in memory, written once a second, so that a poll costs no write."""

from __future__ import annotations

import asyncio
import logging

from gateway.errors import StoreUnavailable
from gateway.store import Store, tokens

log = logging.getLogger("leakdrill.gateway")


class UsageBook:
    """Newest use per accessor. What was gathered in the last second is lost if the process is killed."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def note(self, accessor: str, now: float) -> None:
        """Remembers a use at `now`, Unix seconds."""
        self._last[accessor] = now

    async def flush(self, store: Store) -> None:
        """Writes what was gathered."""
        if not self._last:
            return
        taken, self._last = self._last, {}
        try:
            await store.write(lambda tx: tokens.touch(tx, taken.items()))
        except StoreUnavailable:
            self._last = {**taken, **self._last}
            raise

    async def run(self, store: Store, every: float = 1.0) -> None:
        """Flushes for ever; cancel it, then `flush` once more."""
        while True:
            await asyncio.sleep(every)
            try:
                await self.flush(store)
            except StoreUnavailable as exc:
                log.warning("action=usage_not_written reason=%s", exc)
