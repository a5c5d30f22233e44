"""The calls that the page shows, pasted as they are but for the token: each orders a clip and saves it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frontend.calls import MASKED, calls
from frontend.client import Order
from live import Live, eventually, live_gateway

# What a shell, Python and JavaScript each would take for something else.
ORDER = Order('it\'s a "dog" in $HOME, `ls` \\n 🐕', "turbo", "480x480", 1, 7, "saltglass", "rain & snow")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("calls")) as live:
        yield live


@pytest.fixture
def pasted(live: Live) -> dict[str, str]:
    """The calls with a token in the place of the mask."""
    token: str = live.issue()["token"]
    return {name: text.replace(MASKED, token) for name, text in calls(ORDER, live.url).items()}


def ran(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_is_a_clip(folder: Path) -> None:
    assert (folder / "clip.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_shown_javascript_makes_a_clip(
    pasted: dict[str, str], tmp_path: Path, need_tool: Callable[[str, str], str]
) -> None:
    node = need_tool("node", "apt-get install nodejs (20 or newer)")
    (tmp_path / "clip.mjs").write_text(pasted["JavaScript"])
    ran(node, "clip.mjs", folder=tmp_path)
    assert_is_a_clip(tmp_path)


def test_the_shown_python_makes_a_clip(pasted: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "make_clip.py").write_text(pasted["Python"])
    ran(sys.executable, "make_clip.py", folder=tmp_path)
    assert_is_a_clip(tmp_path)


def test_the_shown_curl_makes_a_clip(
    pasted: dict[str, str], tmp_path: Path, need_tool: Callable[[str, str], str]
) -> None:
    need_tool("curl", "apt-get install curl")
    order, ask, fetch = pasted["curl"].split("\n\n")
    video = json.loads(ran("bash", "-c", order, folder=tmp_path))
    assert video["prompt"] == ORDER.prompt

    def status() -> bool:
        found = json.loads(ran("bash", "-c", ask.replace("VIDEO_ID", video["id"]), folder=tmp_path))
        assert found["status"] in ("queued", "in_progress", "completed")
        return bool(found["status"] == "completed")

    eventually(status, within=60, every=0.2)
    ran("bash", "-c", fetch.replace("VIDEO_ID", video["id"]), folder=tmp_path)
    assert_is_a_clip(tmp_path)


@pytest.mark.parametrize("language", ["Python", "JavaScript"])
def test_a_refusal_is_told_and_leaves_no_file(
    live: Live, tmp_path: Path, need_tool: Callable[[str, str], str], language: str
) -> None:
    text = calls(ORDER, live.url)[language].replace(MASKED, "ldk_notATokenThatTheGatewayKnows")
    script = tmp_path / {"Python": "clip.py", "JavaScript": "clip.mjs"}[language]
    script.write_text(text)
    program = sys.executable if language == "Python" else need_tool("node", "apt-get install nodejs (20 or newer)")
    done = subprocess.run([program, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "invalid_api_key" in done.stderr
    assert not (tmp_path / "clip.mp4").exists()
