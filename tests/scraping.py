"""What a scrape says, read by Prometheus' own parsers."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from desk import Desk

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass(frozen=True)
class Figures:
    """Samples by name and labels, and each family's kind."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    kinds: dict[str, str]

    def get(self, name: str, **labels: str) -> float:
        """One sample, by all of its labels but the replica's; fails where there is none."""
        found = self.every(name, **labels)
        assert len(found) == 1, (name, labels, found)
        return found[0]

    def every(self, name: str, **labels: str) -> list[float]:
        """The samples with these labels and no others, whatever the replica."""
        return [
            value
            for (own, pairs), value in self.samples.items()
            if own == f"leakdrill_{name}" and {k: v for k, v in pairs if k != "replica"} == labels
        ]

    def some(self, name: str) -> dict[str, float]:
        """The samples that are not 0, by the value of their one label besides the replica's."""
        return {
            "/".join(v for k, v in sorted(pairs) if k != "replica"): value
            for (own, pairs), value in self.samples.items()
            if own == f"leakdrill_{name}" and value
        }

    def shared(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Those that every gateway on the database says alike."""
        return {key: value for key, value in self.samples.items() if "replica" not in dict(key[1])}


def read(text: str, *, openmetrics: bool = False) -> Figures:
    """The figures of an answer."""
    parse = parse_openmetrics if openmetrics else parse_plain
    families = list(parse(text))
    samples = [one for family in families for one in family.samples]
    found = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
    assert len(found) == len(samples), "a sample is there twice"
    return Figures(found, {family.name: family.type for family in families})


async def answer(desk: Desk, **headers: str) -> httpx.Response:
    """GET /metrics."""
    return await desk.http.get("/metrics", headers=headers)


async def scrape(desk: Desk) -> Figures:
    """The figures of this moment."""
    found = await answer(desk)
    assert found.status_code == 200, found.text
    return read(found.text)
