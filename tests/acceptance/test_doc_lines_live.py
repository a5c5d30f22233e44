"""The lines of docs/start.md and docs/extend.md, typed one after the other as a newcomer would, against one gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from doc_lines import ROOT, blocks
from live import Live, eventually, live_gateway, path_with_program

START, EXTEND = (ROOT / "docs" / name for name in ("start.md", "extend.md"))
# The wheel's installation (scripts/fresh-machine.sh), the gateway that the test starts itself, and a drill that
# tests/acceptance/test_drill_command.py plays quicker.
ELSEWHERE = ("python3 -m venv", "leakdrill/bin/pip", "leakdrill/bin/leakdrill", "leakdrill up", "leakdrill drill run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where they are typed: a checkout's seeds, and a profile of one's own as docs/extend.md has it."""
    made = tmp_path_factory.mktemp("typed")
    shutil.copytree(ROOT / "seeds", made / "seeds", ignore=shutil.ignore_patterns("__pycache__"))
    (made / "profiles").mkdir()
    (made / "profiles" / "friday.yaml").write_text(blocks(EXTEND, "yaml")[0])
    return made


@pytest.fixture(scope="module")
def live(folder: Path) -> Iterator[Live]:
    with live_gateway(folder / ".leakdrill", profiles_dir=str(folder / "profiles")) as running:
        yield running


Shell = Callable[[str], str]


@pytest.fixture(scope="module")
def shell(folder: Path, live: Live) -> Shell:
    """Types lines in one bash, which keeps its variables, and gives what they print; fails where one does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    path = path_with_program(folder)
    environment = {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "LEAKDRILL_PORT": live.url.rpartition(":")[2]}

    def type_in(lines: str) -> str:
        script = lines.replace("http://127.0.0.1:8000", live.url)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert ran.returncode == 0, (script, ran.stdout, ran.stderr)
        return ran.stdout

    return type_in


def test_the_first_two_minutes(shell: Shell, live: Live, need_tool: Callable[[str, str], str]) -> None:
    need_tool("curl", "apt-get install curl")
    lines = [line for block in blocks(START, "sh") for line in block.splitlines()]
    elsewhere = [line for line in lines if line.startswith(ELSEWHERE)]
    assert len(elsewhere) == len(ELSEWHERE)
    printed = shell("\n".join(line for line in lines if line not in elsewhere))
    created, listed, refused = json_in(printed)
    assert created["status"] == "queued"
    assert [one["id"] for one in listed["data"]] == [created["id"]]
    assert refused["error"]["code"] == "invalid_api_key"
    (token,) = live.control("GET", "/control/tokens", params={"principal": "me"})["data"]
    assert (token["cohort"], token["state"]) == ("alpha", "revoked")
    assert token["accessor"] in printed.splitlines()[-1]


def json_in(text: str) -> Iterator[dict[str, Any]]:
    """The objects in what was printed, whatever stands between them."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        try:
            found, at = decoder.raw_decode(text, at)
        except ValueError:
            at += 1
            continue
        yield found


def test_a_scenario_of_ones_own_is_played(shell: Shell, folder: Path) -> None:
    # The second one has a mistake; tests/drills/test_drill_matrix.py has drills that find some.
    own, _ = [text for text in blocks(EXTEND, "sh") if "friday.yaml" in text]
    assert "verdict: contained" in shell(own)
    assert (folder / "friday" / "report.html").exists()
    assert yaml.safe_load((folder / "friday.yaml").read_text())["scenario"]["id"] == "friday"


def test_a_runbook_of_ones_own_is_sound(shell: Shell, folder: Path) -> None:
    (lines,) = [text for text in blocks(EXTEND, "sh") if "runbook copy" in text]
    shell(lines)
    assert (folder / "mine" / "revoke.sh").exists()


def test_a_latency_profile_of_ones_own_is_in_force(shell: Shell, live: Live) -> None:
    (lines,) = [text for text in blocks(EXTEND, "sh") if "leakdrill profile" in text]
    shell(lines)
    assert "friday" in httpx.get(f"{live.url}/status", trust_env=False).json()["profile"]
    shell("leakdrill profile instant")


def test_a_style_of_ones_own_is_rendered(shell: Shell, folder: Path) -> None:
    shutil.copytree(ROOT / "fake_model", folder / "fake_model", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "gateway", folder / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    (line,) = [text for text in blocks(EXTEND, "yaml") if "saturation" in text]
    with (folder / "fake_model" / "variants" / "styles.yaml").open("a") as file:
        file.write(line)
    text = EXTEND.read_text()
    (command,) = [word for word in text.split("`") if word.startswith("leakdrill render")]
    # The copy's own code, not the checkout's.
    shell(f"export PYTHONPATH=$PWD; {command} --size 480x480 --seconds 1 --model turbo")
    assert eventually((folder / "clip.mp4").exists)
