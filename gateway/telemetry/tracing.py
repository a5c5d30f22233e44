"""Where spans go: batches to an OTLP receiver over HTTP, sent by a thread of their own.

A receiver that is away costs spans and one line in the log, never a request. Source:
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway import __version__
from gateway.settings import without_password

log = logging.getLogger("leakdrill.telemetry")

EXPORT_SECONDS = 2.0  # for one batch; a process that ends waits for one at the most
EVERY_MILLISECONDS = 1000
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """This process's tracer. `close` sends what is left."""

    def __init__(self, endpoint: str, *, part: str, replica: str) -> None:
        named = {"service.name": f"leakdrill-{part}", "service.version": __version__}
        if replica:
            named["service.instance.id"] = replica
        # Not the global provider: a library that asks for that one must not begin to trace by itself.
        self._provider = TracerProvider(resource=Resource(named), shutdown_on_exit=False)
        exporter = _SaysItOnce(f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EVERY_MILLISECONDS))
        self.tracer = self._provider.get_tracer("leakdrill", __version__)

    def close(self) -> None:
        """Sends what is left, as far as the receiver takes it."""
        self._provider.shutdown()


class _SaysItOnce(SpanExporter):
    """OpenTelemetry's exporter, whose failures are one line for each time that the receiver goes away."""

    def __init__(self, address: str) -> None:
        self._address = without_password(address)
        self._exporter = OTLPSpanExporter(endpoint=address, timeout=EXPORT_SECONDS)
        self._away = False
        # It would write a line, or a traceback, for each attempt.
        logging.getLogger("opentelemetry.exporter.otlp.proto.http").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Runs in the processor's thread."""
        try:
            result = self._exporter.export(spans)
        except Exception as exc:  # noqa: BLE001  whatever the receiver or the network does, this thread goes on
            self._tell(away=True, why=type(exc).__name__)
            return SpanExportResult.FAILURE
        self._tell(away=result is not SpanExportResult.SUCCESS, why="no answer that says so")
        return result

    def _tell(self, *, away: bool, why: str) -> None:
        if away and not self._away:
            log.warning("action=traces_not_taken endpoint=%s reason=%s", self._address, why)
        elif self._away and not away:
            log.warning("action=traces_taken_again endpoint=%s", self._address)
        self._away = away

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def traceparent_of(span: trace.Span) -> str | None:
    """The span as W3C's `traceparent`; None where it is not recorded."""
    carried: dict[str, str] = {}
    _PROPAGATOR.inject(carried, trace.set_span_in_context(span, Context()))
    return carried.get("traceparent") if span.is_recording() else None


def parent_from(traceparent: str | None) -> Context:
    """The context in which to begin what belongs to it; an empty one for None, or for what is no `traceparent`."""
    return _PROPAGATOR.extract({"traceparent": traceparent} if traceparent else {}, Context())
