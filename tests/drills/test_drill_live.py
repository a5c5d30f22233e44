"""A drill against a real gateway with a real worker, over HTTP."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from drills.errors import TargetDown, TargetRefused
from drills.runner import run_drill
from drills.scenario import load_scenario
from gateway.supervisor import free_port

SCENARIO = load_scenario(Path(__file__).with_name("small.yaml"))
START_SECONDS = 40


@dataclass
class Running:
    """A gateway of our own."""

    url: str
    admin_token: str
    process: subprocess.Popen[bytes]


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the gateway did not become ready:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    port, log = free_port(), folder / "up.log"
    command = [sys.executable, "-m", "gateway", "up", "--workers", "1", "--no-page", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env={**environment, "LEAKDRILL_DATA": str(folder / "data")},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process, log)
        token = (folder / "data" / "admin.token").read_text(encoding="utf-8").strip()
        yield Running(url, token, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_strict_gateway_contains_the_leak(gateway: Running, tmp_path: Path) -> None:
    result = asyncio.run(run_drill(SCENARIO, target=gateway.url, admin_token=gateway.admin_token, out=tmp_path))
    assert (result.status, result.verdict, result.exit_code) == ("completed", "contained", 0), result
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    for line in SCENARIO.msel:
        assert f"| {line.id} ({line.inject}) |" in report
    assert "not played" not in report
    assert "| Bystander tokens revoked, denied after | 0, 0 |" in report


def test_a_wrong_admin_token_is_bad_usage(gateway: Running, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match="refused the admin token") as caught:
        asyncio.run(run_drill(SCENARIO, target=gateway.url, admin_token="ldk_wrong", out=tmp_path))
    assert caught.value.exit_code == 2


def test_a_stopped_gateway_is_inconclusive(tmp_path: Path) -> None:
    with pytest.raises(TargetDown, match="does not answer") as caught:
        asyncio.run(run_drill(SCENARIO, target=f"http://127.0.0.1:{free_port()}", admin_token="x", out=tmp_path))
    assert caught.value.exit_code == 3
    assert not list(tmp_path.iterdir())
