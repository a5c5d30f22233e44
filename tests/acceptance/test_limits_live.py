"""Limits, lost answers and the clients' report over the socket, with the published `openai` client."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from live import Live, eventually, leakdrill, live_gateway

pytestmark = pytest.mark.filterwarnings(
    "ignore:The Sora API:DeprecationWarning", "ignore:.*deprecated:DeprecationWarning"
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("limits") / "data", workers=0) as running:
        yield running


def issue(live: Live, principal: str, tier: str = "standard") -> dict[str, Any]:
    body = {"principal": principal, "cohort": "alpha", "tier": tier}
    issued: dict[str, Any] = live.control("POST", "/control/tokens", json=body)
    return issued


def findings(live: Live, issued: dict[str, Any]) -> dict[str, int]:
    report = live.control("GET", f"/control/clients/{issued['accessor']}")
    return {one["finding"]: one["count"] for one in report["findings"]}


@dataclass
class Lossy:
    """A way to the gateway on which the answer to the first POST gets lost, after the gateway has given it."""

    upstream: tuple[str, int]
    requests: list[bytes] = field(default_factory=list)
    lost: int = 0

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with closing(client), closing(socket.create_connection(self.upstream)) as gateway:
            while True:
                request = _message(client)
                if not request:
                    return
                self.requests.append(request)
                gateway.sendall(request)
                answer = _message(gateway)
                if request.startswith(b"POST") and not self.lost:
                    self.lost += 1
                    return
                client.sendall(answer)


def _message(connection: socket.socket) -> bytes:
    """One HTTP message with a Content-Length, or nothing at the end of the stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def lossy_way_to(live: Live) -> Iterator[tuple[str, Lossy]]:
    host, _, port = live.url.removeprefix("http://").partition(":")
    way = Lossy((host, int(port)))
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=way.serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", way


def test_the_client_waits_as_it_is_told_and_succeeds(live: Live) -> None:
    issued = issue(live, "patient", tier="free")
    seen: list[tuple[float, int, float]] = []

    def note(response: Any) -> None:
        told = float(response.headers.get("retry-after-ms", 0)) / 1000
        seen.append((time.monotonic(), response.status_code, told))

    http = openai.DefaultHttpxClient(event_hooks={"response": [note]})
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=issued["token"], http_client=http) as client:
        for _ in range(64):
            client.models.list()
    refusals = [(number, at, told) for number, (at, status, told) in enumerate(seen) if status == 429]
    assert len(refusals) >= 2
    for number, at, told in refusals:
        assert 0 < told <= 1.001
        again, status, _ = seen[number + 1]
        assert again - at >= told
        assert status == 200
    assert len(seen) == 64 + len(refusals)
    found = findings(live, issued)
    assert set(found) == {"retried_with_backoff"}
    assert found["retried_with_backoff"] == len(refusals)


def test_the_clients_retry_of_a_lost_answer_makes_one_video(live: Live) -> None:
    issued = issue(live, "unlucky")
    with (
        lossy_way_to(live) as (url, way),
        openai.OpenAI(base_url=f"{url}/v1", api_key=issued["token"]) as client,
    ):
        video = client.videos.create(prompt="a dog on a skateboard", seconds="4")
        assert [one.id for one in client.videos.list()] == [video.id]
    posts = [request for request in way.requests if request.startswith(b"POST")]
    assert way.lost == 1
    assert [b"x-stainless-retry-count: 1" in request.lower() for request in posts] == [False, True]
    queued = live.control("GET", "/control/events", params={"kind": "job.queued", "limit": 1000})["data"]
    assert [one["job"] for one in queued if one["accessor"] == issued["accessor"]] == [video.id]


def test_a_lost_answer_to_a_key_is_asked_for_again(live: Live) -> None:
    issued = issue(live, "careful")
    key = {"Idempotency-Key": "order-17"}
    with lossy_way_to(live) as (url, way), openai.OpenAI(base_url=f"{url}/v1", api_key=issued["token"]) as client:
        video = client.with_options(max_retries=1).videos.create(prompt="rain", extra_headers=key)
        assert client.videos.create(prompt="rain", extra_headers=key).id == video.id
        with pytest.raises(openai.ConflictError) as refused:
            client.videos.create(prompt="snow", extra_headers=key)
        assert refused.value.code == "idempotency_key_reused"
        assert [one.id for one in client.videos.list()] == [video.id]
    # x-should-retry: false spared the refusal its two retries.
    assert len([request for request in way.requests if request.startswith(b"POST")]) == 4


def test_create_and_poll_of_the_client_is_well_behaved_and_a_revoked_loop_is_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_gateway(data, workers=1) as live:
        good, bad = issue(live, "good"), issue(live, "bad")
        with openai.OpenAI(base_url=f"{live.url}/v1", api_key=good["token"]) as client:
            video = client.videos.create_and_poll(prompt="rain", seconds="4", extra_body={"fps": 5})
            assert video.status == "completed"
        with openai.OpenAI(base_url=f"{live.url}/v1", api_key=bad["token"]) as client:
            video = client.videos.create(prompt="rain", extra_body={"fps": 5})
            live.control("POST", "/control/revocations", json={"selector": {"principal": "bad"}, "reason": "drill"})
            for _ in range(12):
                with pytest.raises(openai.AuthenticationError):
                    client.videos.retrieve(video.id)
        assert findings(live, good) == {}
        eventually(lambda: findings(live, bad).get("kept_calling_after_revocation") == 12)
        reach = ("--target", live.url, "--data", str(data))
        table = leakdrill("clients", *reach, cwd=tmp_path)
        assert (table.returncode, table.stderr) == (0, "")
        rows = {line.split()[1]: line for line in table.stdout.splitlines()[1:]}
        assert "well-behaved" in rows["good"]
        assert "needs work" in rows["bad"]
        assert "kept_calling_after_revocation 12" in rows["bad"]
        one = leakdrill("clients", bad["accessor"], "--json", *reach, cwd=tmp_path)
        assert json.loads(one.stdout)["verdict"] == "needs work"
        words = leakdrill("clients", bad["accessor"], *reach, cwd=tmp_path).stdout
        assert "kept_calling_after_revocation  12 times" in words
        assert "Treat the first 401 as final" in words


def test_tiers_from_the_shell(live: Live, tmp_path: Path) -> None:
    reach = ("--target", live.url, "--admin-token", live.supervisor.admin_token)
    issued = leakdrill(
        "tokens", "issue", "--principal", "p", "--cohort", "c", "--tier", "free", "--json", *reach, cwd=tmp_path
    )
    kept = json.loads(issued.stdout)
    assert kept["tier"] == "free"
    assert {"token", "accessor", "principal", "cohort", "scopes", "expires_at"} <= set(kept)
    refused = leakdrill("tokens", "issue", "--principal", "p", "--cohort", "c", "--tier", "gold", *reach, cwd=tmp_path)
    assert refused.returncode == 2
    assert "free, partner, standard, unlimited" in refused.stderr


def test_a_bad_tiers_file_stops_the_gateway_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "tiers.yaml"
    file.write_text("standard: {requests_per_minute: often}\n")
    stopped = leakdrill("gateway", "--data", str(tmp_path / "data"), cwd=tmp_path, LEAKDRILL_TIERS_FILE=str(file))
    assert stopped.returncode == 2
    assert str(file) in stopped.stderr
    assert len(stopped.stderr.splitlines()) == 1
