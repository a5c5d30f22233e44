"""Files through the socket and through a worker: what downloads cost, and what a revocation leaves of a render."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from footage import clip, picture
from live import Live, eventually, live_gateway

SMALL = {"prompt": "a lake", "size": "480x480", "fps": 5, "seconds": 1}
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("videos") / "data") as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    with _client(live) as made:
        yield made


def _client(live: Live) -> httpx.Client:
    headers = {"Authorization": f"Bearer {live.issue()['token']}"}
    return httpx.Client(base_url=live.url, headers=headers, trust_env=False, timeout=30)


def _ended(client: httpx.Client, id: str) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        video: dict[str, Any] = client.get(f"/v1/videos/{id}").json()
        return video if video["status"] in ("completed", "failed") else None

    return look


def _made(client: httpx.Client, path: str = "/v1/videos", **options: Any) -> dict[str, Any]:
    answer = client.post(path, **(options or {"json": SMALL}))
    assert answer.status_code == 200, answer.text
    return eventually(_ended(client, answer.json()["id"])) or {}


def _high_water(pid: int) -> int:
    """The most memory that a process ever held, in bytes."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("memory is read from /proc, which this system does not have")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_thirty_slow_downloads_at_once_cost_no_memory(live: Live, client: httpx.Client) -> None:
    video = _made(client)
    file = next((live.supervisor.settings.media).glob(f"{video['id']}.*.mp4"))
    with file.open("r+b") as opened:
        opened.truncate(64 * MEBIBYTE)
    gateway = next(child for child in live.supervisor.children if child.name == "gateway").process.pid
    target = urlsplit(live.url)
    request = (
        f"GET /v1/videos/{video['id']}/content HTTP/1.1\r\nHost: {target.netloc}\r\n"
        f"Authorization: {client.headers['authorization']}\r\n\r\n"
    ).encode()
    before = _high_water(gateway)
    with ExitStack() as held:
        readers = []
        for _ in range(30):
            reader = held.enter_context(
                socket.create_connection((target.hostname or "", target.port or 80), timeout=20)
            )
            reader.sendall(request)
            readers.append(reader)
        # Each reads a part and then holds its connection, so that all thirty are under way.
        for reader in readers:
            assert reader.recv(MEBIBYTE).startswith(b"HTTP/1.1 200")
        answer = client.get(f"/v1/videos/{video['id']}")
        assert answer.elapsed.total_seconds() < 2
        whole = client.get(f"/v1/videos/{video['id']}/content")
        assert len(whole.content) == 64 * MEBIBYTE
        grown = _high_water(gateway) - before
    assert grown < 48 * MEBIBYTE, f"{grown / MEBIBYTE:.0f} MiB"


def test_uploads_do_not_starve_polls(tmp_path: Path) -> None:
    upload = clip(tmp_path, size="1280x720", seconds=10, fps=30)
    with live_gateway(tmp_path / "data", workers=0) as live, _client(live) as client:
        gateway = next(child for child in live.supervisor.children if child.name == "gateway").process.pid
        id = client.post("/v1/videos", json=SMALL).json()["id"]
        client.post("/v1/videos/edits", data={"prompt": "x"}, files={"video": upload})  # what is loaded late is loaded
        decoders: list[int] = []
        waits: list[float] = []
        with ThreadPoolExecutor(8) as pool:
            edits = [
                pool.submit(client.post, "/v1/videos/edits", data={"prompt": str(number)}, files={"video": upload})
                for number in range(8)
            ]
            while not all(edit.done() for edit in edits):
                decoders.append(_children(gateway))
                waits.append(client.get(f"/v1/videos/{id}").elapsed.total_seconds())
        assert [edit.result().status_code for edit in edits] == [200] * 8
    assert 0 < max(decoders) <= 2
    assert max(waits) < 2


