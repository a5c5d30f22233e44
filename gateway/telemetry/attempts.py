"""A worker's spans: each attempt at a job belongs to the trace of the request that asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, StatusCode, Tracer, set_span_in_context

from gateway.errors import StoreUnavailable
from gateway.jobs.rendering import Produced, Renderer, Watch
from gateway.settings import Settings
from gateway.store import Store, traceparents
from gateway.store.jobs import Job
from gateway.telemetry.store import TracedStore
from gateway.telemetry.tracing import Tracing, parent_from

if TYPE_CHECKING:
    from gateway.jobs.lifecycle import Claimed
    from gateway.store.completing import Finished


class AttemptSpans:
    """`store` is what the worker is to use in the place of the one that is given."""

    def __init__(self, tracing: Tracing, store: Store) -> None:
        self._tracer: Tracer = tracing.tracer
        self._claims: dict[tuple[str, int], tuple[int, int]] = {}
        self.store = TracedStore(store, self._tracer, self._note_claims)

    def _note_claims(self, claimed: Sequence[Any], began: int, ended: int) -> None:
        for one in claimed:
            self._claims[one.job.id, one.job.attempt] = (began, ended)

    def around(
        self, attempt: Callable[[Claimed], Awaitable[None]], worker: str
    ) -> Callable[[Claimed], Awaitable[None]]:
        """The attempt, within a span that begins with its claim."""

        async def traced(claimed: Claimed) -> None:
            job = claimed.job
            began, ended = self._claims.pop((job.id, job.attempt), (None, None))
            with self._tracer.start_as_current_span(
                "attempt",
                parent_from(await self._asked_by(job)),
                SpanKind.CONSUMER,
                {
                    "leakdrill.job": job.id,
                    "leakdrill.attempt": job.attempt,
                    "leakdrill.accessor": job.accessor,
                    "leakdrill.worker": worker,
                },
                start_time=began,
                record_exception=False,
            ) as span:
                if began is not None:
                    own = self._tracer.start_span("claim", set_span_in_context(span), start_time=began)
                    own.end(ended)
                await attempt(claimed)

        return traced

    async def _asked_by(self, job: Job) -> str | None:
        try:
            return await self.store.read(lambda tx: traceparents.of(tx, job.id), snapshot=False)
        except StoreUnavailable:  # the attempt finds out for itself; its slot is its own to give back
            return None

    def publishing(
        self, publish: Callable[[Job, Finished], Awaitable[bool]]
    ) -> Callable[[Job, Finished], Awaitable[bool]]:
        """The same for one clip of those that are published together."""

        async def traced(job: Job, made: Finished) -> bool:
            with self._tracer.start_as_current_span("publish", attributes={"leakdrill.bytes": made.size}):
                return await publish(job, made)

        return traced


class TracedRenderer(Renderer):
    """A `Renderer` whose renders are spans; they run in threads, which have the attempt's context."""

    def __init__(self, settings: Settings, marks: bytes, tracer: Tracer) -> None:
        super().__init__(settings, marks)
        self._tracer = tracer

    def produce(self, job: Job, output: Path, watch: Watch) -> Produced:
        """Puts the job's clip at `output`."""
        request = job.request
        about = {"leakdrill.model": request.model, "leakdrill.size": request.size, "leakdrill.kind": request.kind}
        with self._tracer.start_as_current_span("render", attributes=about, record_exception=False) as span:
            try:
                return super().produce(job, output, watch)
            except Exception as exc:
                span.set_status(StatusCode.ERROR, type(exc).__name__)
                raise
