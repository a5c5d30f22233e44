"""Every method of `client.videos` of the published Node client; it sends shapes that the Python client does not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types import Video

from footage import clip, picture
from foreign import installed
from live import live_gateway

HERE = Path(__file__).parent / "node"
FILES = [HERE / name for name in ("package.json", "package-lock.json", "videos.mjs")]
VIDEOS = (
    "text",
    "fromFile",
    "fromDataUrl",
    "remix",
    "edit",
    "editUpload",
    "extend",
    "extendUpload",
    "withCharacter",
)


def drive(folder: Path, base_url: str, key: str, tmp_path: Path) -> dict[str, Any]:
    """What the script found."""
    (tmp_path / "first.png").write_bytes(picture(480, 480))
    (tmp_path / "clip.mp4").write_bytes(clip(tmp_path, size="480x480"))
    command = ["node", str(folder / "videos.mjs"), base_url, key]
    paths = [str(tmp_path / "first.png"), str(tmp_path / "clip.mp4")]
    ran = subprocess.run([*command, *paths], capture_output=True, text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_the_node_client_drives_every_method(
    request: pytest.FixtureRequest, tmp_path: Path, need_tool: Callable[[str, str], str]
) -> None:
    need_tool("node", "apt-get install nodejs (20 or newer)")
    npm = need_tool("npm", "apt-get install npm")
    assert request.config.cache is not None
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    folder = installed(request.config.cache, "openai-node", FILES, install)
    with live_gateway(tmp_path / "data") as live:
        found = drive(folder, f"{live.url}/v1", live.issue()["token"], tmp_path)

    assert found["driven"] == found["methods"]
    assert len(found["methods"]) == 10
    base = found["text"]
    for name in VIDEOS:
        assert (set(found[name]), found[name]["status"], found[name]["error"]) == (
            set(Video.model_fields),
            "completed",
            None,
        ), name
        assert found[name]["size"] == "480x480"
    assert (base["model"], base["seconds"], base["prompt"]) == ("turbo", "1", "a lake at dawn")
    assert [found[name]["seconds"] for name in ("remix", "edit", "extend", "extendUpload")] == ["1", "1", "2", "3"]
    assert found["remix"]["remixed_from_video_id"] == base["id"]

    content = found["content"]
    assert content["none"] == content["video"]
    assert (content["video"]["type"], content["video"]["head"][4:8]) == ("video/mp4", "ftyp")
    assert (content["thumbnail"]["type"], content["thumbnail"]["head"][8:12]) == ("image/webp", "WEBP")
    assert (content["spritesheet"]["type"], content["spritesheet"]["head"][:3]) == ("image/jpeg", "\xff\xd8\xff")

    assert found["characterAgain"] == found["character"]
    assert set(found["character"]) == {"id", "name", "created_at"}
    assert found["listed"] == [found[name]["id"] for name in VIDEOS]
    assert found["page"] == {"ids": found["listed"][:2], "more": True}
    assert found["deleted"] == {"id": base["id"], "deleted": True, "object": "video.deleted"}
    assert found["gone"]["request"].startswith("req_")
    told = ("name", "status", "code")
    refused = {name: [found[name][key] for key in told] for name in ("gone", "badSize", "wrongKey")}
    assert refused == {
        "gone": ["NotFoundError", 404, "not_found"],
        "badSize": ["BadRequestError", 400, "invalid_value"],
        "wrongKey": ["AuthenticationError", 401, "invalid_api_key"],
    }
