"""The shell scripts of compose.yaml and of the cluster that give the page its token, run against a gateway."""

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from live import Live, live_gateway, path_with_program

ROOT = Path(__file__).parents[2]


def scripts() -> dict[str, str]:
    """Each as its shell reads it; `$$` is how compose writes a dollar sign."""
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["page-token"]
    parts = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "page.yaml").read_text())
    (pod,) = (part["spec"]["template"]["spec"] for part in parts if part["kind"] == "Deployment")
    (container,) = pod["initContainers"]
    assert service["entrypoint"] == container["command"] == ["sh", "-c"]
    return {"compose": service["command"][0].replace("$$", "$"), "kubernetes": container["args"][0]}


SCRIPTS = scripts()


def run(script: str, live: Live, folder: Path, url: str, path: str) -> int:
    """The script's exit code. /data is the container's data directory."""
    own = re.sub(r"http://\w+:8000", url, script).replace("/data/", f"{folder}/")
    assert own.count(str(folder)) == 2
    assert own.count(url) == 1
    environment = {**os.environ, "PATH": path, "LEAKDRILL_DATA": str(live.supervisor.settings.data)}
    return subprocess.run(["sh", "-c", own], env=environment, timeout=60).returncode


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_the_page_is_given_a_token_once_and_only_by_a_gateway_that_answers(script: str, tmp_path: Path) -> None:
    path, file = path_with_program(tmp_path), tmp_path / "page.tokens"
    with live_gateway(tmp_path / "data", workers=0) as live:
        assert run(script, live, tmp_path, "http://127.0.0.1:1", path) == 1
        assert not file.exists()
        assert run(script, live, tmp_path, live.url, path) == 0
        token = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{live.url}/v1/videos", headers=headers, trust_env=False).status_code == 200
        assert run(script, live, tmp_path, live.url, path) == 0
        assert file.read_text().strip() == token
        assert [one["principal"] for one in live.control("GET", "/control/tokens")["data"]] == ["page"]
