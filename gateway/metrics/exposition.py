"""A scrape as text: Prometheus' own format, or OpenMetrics where the reader asks for it.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from gateway.metrics.families import families
from gateway.metrics.service import Scrape

PLAIN = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_TYPE = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"


class _Found(Collector):
    """What one scrape found. It is registered nowhere but in a registry of its own: a process may hold several
    gateways."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    def collect(self) -> Iterator[Metric]:
        return families(self._scrape)


def exposition(scrape: Scrape, accept: str) -> tuple[bytes, str]:
    """The text and its media type, for the Accept header of a request."""
    found = CollectorRegistry(auto_describe=False)
    found.register(_Found(scrape))
    if wants_openmetrics(accept):
        text: bytes = generate_openmetrics(found)  # type: ignore[no-untyped-call]
        return text, OPENMETRICS_TYPE
    return generate_latest(found), PLAIN


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics (RFC 9110, section 12.5.1). Weights that are no numbers count as 1;
    ranges with an asterisk get Prometheus' format, which every reader knows."""
    weights = {OPENMETRICS: 0.0, "text/plain": 0.0}
    for one in accept.split(","):
        name, *parameters = (part.strip().lower() for part in one.split(";"))
        if name in weights:
            weights[name] = max(weights[name], _weight(parameters))
    return weights[OPENMETRICS] > 0 and weights[OPENMETRICS] >= weights["text/plain"]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 1.0
    return 1.0
