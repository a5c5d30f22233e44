"""Traces by OpenTelemetry, where LEAKDRILL_OTLP_ENDPOINT names a receiver. Without it nothing here is imported but this
file, and no request passes anything of it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from gateway.errors import OperatorError

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.telemetry.tracing import Tracing

INSTALL = 'pip install "leakdrill[telemetry]"'

#: Where a request's scope holds its own span as W3C's `traceparent`, for the job that it makes.
TRACEPARENT = "leakdrill.traceparent"


def begun(settings: Settings, part: str) -> Tracing | None:
    """What this process traces with; None where the settings name no receiver. Raises OperatorError where the extra
    `telemetry` is not installed."""
    if not settings.otlp_endpoint:
        return None
    try:
        there = find_spec("opentelemetry.sdk") and find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        there = None
    if not there:
        raise OperatorError(
            f"LEAKDRILL_OTLP_ENDPOINT asks for traces, which need OpenTelemetry's SDK; install it with: {INSTALL}"
        )
    from gateway.telemetry.tracing import Tracing

    return Tracing(settings.otlp_endpoint, part=part, replica=settings.replica if part == "gateway" else "")