def test_an_upload_that_breaks_off_leaves_nothing(live: Live, client: httpx.Client) -> None:
    target = urlsplit(live.url)
    head = (
        f"POST /v1/videos/edits HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Length: 9000000\r\n"
        f"Authorization: {client.headers['authorization']}\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="video"; filename="v.mp4"\r\n\r\n'
    ).encode()
    inputs = live.supervisor.settings.inputs
    with socket.create_connection((target.hostname or "", target.port or 80), timeout=20) as caller:
        caller.sendall(head + bytes(200_000))
        eventually(lambda: list(inputs.glob("incoming-*")))
    eventually(lambda: not list(inputs.iterdir()))
    assert client.get("/v1/videos").status_code == 200


def _children(pid: int) -> int:
    listed = subprocess.run(["ps", "-A", "-o", "ppid=,comm="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 1) for line in listed.stdout.splitlines()]
    return sum(int(parent) == pid and "ffmpeg" in name for parent, name in rows)


def test_the_stills_come_with_the_clip(client: httpx.Client) -> None:
    video = _made(client)
    for variant, start in (("video", b"\x00\x00\x00"), ("thumbnail", b"RIFF"), ("spritesheet", b"\xff\xd8")):
        answer = client.get(f"/v1/videos/{video['id']}/content", params={"variant": variant})
        assert answer.status_code == 200
        assert answer.content.startswith(start)


def test_every_kind_of_video_is_rendered_and_leaves_no_input(live: Live, client: httpx.Client, tmp_path: Path) -> None:
    plain = _made(client)
    upload = clip(tmp_path, seconds=1)
    words = {name: str(value) for name, value in SMALL.items()}
    named = {"prompt": "at night", "video": {"id": plain["id"]}}
    videos = [
        _made(client, data=words, files={"input_reference": picture(480, 480)}),
        _made(client, f"/v1/videos/{plain['id']}/remix", json={"prompt": "at night"}),
        _made(client, "/v1/videos/edits", json=named),
        _made(client, "/v1/videos/edits", data={"prompt": "snow"}, files={"video": upload}),
        _made(client, "/v1/videos/extensions", json={**named, "seconds": 1}),
        _made(client, "/v1/videos/extensions", data={"prompt": "snow", "seconds": "1"}, files={"video": upload}),
    ]
    again = {"prompt": "in the rain", "seconds": 2, "video": {"id": videos[4]["id"]}}
    videos.append(_made(client, "/v1/videos/extensions", json=again))
    assert [(video["status"], video["error"], video["seconds"]) for video in videos] == [
        ("completed", None, seconds) for seconds in ("1", "1", "1", "1", "2", "2", "4")
    ]
    eventually(lambda: not list(live.supervisor.settings.inputs.iterdir()))


def test_a_revocation_in_mid_edit_leaves_no_file(live: Live, tmp_path: Path) -> None:
    issued = live.issue("tester-009")
    headers = {"Authorization": f"Bearer {issued['token']}"}
    upload = clip(tmp_path, size="854x480", seconds=40, fps=30)
    answer = httpx.post(
        f"{live.url}/v1/videos/edits",
        data={"prompt": "snow at night"},
        files={"video": upload},
        headers=headers,
        trust_env=False,
        timeout=60,
    )
    id = answer.json()["id"]
    settings = live.supervisor.settings
    assert list(settings.inputs.glob(f"{id}*"))

    def running() -> bool:
        seen = httpx.get(f"{live.url}/v1/videos/{id}", headers=headers, trust_env=False).json()
        return bool(seen["status"] == "in_progress" and seen["progress"] > 0)

    eventually(running)
    selector = {"selector": {"accessor": issued["accessor"]}, "reason": "drill"}
    assert live.control("POST", "/control/revocations", json=selector)["jobs"]["running"] == 1
    eventually(lambda: not list(settings.inputs.glob(f"*{id}*")) and not list(settings.media.glob(f"*{id}*")), within=5)


def test_load_tests_get_stills_too(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", render="cached") as cached, _client(cached) as client:
        videos = [_made(client) for _ in range(2)]
        for video in videos:
            for variant in ("video", "thumbnail", "spritesheet"):
                answer = client.get(f"/v1/videos/{video['id']}/content", params={"variant": variant})
                assert (answer.status_code, len(answer.content) > 200) == (200, True)
        edited = {"prompt": "at night", "video": {"id": videos[0]["id"]}}
        assert _made(client, "/v1/videos/edits", json=edited)["status"] == "completed"
