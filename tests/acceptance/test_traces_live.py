"""Traces over the wire: what an OTLP receiver gets of a video, from the request to its clip; and what without one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.supervisor import free_port
from live import Live, eventually, leakdrill, live_gateway

PROMPT = "a canary in a coal mine"
CALLER = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@dataclass(frozen=True)
class Span:
    """One span as it arrived; `parent` is "" where it has none."""

    part: str
    name: str
    trace: str
    id: str
    parent: str
    took: int
    attributes: dict[str, str]


@dataclass
class Collector:
    """What was sent to it. `port` is where it listens."""

    port: int
    spans: list[Span] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def of(self, trace: str) -> dict[str, Span]:
        """The spans of one trace by name; the last one, where there are several."""
        return {span.name: span for span in self.spans if span.trace == trace}

    def take(self, body: bytes) -> None:
        self.raw.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            part = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    said = {one.key: one.value.string_value or str(one.value.int_value) for one in span.attributes}
                    took = span.end_time_unix_nano - span.start_time_unix_nano
                    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                    self.spans.append(Span(part, span.name, *ids, took, said))


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """An OTLP/HTTP receiver until the context ends."""
    collector = Collector(port)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def create(live: Live, token: str, **headers: str) -> str:
    answer = httpx.post(
        f"{live.url}/v1/videos",
        json={"prompt": PROMPT, "seconds": 4, "size": "720x1280", "fps": 1},
        headers={"Authorization": f"Bearer {token}", **headers},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_video_is_one_trace_from_its_request_to_its_clip(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_database") if store == "postgresql" else ""
    with collecting() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        with live_gateway(tmp_path / "data", otlp_endpoint=endpoint, database_url=url, log_level="debug") as live:
            issued = live.issue()
            job = create(live, issued["token"], traceparent=f"00-{CALLER[0]}-{CALLER[1]}-01")
            eventually(lambda: {"attempt", "publish"} <= set(collector.of(CALLER[0])), within=60)
            live.control("POST", "/control/revocations", json={"selector": {"principal": "tester-001"}, "reason": "x"})
            eventually(lambda: any(span.name == "revocation" for span in collector.spans))
            secrets = [issued["token"], live.supervisor.admin_token, PROMPT]
        found = collector.of(CALLER[0])
        (revocation,) = (span for span in collector.spans if span.name == "revocation")
        revoked = collector.of(revocation.trace)["POST /control/revocations"]

    ensure_one_trace(found, job)
    assert revocation.parent == revoked.id
    sent = b"".join(collector.raw)
    assert [secret for secret in secrets if secret.encode() in sent] == []
    log = (tmp_path / "data" / "logs" / "gateway.log").read_text()
    assert "traces_not_taken" not in log


def ensure_one_trace(found: dict[str, Span], job: str) -> None:
    asked = found["POST /v1/videos"]
    assert (asked.part, asked.parent) == ("leakdrill-gateway", CALLER[1])
    assert asked.attributes["http.response.status_code"] == "200"
    assert asked.attributes["leakdrill.accessor"].startswith("tok_")
    assert asked.attributes["leakdrill.request_id"].startswith("req_")
    assert {found[name].parent for name in ("token check", "enqueue", "attempt")} == {asked.id}
    attempt = found["attempt"]
    assert (attempt.part, attempt.attributes["leakdrill.job"]) == ("leakdrill-worker", job)
    assert {found[name].parent for name in ("claim", "render", "publish")} == {attempt.id}
    assert all(0 < found[name].took <= attempt.took for name in ("claim", "render", "publish"))


def test_a_receiver_that_is_away_costs_spans_and_one_line(tmp_path: Path) -> None:
    port = free_port()
    data = tmp_path / "data"

    def said(action: str) -> int:
        return (data / "logs" / "gateway.log").read_text().count(f"action={action} ")

    with live_gateway(data, workers=0, otlp_endpoint=f"http://127.0.0.1:{port}") as live:
        token = live.issue()["token"]
        create(live, token)
        eventually(lambda: said("traces_not_taken"))
        create(live, token)
        with collecting(port) as collector:
            eventually(lambda: create(live, token) and collector.spans)
            eventually(lambda: said("traces_taken_again"))
        gateway = live.supervisor.children[0].process
        live.supervisor.stop()
    assert gateway.returncode == 0
    assert said("traces_not_taken") in (1, 2)  # once, and once more where spans were left when the receiver ended
    assert "Traceback" not in (data / "logs" / "gateway.log").read_text()


def test_without_a_receiver_nothing_of_it_is_imported() -> None:
    code = "import sys, gateway.app, gateway.jobs.worker, gateway.serve; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("part", ["gateway", "worker"])
def test_without_the_extra_it_says_what_to_install(part: str, tmp_path: Path) -> None:
    hidden: dict[str, Any] = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry.sdk'] = None\n")
    done = leakdrill(part, cwd=tmp_path, LEAKDRILL_OTLP_ENDPOINT="http://127.0.0.1:1", **hidden)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'pip install "leakdrill[telemetry]"' in done.stderr
