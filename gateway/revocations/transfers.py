"""Open transfers, and their end: a download that began before a revocation does not outlive it by a quarter second.

One task looks at the tokens of whatever is open in this process, ten times a second, and only while something is open.
Each gateway does so for its own transfers; nobody has to tell it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.events import EventKind
from gateway.store import Connection, Store, defects, events, tokens
from gateway.store.defects import Defect

log = logging.getLogger("leakdrill.gateway")

LOOK_SECONDS = 0.1


@dataclass(eq=False)
class Transfer:
    """One response under way. `stop` makes its connection go, and is False where nothing of it was left to stop; `cut`
    says that it must not go on."""

    accessor: str
    job: str
    surface: str
    stop: Callable[[], bool]
    sent: int = 0
    cut: bool = False
    pieces: list[tuple[float, int]] = field(default_factory=list)  # (when, bytes) since the token was last found good

    def after(self, moment: float) -> int:
        """Bytes that were sent after `moment`, as far back as the last look at a good token."""
        return sum(size for at, size in self.pieces if at > moment)


class Transfers:
    """What is open in this process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._open: set[Transfer] = set()
        self._watch: asyncio.Task[None] | None = None

    def begin(self, accessor: str, job: str, surface: str, stop: Callable[[], bool]) -> Transfer:
        """Notes a transfer; `end` must follow."""
        transfer = Transfer(accessor, job, surface, stop)
        self._open.add(transfer)
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_again())
        return transfer

    def passed(self, transfer: Transfer, size: int) -> None:
        """Notes bytes that were handed to the connection."""
        transfer.sent += size
        transfer.pieces.append((self._clock.now(), size))

    async def end(self, transfer: Transfer, *, whole: bool) -> None:
        """Notes that it is over, and tells the event list where its token was not accepted any more. `whole` says that
        every byte was handed to the connection."""
        self._open.discard(transfer)
        if not self._open and self._watch is not None:
            self._watch.cancel()
            self._watch = None
        try:
            await self._tell(transfer, whole=whole)
        except StoreUnavailable as exc:
            log.warning("action=transfer_unrecorded accessor=%s reason=%s", transfer.accessor, exc)

    async def _tell(self, transfer: Transfer, *, whole: bool) -> None:
        now = self._clock.now()
        token = await self._store.read(lambda tx: tokens.own_row(tx, transfer.accessor))
        if token is None or (token.revoked_at is None and not transfer.cut):
            return
        kind = EventKind.TRANSFER_FINISHED if whole and not transfer.cut else EventKind.TRANSFER_CUT
        data = {
            "surface": transfer.surface,
            "bytes": transfer.sent,
            "bytes_after": 0 if token.revoked_at is None else transfer.after(token.revoked_at),
        }
        await self._store.write(
            lambda tx: events.append(
                tx, kind, at=now, actor="gateway", accessor=transfer.accessor, job=transfer.job, data=data
            )
        )

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except StoreUnavailable as exc:
                log.warning("action=transfers_unwatched reason=%s", exc)
            except Exception:
                log.exception("action=transfers_watch_broke")

    async def _look(self) -> None:
        now, present = self._clock.now(), list(self._open)
        owners = {transfer.accessor for transfer in present}

        def look(tx: Connection) -> tuple[set[str], set[str]]:
            if defects.on(tx, Defect.STREAM_UNCHECKED):
                return owners, set()
            good = {one for one in owners if (found := tokens.by_accessor(tx, one)) is not None and found.accepted(now)}
            return good, {one for one in owners - good if tokens.may_transfer(tx, one, now)}

        good, finishing = await self._store.read(look)
        for transfer in present:
            if transfer.accessor in good:
                transfer.pieces.clear()
            elif transfer.accessor not in finishing and not transfer.cut:
                transfer.cut = transfer.stop()
