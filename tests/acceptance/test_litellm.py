"""LiteLLM's SDK pointed at the gateway: every video function it has. It pins an older `openai`, so it lives alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from footage import clip, picture
from foreign import installed
from live import live_gateway

HERE = Path(__file__).parent / "litellm"
PIP = ["bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
HEADS = {"mp4": "66747970", "webp": "52494646"}  # ftyp at byte 4, RIFF at byte 0


def test_litellm_calls_every_video_function(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert request.config.cache is not None
    folder = installed(
        request.config.cache,
        "litellm",
        [HERE / "requirements.txt"],
        [sys.executable, "-m", "venv", "."],
        [*PIP, "--require-hashes", "-r", "requirements.txt"],
    )
    (tmp_path / "first.png").write_bytes(picture(480, 480))
    (tmp_path / "clip.mp4").write_bytes(clip(tmp_path, size="480x480"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "LITELLM_"))}
    with live_gateway(tmp_path / "data") as live:
        arguments = [f"{live.url}/v1", live.issue()["token"], str(tmp_path / "first.png"), str(tmp_path / "clip.mp4")]
        ran = subprocess.run(
            [str(folder / "bin" / "python"), str(HERE / "videos.py"), *arguments],
            capture_output=True,
            text=True,
            timeout=180,
            env=environment,
        )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)

    for name in ("text", "picture", "remix", "edit", "extension"):
        video = found[name]
        assert (video["object"], video["status"], video["error"]) == ("video", "completed", None), name
    assert (found["text"]["model"], found["text"]["size"], found["text"]["seconds"]) == ("sora-2", "1280x720", "1")
    assert found["extension"]["seconds"] == "2"
    sources = {found[name]["remixed_from_video_id"] for name in ("remix", "edit", "extension")}
    assert len(sources) == 1
    assert (found["head"][8:16], found["thumbnail"][:8]) == (HEADS["mp4"], HEADS["webp"])

    assert found["character"] == found["character_again"]
    assert found["character"]["name"] == "the keeper"
    assert (len(found["list"]["data"]), found["list"]["has_more"]) == (2, True)
    assert found["async"]["video"]["status"] == "completed"
    assert (found["async"]["head"][8:16], found["async"]["listed"]) == (HEADS["mp4"], 1)
    assert (found["wrong_key"]["name"], found["wrong_key"]["status"]) == ("AuthenticationError", 401)
    assert (found["bad_size"]["name"], found["bad_size"]["status"]) == ("BadRequestError", 400)
    assert "1920x1080" in found["bad_size"]["message"]
    assert found["elsewhere"] == []
