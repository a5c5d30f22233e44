"""samples/: each program does against a running gateway what its first lines say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from leakdrill_pytest.gateway import Gateway, Token
from leakdrill_pytest.program import free_ports
from live import eventually

SAMPLES = Path(__file__).parents[2] / "samples"
NODE = "apt-get install nodejs (20 or newer)"
COMMANDS = {".sh": ["sh"], ".py": [sys.executable, "-W", "ignore"], ".mjs": ["node"]}
VIDEOS = ("shell/video.sh", "python/video.py", "node/video.mjs")
RECEIVERS = ("python/webhook_receiver.py", "node/webhook-receiver.mjs")
CHECKS = ("shell/revocation-check.sh", "python/test_revocation.py", "node/revocation.test.mjs")

NeedTool = Callable[[str, str], str]


def command(sample: str, need_tool: NeedTool) -> list[str]:
    path = SAMPLES / sample
    if path.suffix == ".mjs":
        need_tool("node", NODE)
    if path.suffix == ".sh":
        need_tool("curl", "apt-get install curl")
    return [*COMMANDS[path.suffix], str(path)]


def environment(gateway: Gateway, **more: str) -> dict[str, str]:
    return {**os.environ, "LEAKDRILL_URL": gateway.url, **more}


def run(words: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


def test_every_sample_is_run_here_and_listed() -> None:
    found = {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*.*") if path.suffix in COMMANDS}
    assert found == {*VIDEOS, *RECEIVERS, *CHECKS}
    listed = (SAMPLES / "README.md").read_text()
    assert {sample for sample in found if f"]({sample})" not in listed} == set()


@pytest.mark.parametrize("sample", VIDEOS)
def test_a_video_is_made_downloaded_and_its_token_ended(
    sample: str, leakdrill: Gateway, tmp_path: Path, need_tool: NeedTool
) -> None:
    token = leakdrill.issue()
    ran = run(command(sample, need_tool), tmp_path, environment(leakdrill, LEAKDRILL_TOKEN=token.token))
    assert ran.returncode == 0, ran.stderr
    (made,) = leakdrill.events("job.completed")
    assert ran.stdout.splitlines() == [f"{made['job']} is completed", "the token is now answered 401"]
    assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"
    assert leakdrill.state_of(token) == "revoked"


@contextmanager
def receiving(words: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def answered(url: str) -> httpx.Response | None:
    try:
        return httpx.post(url, content=b"{}", trust_env=False)
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("sample", RECEIVERS)
def test_a_receiver_believes_the_gateway_and_nobody_else(
    sample: str, leakdrill: Gateway, tmp_path: Path, need_tool: NeedTool
) -> None:
    words, port = command(sample, need_tool), free_ports(1)
    token, url, log = leakdrill.issue(), f"http://127.0.0.1:{port}", tmp_path / "log"
    secret, endpoint = subscribed(leakdrill, token, url)
    env = environment(leakdrill, LEAKDRILL_WEBHOOK_SECRET=secret, PORT=str(port))
    with receiving(words, env, log):
        unsigned = eventually(lambda: answered(url))
        assert unsigned is not None
        assert unsigned.status_code == 401
        forged = {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        assert httpx.post(url, content=b"{}", headers=forged, trust_env=False).status_code == 401
        order = {"prompt": "rain", "seconds": "4"}
        with httpx.Client(base_url=leakdrill.openai_base_url, headers=token.headers, trust_env=False) as http:
            video = http.post("/videos", json=order).json()["id"]
            leakdrill.wait_for("webhook.delivered", within=60)
            tried = http.post(f"/webhook_endpoints/{endpoint}/test", json={"event_type": "video.failed"})
        assert tried.json()["status_code"] == 204
        lines = eventually(lambda: [] if len(said := log.read_text().splitlines()) < 2 else said)
    assert lines[0] == f"video.completed {video}"
    assert lines[1].startswith("video.failed ")


def subscribed(gateway: Gateway, token: Token, url: str) -> tuple[str, str]:
    """The signing secret and the id of a new endpoint."""
    body = {"name": "sample", "url": url, "event_types": ["video.completed", "video.failed"]}
    path = f"{gateway.openai_base_url}/webhook_endpoints"
    made = httpx.post(path, headers=token.headers, json=body, trust_env=False).json()
    return made["signing_secret"], made["id"]


def test_the_shell_check_tells_a_client_that_is_refused_from_one_that_is_not(
    leakdrill: Gateway, tmp_path: Path, need_tool: NeedTool
) -> None:
    words = command("shell/revocation-check.sh", need_tool)
    env = environment(leakdrill, LEAKDRILL_ADMIN_TOKEN=leakdrill.admin_token)
    client = ["sh", "-c", 'curl -sf "$LEAKDRILL_URL/v1/videos" -H "Authorization: Bearer $LEAKDRILL_TOKEN"']
    good = run([*words, *client], tmp_path, env)
    assert good.returncode == 0, good.stderr
    assert good.stdout.endswith("refused, as it should be\n")
    assert json.loads((tmp_path / "effect.json").read_text())["tokens"] == 1

    deaf = run([*words, "true"], tmp_path, env)
    assert deaf.returncode == 1
    assert "succeeded with a revoked token" in deaf.stderr
    broken = run([*words, "false"], tmp_path, env)
    assert broken.returncode == 1
    assert "failed with a good token" in broken.stderr


def test_the_node_test_passes_and_fails_beside_a_gateway_that_lies(
    leakdrill: Gateway, tmp_path: Path, need_tool: NeedTool
) -> None:
    _, path = command("node/revocation.test.mjs", need_tool)
    env = environment(leakdrill, LEAKDRILL_ADMIN_TOKEN=leakdrill.admin_token)
    right = run(["node", "--test", path], tmp_path, env)
    assert right.returncode == 0, right.stdout
    leakdrill.tell(profile="cache-ttl", seconds=60)
    assert run(["node", "--test", path], tmp_path, env).returncode == 1


def test_the_python_tests_pass_by_themselves(tmp_path: Path) -> None:
    """Copied, as somebody would: beside this checkout they would be under its configuration."""
    shutil.copy(SAMPLES / "python" / "test_revocation.py", tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEAKDRILL_", "PYTEST_"))}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "leakdrill_pytest", "-p", "no:cacheprovider"]
    ran = run(words, tmp_path, kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout
