"""What is open in this process, and its end: what began before a revocation does not outlive it by a quarter second.

One task looks at the tokens of everything that is open, ten times a second, and only while something is open. Each
gateway does so for itself; nobody has to tell it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.store import Connection, Store, defects, tokens
from gateway.store.defects import Defect
from gateway.store.tokens import Token

log = logging.getLogger("leakdrill.gateway")

LOOK_SECONDS = 0.1


@dataclass(eq=False)
class Open:
    """One answer under way: a file's bytes, or a stream's events. `use` is the surface as the effect report names it,
    `surface` the route. `stop` makes it end, and is False where nothing of it was left to stop; `cut` says that it must
    not go on. `spared` says that a revocation may let it finish."""

    accessor: str
    job: str
    surface: str
    use: str
    stop: Callable[[], bool]
    spared: bool
    sent: int = 0  # bytes, or events
    cut: bool = False
    pieces: list[tuple[float, int]] = field(default_factory=list)  # (when, how much) since its row was last unrevoked

    def passed(self, moment: float, size: int) -> None:
        """Notes that so much was handed to the connection."""
        self.sent += size
        self.pieces.append((moment, size))

    def after(self, moment: float) -> int:
        """What was handed over after `moment`, as far back as the last look at a row that was not revoked."""
        return sum(size for at, size in self.pieces if at > moment)


class Watch:
    """Everything that is open in this process and rests on a token."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._open: set[Open] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, one: Open) -> None:
        """Watches it until `remove`, which must follow."""
        self._open.add(one)
        if self._task is None:
            self._task = asyncio.create_task(self._look_again())

    def remove(self, one: Open) -> None:
        """It is over."""
        self._open.discard(one)
        if not self._open and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except StoreUnavailable as exc:
                log.warning("action=open_unwatched reason=%s", exc)
            except Exception:
                log.exception("action=watch_broke")

    async def _look(self) -> None:
        now, present = self._clock.now(), list(self._open)
        owners = {one.accessor for one in present}

        def look(tx: Connection) -> tuple[set[str], set[str], set[str]]:
            good = owners
            # A download that was never checked is not checked while it runs either.
            if not (defects.on(tx, Defect.STREAM_UNCHECKED) or defects.on(tx, Defect.LEGACY_PATH_UNCHECKED)):
                good = {one for one in owners if _good(tokens.by_accessor(tx, one), now)}
            finishing = {one for one in owners - good if tokens.may_transfer(tx, one, now)}
            # What is accepted although its row is revoked still counts from then on.
            whole = {one for one in good if (row := tokens.own_row(tx, one)) is not None and row.revoked_at is None}
            return good, finishing, whole

        good, finishing, whole = await self._store.read(look)
        for one in present:
            if one.accessor in whole:
                one.pieces.clear()
            if one.accessor not in good and not (one.spared and one.accessor in finishing) and not one.cut:
                one.cut = one.stop()


def _good(token: Token | None, now: float) -> bool:
    return token is not None and token.accepted(now)
