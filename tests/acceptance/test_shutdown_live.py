"""What SIGTERM does: accept nothing new, finish what is under way, end streams whole, leave with 0; twice: at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.serve import GRACE_SECONDS
from gateway.supervisor import free_port
from live import eventually

BOUND = GRACE_SECONDS + 10.0  # a busy machine's share besides


@contextmanager
def gateway(data: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A gateway by itself, and its address."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    told = {"LEAKDRILL_DATA": str(data), "LEAKDRILL_PORT": str(port), "LEAKDRILL_FAULT_HEADER": "true"}
    url = f"http://127.0.0.1:{port}"
    with (data.parent / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "gateway", "gateway"], env={**kept, **told}, stderr=log)
        try:
            eventually(lambda: _answers(url))
            yield process, url
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _refused(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        return connection.connect_ex((host, int(port))) != 0


def bearer(url: str, data: Path) -> dict[str, str]:
    admin = {"Authorization": f"Bearer {(data / 'admin.token').read_text().strip()}"}
    body = {"principal": "p", "cohort": "c"}
    issued: Any = httpx.post(f"{url}/control/tokens", json=body, headers=admin, trust_env=False).json()
    return {"Authorization": f"Bearer {issued['token']}"}


def test_a_gateway_finishes_what_is_under_way_and_ends_streams_whole(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with gateway(data) as (process, url), httpx.Client(trust_env=False, timeout=30) as http:
        owner = bearer(url, data)
        video = http.post(f"{url}/v1/videos", json={"prompt": "x"}, headers=owner).json()["id"]
        with http.stream("GET", f"{url}/v1/videos/{video}/events", headers=owner) as stream:
            lines = stream.iter_lines()
            assert next(lines)
            process.send_signal(signal.SIGTERM)
            rest = list(lines)  # raises where the stream is broken off
            assert rest
        assert process.wait(BOUND) == 0
        assert _refused(url)
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "exceeded" not in log


@pytest.mark.parametrize("signals", [1, 2])
def test_a_request_that_never_ends_is_broken_off(tmp_path: Path, signals: int) -> None:
    """A client that sends half of a body: one signal waits for the grace, a second does not."""
    data = tmp_path / "data"
    with gateway(data) as (process, url):
        owner = bearer(url, data)
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"POST /v1/videos HTTP/1.1\r\nHost: x\r\nAuthorization: {owner['Authorization']}\r\n"
            connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
            eventually(lambda: _answers(url))
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
                eventually(lambda: _refused(url))
            assert process.wait(BOUND) == 0
            assert b"HTTP/1.1 200" not in connection.recv(1000)
    assert ("graceful shutdown exceeded" in (tmp_path / "log").read_text()) is (signals == 1)
