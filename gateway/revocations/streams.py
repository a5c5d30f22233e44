"""Open streams: how many a token has, and what became of them when its access ended.

The streams of all gateways lie in a table, so that a preview counts them wherever they are open; a gateway vouches for
its own once a second. How many one token may have is counted in each gateway.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable

from gateway.clock import Clock
from gateway.errors import StoreUnavailable, StreamsExceeded
from gateway.events import EventKind
from gateway.revocations.watch import Open, Watch
from gateway.store import Connection, Store, events, revocations, streams, tokens
from gateway.store.streams import OpenStream

log = logging.getLogger("leakdrill.gateway")


class Streams:
    """What is being streamed from this process. A stream's pieces are events."""

    def __init__(self, store: Store, clock: Clock, watch: Watch, *, replica: str, per_token: int) -> None:
        self._store = store
        self._clock = clock
        self._watch = watch
        self._replica = replica
        self._per_token = per_token
        self._count: Counter[str] = Counter()
        self._rows: dict[Open, OpenStream] = {}

    async def begin(self, accessor: str, job: str, surface: str, use: str, stop: Callable[[], bool]) -> Open:
        """Notes a stream; `end` must follow. Raises StreamsExceeded where the token has as many as it may, and
        StoreUnavailable where it cannot be noted."""
        if self._count[accessor] >= self._per_token:
            raise StreamsExceeded(
                f"{self._per_token} streams are open with this token, which is all that it may have. Close one.",
                headers={"x-should-retry": "false"},
            )
        stream = Open(accessor, job, surface, use, stop, spared=False)
        row = OpenStream(f"stream_{secrets.token_hex(8)}", accessor, self._replica)
        self._count[accessor] += 1
        self._rows[stream] = row
        try:
            await self._store.write(lambda tx: streams.seen(tx, [row], self._clock.now()), brief=True)
        except BaseException:
            self._forget(stream)
            raise
        self._watch.add(stream)
        return stream

    def count(self) -> int:
        """How many are open here."""
        return len(self._rows)

    async def end(self, stream: Open) -> None:
        """Notes that it is over, and tells the event list where its token was not accepted any more."""
        self._watch.remove(stream)
        row = self._forget(stream)
        now = self._clock.now()
        try:
            await self._store.write(lambda tx: self._close(tx, stream, row, now))
        except StoreUnavailable as exc:
            log.warning("action=stream_unrecorded accessor=%s reason=%s", stream.accessor, exc)

    async def run(self, every: float = 1.0) -> None:
        """Vouches for what is open, for ever; cancel it."""
        while True:
            await asyncio.sleep(every)
            if not self._rows:
                continue
            present, now = list(self._rows.values()), self._clock.now()
            try:
                await self._store.write(lambda tx, present=present, now=now: streams.seen(tx, present, now))  # type: ignore[misc]
            except StoreUnavailable as exc:
                log.warning("action=streams_unwritten reason=%s", exc)

    def _forget(self, stream: Open) -> OpenStream:
        self._count[stream.accessor] -= 1
        if not self._count[stream.accessor]:
            del self._count[stream.accessor]
        return self._rows.pop(stream)

    def _close(self, tx: Connection, stream: Open, row: OpenStream, now: float) -> None:
        streams.closed(tx, row.id)
        token = tokens.own_row(tx, stream.accessor)
        if token is None or (token.revoked_at is None and not stream.cut):
            return
        acknowledged = revocations.acknowledged_at(tx, token.revocation) if token.revocation is not None else None
        data = {
            "surface": stream.surface,
            "use": stream.use,
            "replica": row.replica,
            "events": stream.sent,
            # What was sent before anybody was told of the revocation was not sent after it.
            "events_after": 0 if acknowledged is None else stream.after(acknowledged),
        }
        kind = EventKind.STREAM_ENDED
        events.append(tx, kind, at=now, actor="gateway", accessor=stream.accessor, job=stream.job, data=data)
