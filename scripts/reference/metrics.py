"""docs/reference/metrics.md: every metric of `GET /metrics`, from an empty scrape."""

from __future__ import annotations

from gateway.metrics.counts import ProcessCounts
from gateway.metrics.families import by_source
from gateway.metrics.service import Scrape
from scripts.reference.markdown import code, table


def page() -> str:
    nothing = Scrape("r1", 0.0, None, None, 0, ProcessCounts(), 0, False, frozenset(), 0.0)
    sections = []
    for title, metrics in by_source(nothing).items():
        rows = []
        for one in metrics:
            name = f"{one.name}_total" if one.type == "counter" else one.name
            rows.append((f"`{name}`", one.type, code(getattr(one, "_labelnames", ())) or "-", one.documentation))
        sections.append(f"## {title}\n\n" + table(("Name", "Kind", "Labels", "Says"), rows))
    return "\n\n".join([HEAD, *sections]) + "\n"


HEAD = """# Metrics

What `GET /metrics` answers. What a restart or a reset does to it is in [metrics.md](../metrics.md)."""
