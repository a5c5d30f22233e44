"""Open transfers: what became of a download that was under way when its token's access ended."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.events import EventKind
from gateway.revocations.watch import Open, Watch
from gateway.store import Store, events, tokens

log = logging.getLogger("leakdrill.gateway")


class Transfers:
    """What is being downloaded from this process. A transfer's pieces are bytes."""

    def __init__(self, store: Store, clock: Clock, watch: Watch, replica: str) -> None:
        self._store = store
        self._clock = clock
        self._watch = watch
        self._replica = replica

    def begin(self, accessor: str, job: str, surface: str, use: str, stop: Callable[[], bool]) -> Open:
        """Notes a transfer; `end` must follow."""
        transfer = Open(accessor, job, surface, use, stop, spared=True)
        self._watch.add(transfer)
        return transfer

    def passed(self, transfer: Open, size: int) -> None:
        """Notes bytes that were handed to the connection."""
        transfer.passed(self._clock.now(), size)

    async def end(self, transfer: Open, *, whole: bool) -> None:
        """Notes that it is over, and tells the event list where its token was not accepted any more. `whole` says that
        every byte was handed to the connection."""
        self._watch.remove(transfer)
        try:
            await self._tell(transfer, whole=whole)
        except StoreUnavailable as exc:
            log.warning("action=transfer_unrecorded accessor=%s reason=%s", transfer.accessor, exc)

    async def _tell(self, transfer: Open, *, whole: bool) -> None:
        now = self._clock.now()
        token = await self._store.read(lambda tx: tokens.own_row(tx, transfer.accessor))
        if token is None or (token.revoked_at is None and not transfer.cut):
            return
        kind = EventKind.TRANSFER_FINISHED if whole and not transfer.cut else EventKind.TRANSFER_CUT
        data = {
            "surface": transfer.surface,
            "use": transfer.use,
            "replica": self._replica,
            "bytes": transfer.sent,
            "bytes_after": 0 if token.revoked_at is None else transfer.after(token.revoked_at),
        }
        await self._store.write(
            lambda tx: events.append(
                tx, kind, at=now, actor="gateway", accessor=transfer.accessor, job=transfer.job, data=data
            )
        )
