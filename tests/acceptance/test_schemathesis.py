"""The whole API as its own document declares it, fuzzed over the socket: every phase, every check, no failure."""

from __future__ import annotations

from pathlib import Path

import httpx

from fuzz import fuzz, fuzzed_gateway

EXAMPLES = 20
CASES = 5_000


def test_nothing_that_the_document_allows_or_forbids_is_answered_wrongly(tmp_path: Path) -> None:
    with fuzzed_gateway(tmp_path / "data") as live:
        found = fuzz(live, examples=EXAMPLES, seed=1)
        document = httpx.get(f"{live.url}/openapi.json", trust_env=False).json()
        log = (tmp_path / "data" / "logs" / "gateway.log").read_text()
    assert not found.failures, "\n\n".join(f"{name}\n{text}" for name, text in found.failures.items())
    assert found.cases >= CASES, found.by_phase
    assert found.by_status.keys().isdisjoint({0, 500, 503})
    assert "Traceback" not in log
    # Every operation was reached, and so were all phases that have something to try.
    declared = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert declared - set(found.by_operation) == {"GET /control/events/stream", "GET /v1/videos/{video_id}/events"}
    assert all(found.by_phase[phase] > 100 for phase in ("coverage", "fuzzing", "stateful"))
