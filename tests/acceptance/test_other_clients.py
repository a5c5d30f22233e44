"""The published clients of fal, Replicate and Together, and Hugging Face's, unmodified: told where the gateway is, and
a key. The first three are installed apart, because they and ours do not agree on the versions of what they need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from footage import picture
from foreign import installed
from live import Live, live_gateway
from proxying import proxy_before
from tls import certificate

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HERE = Path(__file__).parent / "clients"
NODE = Path(__file__).parent / "clients-node"
PIP = ["bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
OWN = ("FAL_", "REPLICATE_", "TOGETHER_", "HF_")
REFUSED = "It is unknown, expired or no longer accepted"


@pytest.fixture(scope="module")
def environment(request: pytest.FixtureRequest) -> Path:
    """The Python beside which the clients are installed."""
    assert request.config.cache is not None
    folder = installed(
        request.config.cache,
        "clients",
        [HERE / "requirements.txt"],
        [sys.executable, "-m", "venv", "."],
        [*PIP, "--require-hashes", "-r", "requirements.txt"],
    )
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Live]]:
    """One with a worker, and one without, where jobs wait."""
    folder = tmp_path_factory.mktemp("clients")
    with live_gateway(folder / "working") as working, live_gateway(folder / "idle", workers=0) as idle:
        yield working, idle


@pytest.fixture
def plays(need_tool: Callable[[str, str], str]) -> Callable[[str], tuple[int, int, int]]:
    """Width, height and frames of a clip that ffprobe can read to its end."""
    ffprobe = need_tool("ffprobe", "apt-get install ffmpeg")

    def probed(path: str) -> tuple[int, int, int]:
        command = [ffprobe, "-v", "error", "-count_frames", "-show_streams", "-of", "json", path]
        ran = subprocess.run(command, capture_output=True, check=True, timeout=60)
        (stream,) = json.loads(ran.stdout)["streams"]
        assert (stream["codec_name"], stream["pix_fmt"]) == ("h264", "yuv420p")
        return stream["width"], stream["height"], int(stream["nb_read_frames"])

    return probed


def person(live: Live) -> dict[str, str]:
    """A gateway, a new token of it and its admin."""
    issued = live.issue()
    own = {"token": issued["token"], "accessor": issued["accessor"]}
    return {"url": live.url, "admin": live.supervisor.admin_token, **own}


def without_own() -> dict[str, str]:
    """The environment, without what the clients would read from it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN)}


