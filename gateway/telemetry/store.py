"""A span for each transaction that belongs to a traced request or job, named after what it does."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from opentelemetry.trace import Tracer, get_current_span

from gateway.store import Connection, Store
from gateway.store.protocol import Sight

T = TypeVar("T")

# By module and function. What is not listed is `read` or `write`, with the function as an attribute.
NAMES = {
    "gateway.tokens.service.by_hash": "token check",
    "gateway.jobs.service.poll": "token check and poll",
    "gateway.jobs.service.submit": "enqueue",
    "gateway.revocations.service.apply": "revocation",
    "gateway.jobs.lifecycle.claim_some": "claim",
    "gateway.jobs.delivery._Manager._fetch": "claim",
}


def function_of(work: Callable[..., object]) -> str:
    """The module and function that a unit of work was written in."""
    while isinstance(work, partial):
        work = work.func
    name = getattr(work, "__qualname__", type(work).__name__).partition(".<locals>")[0]
    return f"{getattr(work, '__module__', '')}.{name}"


class TracedStore:
    """A `Store` around another. `claimed`, where it is given, is told what a claim has brought, and when it began and
    ended, in nanoseconds since 1970."""

    def __init__(
        self, store: Store, tracer: Tracer, claimed: Callable[[Sequence[Any], int, int], None] | None = None
    ) -> None:
        self._store = store
        self._tracer = tracer
        self._claimed = claimed

    @property
    def sight(self) -> Sight | None:
        return self._store.sight

    @property
    def delivered(self) -> bool:
        return self._store.delivered

    def look_through(self, sight: Sight) -> None:
        self._store.look_through(sight)

    async def read(self, work: Callable[[Connection], T], *, snapshot: bool = True) -> T:
        if not get_current_span().is_recording():
            return await self._store.read(work, snapshot=snapshot)
        with self._span("read", work):
            return await self._store.read(work, snapshot=snapshot)

    async def write(self, work: Callable[[Connection], T], *, brief: bool = False) -> T:
        if get_current_span().is_recording():
            with self._span("write", work):
                return await self._store.write(work, brief=brief)
        began = time.time_ns()
        done = await self._store.write(work, brief=brief)
        if self._claimed is not None and isinstance(done, list) and NAMES.get(function_of(work)) == "claim":
            self._claimed(done, began, time.time_ns())
        return done

    def _span(self, kind: str, work: Callable[..., object]) -> Any:
        function = function_of(work)
        # What an error says may quote a caller; its class is enough.
        return self._tracer.start_as_current_span(
            NAMES.get(function, kind),
            attributes={"code.function.name": function, "db.operation.name": kind},
            record_exception=False,
            set_status_on_exception=False,
        )

    def listen(self, channels: Sequence[str]) -> AsyncGenerator[str, None] | None:
        return self._store.listen(channels)

    async def close(self) -> None:
        await self._store.close()
