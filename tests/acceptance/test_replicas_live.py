"""Several gateways on one database, as processes: who answers, who learns late, and what a restart forgets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.supervisor import free_ports
from live import Live, eventually, leakdrill, live_gateway

ROOT = Path(__file__).parents[2]


def list_videos(url: str, token: str) -> httpx.Response:
    return httpx.get(f"{url}/v1/videos", headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def tell(live: Live, replica: str, **body: Any) -> None:
    """Tells one replica by way of the first one, and waits until it heeds that."""
    live.control("PATCH", "/control/replicas", json={"replica": replica, **body})
    url = live.control("GET", "/status")["replicas"][replica]
    wrong = "" if body.get("profile") == "strict" else "leakdrill-errs"
    eventually(lambda: not wrong or wrong in list_videos(url, "ldk_x").headers)


def revoke(live: Live, principal: str) -> None:
    live.control("POST", "/control/revocations", json={"selector": {"principal": principal}, "reason": "drill"})


@contextmanager
def up(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`leakdrill up` as a shell would run it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    command = [sys.executable, "-m", "gateway", "up", "--port", str(port), "--workers", "0", "--no-page", *options]
    with subprocess.Popen(command, cwd=folder, env=kept, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0


def test_three_replicas_share_everything_and_each_bears_its_name(tmp_path: Path) -> None:
    port = free_ports(3)
    with up(tmp_path, port, "--replicas", "3") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(3)]
        urls = [f"http://127.0.0.1:{port + number}" for number in range(3)]
        assert lines == [["gateway", url, f"(r{number})"] for number, url in enumerate(urls, 1)]
        done = leakdrill(
            "tokens", "issue", "--principal", "p", "--cohort", "c", "--json", "--target", urls[1], cwd=tmp_path
        )
        token = json.loads(done.stdout)["token"]
        answers = [list_videos(url, token) for url in urls]
        assert [one.status_code for one in answers] == [200] * 3
        assert [one.headers["leakdrill-replica"] for one in answers] == ["r1", "r2", "r3"]
        done = leakdrill("tokens", "revoke", "--principal", "p", "--target", urls[2], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        refused = [list_videos(url, token) for url in urls]
        assert [one.status_code for one in refused] == [401] * 3
        assert len({one.text for one in refused}) == 1
        listed = json.loads(leakdrill("replicas", "list", "--json", "--target", urls[0], cwd=tmp_path).stdout)
        assert [(one["name"], one["url"], one["alive"]) for one in listed["data"]] == [
            (f"r{number}", url, True) for number, url in enumerate(urls, 1)
        ]


def test_a_replica_that_dies_comes_back_as_it_was_told_to_be(tmp_path: Path) -> None:
    port = free_ports(2)
    with up(tmp_path, port, "--replicas", "2") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        url = f"http://127.0.0.1:{port + 1}"
        told = leakdrill(
            "replicas", "tell", "--replica", "r2", "--profile", "bounded", "--seconds", "3",
            "--defect", "link-outlives", "--target", f"http://127.0.0.1:{port}", cwd=tmp_path,
        )  # fmt: skip
        assert told.stdout == f"r2  {url}  bounded 3 s  errs on purpose: link-outlives\n"
        started = httpx.get(f"{url}/status", trust_env=False).json()["replicas"]
        assert set(started) == {"r1", "r2"}
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        children = [row.split(None, 2) for row in listed.stdout.splitlines() if f" {process.pid} " in row]
        second = max(int(pid) for pid, parent, _ in children if int(parent) == process.pid)
        os.kill(second, signal.SIGKILL)

        def back() -> bool:
            try:
                return "link-outlives" in httpx.get(f"{url}/status", trust_env=False).headers.get("leakdrill-errs", "")
            except httpx.TransportError:
                return False

        eventually(lambda: not os.path.exists(f"/proc/{second}") or os.name != "posix")
        eventually(back)
        logs = (tmp_path / ".leakdrill" / "logs" / "gateway-2.log").read_text()
        assert "action=errs_on_purpose replica=r2 mode=bounded,link-outlives" in logs


def test_a_cache_that_only_one_replica_clears_and_a_restart_clears_too(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0, replicas=2) as live:
        one, other = live.urls
        for replica in ("r1", "r2"):
            tell(live, replica, defects=["local-evict-only"])
        token = live.issue()["token"]
        assert [list_videos(url, token).status_code for url in (one, other)] == [200, 200]
        revoke(live, "tester-001")
        assert [list_videos(url, token).status_code for url in (one, other)] == [401, 200]
        gateway = next(child for child in live.supervisor.children if child.url == other)
        gateway.process.kill()
        gateway.process.wait()
        live.supervisor.tend()
        eventually(lambda: answers(other))
        assert list_videos(other, token).status_code == 401


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_each_replicas_lag_is_measured_from_outside(tmp_path: Path) -> None:
    bound = 2.0
    with live_gateway(tmp_path / "data", workers=0, replicas=2) as live:
        strict, late = live.urls
        tell(live, "r2", profile="bounded", seconds=bound)
        token = live.issue()["token"]
        assert list_videos(late, token).status_code == 200
        revoke(live, "tester-001")
        acknowledged = time.monotonic()
        assert list_videos(strict, token).status_code == 401
        last = acknowledged
        while time.monotonic() < acknowledged + bound:
            began = time.monotonic()
            if list_videos(late, token).status_code == 200:
                last = began
        # From outside: a request that starts once the bound is over is refused, and one before half of it is not.
        assert list_videos(late, token).status_code == 401
        assert last - acknowledged > bound / 2


def test_the_promise_holds_under_load_as_clients_see_it() -> None:
    """Counts requests, not seconds; `benchmarks/promise.py` without --quick judges a hundred thousand."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "promise.py"), "--quick"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "late accepts: 0, floor 0: met; bystanders refused: 0" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("up", "--replicas", "0"), "--replicas"),
        (("up", "--replicas", "3", "--port", "65534", "--no-page"), "--port"),
        (("up", "--replicas", "2", "--port", "7859"), "--page-port"),
        (("replicas", "tell"), "--profile"),
        (("replicas", "tell", "--defect", "x", "--no-defects"), "opposite"),
        (("gateway", "--data", "."), "LEAKDRILL_REPLICA"),
    ],
)
def test_what_cannot_be_is_refused_in_words(tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    done = leakdrill(*arguments, cwd=tmp_path, LEAKDRILL_REPLICA="No Name" if arguments[0] == "gateway" else "r1")
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert word in done.stderr
    assert "Traceback" not in done.stderr