def driven(client: str, python: Path | str, gateways: tuple[Live, Live], folder: Path, **variables: str) -> Any:
    """What the client's driver found."""
    first = folder / "first.png"
    first.write_bytes(picture(480, 480))
    ran = subprocess.run(
        [str(python), str(HERE / "videos.py"), client, str(folder), str(first)],
        input="".join(f"{json.dumps(person(live))}\n" for live in gateways),
        env={**without_own(), **variables, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["elsewhere"] == []
    assert set(found["links"]["before"]) <= {200}
    assert set(found["links"]["after"]) <= {401}
    return found


def errors(found: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Name, status and code of everything that was refused."""
    refused = {name: value for name, value in found.items() if isinstance(value, dict) and "name" in value}
    return {name: (value["name"], value.get("status"), value.get("code")) for name, value in refused.items()}


def ensure_told_alike(found: dict[str, Any], *names: str) -> None:
    """A revoked key is told what an unknown one is."""
    assert REFUSED in found["wrong_key"]["text"]
    assert {found[name]["text"] for name in names} == {found["wrong_key"]["text"]}


Plays = Callable[[str], tuple[int, int, int]]


def test_fal(environment: Path, gateways: tuple[Live, Live], tmp_path: Path, plays: Plays) -> None:
    found = driven("fal", environment, gateways, tmp_path)
    assert (plays(found["clip"]), plays(found["from_picture"])) == ((480, 480, 30), (480, 480, 30))
    assert (found["result"]["seed"], found["by_id"]) == (7, found["file_name"])
    assert found["result"]["video"]["file_size"] == Path(found["clip"]).stat().st_size
    assert found["seen"][-1] == "Completed"
    assert found["waits"] == {"position": 0}
    error = "FalClientHTTPError"
    assert errors(found) == {
        "cancel_late": (error, 400, "already_completed"),
        "no_app": (error, 404, "not_found"),
        "bad_ratio": (error, 422, "invalid_value"),
        "webhook": (error, 422, "invalid_value"),
        "wrong_key": (error, 401, "invalid_api_key"),
        "cancelled": (error, 400, "cancelled"),
        "revoked": (error, 401, "invalid_api_key"),
        "submit_after": (error, 401, "invalid_api_key"),
    }
    assert found["jobs"] == {"queued": 1, "running": 0}
    ensure_told_alike(found, "revoked", "submit_after")


def test_replicate(environment: Path, gateways: tuple[Live, Live], tmp_path: Path, plays: Plays) -> None:
    found = driven("replicate", environment, gateways, tmp_path)
    assert (plays(found["clip"]), plays(found["from_picture"])) == ((480, 480, 30), (480, 480, 30))
    assert (found["created"], found["held"], found["waits"], found["cancelled"]) == (
        "starting",
        "succeeded",
        "starting",
        "canceled",
    )
    assert (found["prediction"]["status"], found["prediction"]["model"]) == ("succeeded", "leakdrill/turbo")
    assert (found["prediction"]["input"]["duration"], found["prediction"]["input"]["aspect_ratio"]) == (1, "1:1")
    assert (found["by_version"], found["listed"]) == (True, ["succeeded"] * 4)
    error = "ReplicateError"
    assert errors(found) == {
        "bad_ratio": (error, 422, "invalid_value"),
        "bad_duration": (error, 422, "invalid_value"),
        "no_model": (error, 404, "not_found"),
        "no_version": (error, 422, "invalid_value"),
        "webhook": (error, 422, "invalid_value"),
        "wrong_key": (error, 401, "invalid_api_key"),
        "revoked": (error, 401, "invalid_api_key"),
        "list_after": (error, 401, "invalid_api_key"),
    }
    assert found["jobs"] == {"queued": 1, "running": 0}
    ensure_told_alike(found, "revoked", "list_after")


def test_together(environment: Path, gateways: tuple[Live, Live], tmp_path: Path, plays: Plays) -> None:
    found = driven("together", environment, gateways, tmp_path)
    assert (plays(found["clip"]), plays(found["from_picture"])) == ((480, 480, 30), (480, 480, 30))
    video = found["video"]
    assert (video["status"], video["size"], video["seconds"]) == ("completed", "480x480", "1")
    assert (video["model"], video["outputs"]["cost"], found["strict"]) == ("leakdrill/turbo", 1, "completed")
    assert found["waits"] == "in_progress"
    assert errors(found) == {
        "bad_size": ("BadRequestError", 400, None),
        "no_model": ("NotFoundError", 404, None),
        "wrong_key": ("AuthenticationError", 401, None),
        "revoked": ("AuthenticationError", 401, None),
        "submit_after": ("AuthenticationError", 401, None),
    }
    assert found["jobs"] == {"queued": 1, "running": 0}
    ensure_told_alike(found, "revoked", "submit_after")


def test_the_node_clients(
    request: pytest.FixtureRequest,
    gateways: tuple[Live, Live],
    tmp_path: Path,
    plays: Plays,
    need_tool: Callable[[str, str], str],
) -> None:
    node = need_tool("node", "apt-get install nodejs (20 or newer)")
    npm = need_tool("npm", "apt-get install npm")
    assert request.config.cache is not None
    files = [NODE / name for name in ("package.json", "package-lock.json", "videos.mjs")]
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    folder = installed(request.config.cache, "clients-node", files, install)
    ran = subprocess.run(
        [node, str(folder / "videos.mjs"), str(tmp_path)],
        input="".join(f"{json.dumps(person(live))}\n" for live in gateways),
        env=without_own(),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert {name: plays(one["clip"]) for name, one in found.items()} == dict.fromkeys(
        ("fal", "replicate"), (480, 480, 30)
    )
    for name, (waits, bad) in {"fal": ("IN_QUEUE", "ValidationError"), "replicate": ("starting", "ApiError")}.items():
        one = found[name]
        assert (one["waits"], one["jobs"]) == (waits, {"queued": 1, "running": 0})
        assert (one["badRatio"]["name"], one["badRatio"]["status"]) == (bad, 422)
        assert (one["revoked"]["name"], one["revoked"]["status"]) == ("ApiError", 401)
        assert one["revoked"] == one["wrongKey"]
    assert found["fal"]["same"] is True
    # Replicate's list holds what came by way of fal, too.
    assert (found["replicate"]["pages"], found["replicate"]["cancelled"]) == ([2], "canceled")


def block(word: str) -> str:
    """The lines of the page that hold `word`."""
    (found,) = [text for text in BLOCK.findall(PAGE.read_text()) if word in text]
    return str(found)


def test_hugging_face(gateways: tuple[Live, Live], tmp_path: Path, plays: Plays) -> None:
    (tmp_path / "setup.txt").write_text(block("set_client_factory").partition("client = ")[0])
    found = driven("hugging_face", sys.executable, gateways, tmp_path)
    assert {name: plays(clip) for name, clip in found["clips"].items()} == dict.fromkeys(
        ["fal-ai", "fal-ai, picture", "replicate", "together", "together, picture"], (480, 480, 30)
    )
    assert errors(found) == {
        "wrong_key": ("HfHubHTTPError", 401, None),
        "no_model": ("RepositoryNotFoundError", 404, None),
    }
    assert set(found["jobs"]) == set(found["revoked"]) == {"fal-ai", "replicate", "together"}
    assert all(jobs == {"queued": 1, "running": 0} for jobs in found["jobs"].values())
    assert {(one["name"], one["status"]) for one in found["revoked"].values()} == {("HfHubHTTPError", 401)}


def test_the_lines_of_the_page(environment: Path, gateways: tuple[Live, Live], tmp_path: Path) -> None:
    live, _ = gateways
    running = {}
    for client in ("fal_client", "replicate", "together", "huggingface_hub"):
        lines = block(f"import {client}\n").replace("http://127.0.0.1:8000", live.url)
        lines = lines.replace("ldk_…", live.issue()["token"])
        python = sys.executable if client == "huggingface_hub" else str(environment)
        (tmp_path / client).mkdir()
        running[client] = subprocess.Popen([python, "-c", lines], cwd=tmp_path / client, env=without_own())
    for client, process in running.items():
        assert process.wait(120) == 0, client
        assert (tmp_path / client / "clip.mp4").read_bytes()[4:8] == b"ftyp", client


def test_fal_over_tls_by_its_environment_alone(environment: Path, gateways: tuple[Live, Live], tmp_path: Path) -> None:
    live, _ = gateways
    server, _ = certificate(tmp_path, "localhost")
    lines = (
        "import fal_client\n"
        "small = {'prompt': 'rain', 'resolution': '480p', 'duration': 1}\n"
        "print(fal_client.subscribe('leakdrill/turbo', small)['video']['url'])\n"
    )
    with proxy_before(live.url, server) as proxy:
        own = {
            "FAL_QUEUE_RUN_HOST": proxy.url.removeprefix("https://") + "/fal",
            "FAL_KEY": live.issue()["token"],
            "SSL_CERT_FILE": str(tmp_path / "server.pem"),
        }
        ran = subprocess.run(
            [str(environment), "-c", lines], env={**without_own(), **own}, capture_output=True, text=True, timeout=120
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith(f"{proxy.url}/media/")
