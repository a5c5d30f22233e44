"""The shell script of compose.yaml that gives the page its token, run against a gateway."""

import os
import subprocess
from pathlib import Path

import httpx
import yaml

from live import Live, live_gateway, path_with_program

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["page-token"]


def run(live: Live, folder: Path, url: str, path: str) -> int:
    """The script's exit code. `$$` is how compose writes a dollar sign, and /data is the container's data directory."""
    (script,) = SERVICE["command"]
    own = script.replace("$$", "$").replace("http://gateway-1:8000", url).replace("/data/", f"{folder}/")
    assert own.count(str(folder)) == 2
    assert url in own
    environment = {**os.environ, "PATH": path, "LEAKDRILL_DATA": str(live.supervisor.settings.data)}
    return subprocess.run([*SERVICE["entrypoint"], own], env=environment, timeout=60).returncode


def test_the_page_is_given_a_token_once_and_only_by_a_gateway_that_answers(tmp_path: Path) -> None:
    path, file = path_with_program(tmp_path), tmp_path / "page.tokens"
    with live_gateway(tmp_path / "data", workers=0) as live:
        assert run(live, tmp_path, "http://127.0.0.1:1", path) == 1
        assert not file.exists()
        assert run(live, tmp_path, live.url, path) == 0
        token = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{live.url}/v1/videos", headers=headers, trust_env=False).status_code == 200
        assert run(live, tmp_path, live.url, path) == 0
        assert file.read_text().strip() == token
        assert [one["principal"] for one in live.control("GET", "/control/tokens")["data"]] == ["page"]
