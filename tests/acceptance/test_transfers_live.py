"""Downloads that are under way when access ends: cut within a moment, or let finish, each over a socket of its own."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from live import Live, eventually, live_gateway

LARGE = 64 << 20
SCOPES = ["videos:read", "videos:write", "tokens:mint"]
# Twice what is promised, because these tests share their machine; benchmarks/revocation.py measures.
SECONDS = 0.5


class Download(threading.Thread):
    """Reads a response at about 3 MB/s, with little room for what it has not read yet."""

    def __init__(self, live: Live, path: str, token: str | None = None) -> None:
        super().__init__(daemon=True)
        self.received = 0
        self.expected = 0
        self.ended_at = 0.0
        self.hasten = threading.Event()
        address = urlsplit(live.url)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._socket.settimeout(30)
        self._socket.connect((address.hostname, address.port))
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n{bearer}\r\n".encode())
        self.start()

    def run(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(1024)
        head, _, body = head.partition(b"\r\n\r\n")
        lines = [line.split(b":", 1) for line in head.lower().splitlines()[1:]]
        self.received = len(body)
        self.expected = next(int(value) for name, value in lines if name == b"content-length")
        try:
            while self.received < self.expected and (more := self._socket.recv(65_536)):
                self.received += len(more)
                self.hasten.wait(0.02)
        except ConnectionResetError:
            pass
        self.ended_at = time.time()
        self._socket.close()

    @property
    def whole(self) -> bool:
        return self.received == self.expected

    @property
    def under_way(self) -> bool:
        return self.is_alive() and self.received > 100_000


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("transfers") / "data", render="cached") as running:
        yield running


def issued(live: Live, principal: str) -> dict[str, Any]:
    body = {"principal": principal, "cohort": principal, "scopes": SCOPES, "tier": "unlimited"}
    made: dict[str, Any] = live.control("POST", "/control/tokens", json=body)
    return made


def large_video(live: Live, token: dict[str, Any], size: int = LARGE) -> tuple[str, httpx.Client]:
    """A finished video whose file is blown up to `size`, and its owner's client."""
    headers = {"Authorization": f"Bearer {token['token']}"}
    client = httpx.Client(base_url=live.url, headers=headers, trust_env=False)
    body = {"prompt": "rain", "size": "480x480", "seconds": 1, "fps": 5}
    id = client.post("/v1/videos", json=body).raise_for_status().json()["id"]
    eventually(lambda: client.get(f"/v1/videos/{id}").json()["status"] == "completed")
    (file,) = (live.supervisor.settings.data / "media").glob(f"{id}.*.mp4")
    _own_copy(file)
    os.truncate(file, size)
    return id, client


def _own_copy(file: Path) -> None:
    """Cached clips are hard links to one file."""
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)


def revoke(live: Live, principal: str, **in_flight: str) -> dict[str, Any]:
    body = {"selector": {"principal": principal}, "reason": "drill", "in_flight": in_flight}
    done: dict[str, Any] = live.control("POST", "/control/revocations", json=body)
    return done


def transfers(live: Live, id: str) -> dict[str, Any]:
    """What the revocation's report says of them."""
    found: dict[str, Any] = live.control("GET", f"/control/revocations/{id}")["effect"]["transfers"]
    return found


def test_a_revocation_cuts_what_is_open_on_every_surface_and_nobody_elses(live: Live) -> None:
    leaked, bystander = issued(live, "leaked"), issued(live, "bystander")
    (video, owner), (theirs, other) = large_video(live, leaked), large_video(live, bystander)
    with closing(owner), closing(other):
        minted = owner.post("/v1/tokens", json={}).raise_for_status().json()
        (childs, child) = large_video(live, minted)
        link = urlsplit(owner.post(f"/v1/videos/{video}/link").json()["url"])
        shared = urlsplit(owner.post(f"/v1/videos/{video}/share").json()["url"])
        child.close()
        cut = [
            Download(live, f"/v1/videos/{video}/content", leaked["token"]),
            Download(live, f"{link.path}?{link.query}"),
            Download(live, shared.path),
            Download(live, f"/v1/videos/{childs}/content", minted["token"]),
        ]
        untouched = Download(live, f"/v1/videos/{theirs}/content", bystander["token"])
        eventually(lambda: all(one.under_way for one in (*cut, untouched)))
        done = revoke(live, "leaked")
        acknowledged = time.time()
        for one in cut:
            one.join(20)
        assert [one.whole for one in cut] == [False] * 4
        assert max(one.ended_at for one in cut) - acknowledged < SECONDS
        assert untouched.under_way
        untouched.hasten.set()
        untouched.join(20)
        assert untouched.whole
        eventually(lambda: transfers(live, done["id"])["cut"] == 4)
        seen = transfers(live, done["id"])
        assert seen["finished"] == 0
        assert 0 <= seen["bytes_after"] < LARGE
        assert seen["last_at"] - done["acknowledged_at"] < SECONDS
        events = live.control("GET", "/control/events", params={"kind": "transfer.", "limit": 1000})["data"]
        assert sorted(event["data"]["surface"] for event in events) == [
            "GET /media/{video_id}",
            "GET /s/{share_id}",
            "GET /v1/videos/{video_id}/content",
            "GET /v1/videos/{video_id}/content",
        ]
        assert {event["accessor"] for event in events} == {leaked["accessor"], minted["accessor"]}


def test_a_transfer_may_finish_where_the_revocation_says_so(live: Live) -> None:
    leaked = issued(live, "finishing")
    video, owner = large_video(live, leaked, 24 << 20)
    with closing(owner):
        download = Download(live, f"/v1/videos/{video}/content", leaked["token"])
        eventually(lambda: download.under_way)
        done = revoke(live, "finishing", transfers="finish")
        time_of_ack = time.time()
        assert owner.get(f"/v1/videos/{video}/content").status_code == 401
        eventually(lambda: time.time() > time_of_ack + 3 * 0.1 and download.under_way)  # looked at three times since
        download.hasten.set()
        download.join(20)
        assert download.whole
        eventually(lambda: transfers(live, done["id"])["finished"] == 1)
        seen = transfers(live, done["id"])
        assert (seen["cut"], seen["finished"]) == (0, 1)
        assert seen["bytes_after"] > 0


def test_a_stricter_revocation_cuts_what_an_earlier_one_let_finish(live: Live) -> None:
    leaked = issued(live, "stricter")
    video, owner = large_video(live, leaked)
    with closing(owner):
        download = Download(live, f"/v1/videos/{video}/content", leaked["token"])
        eventually(lambda: download.under_way)
        revoke(live, "stricter", transfers="finish")
        revoke(live, "stricter")
        acknowledged = time.time()
        download.join(20)
        assert not download.whole
        assert download.ended_at - acknowledged < SECONDS


@pytest.mark.parametrize("whose", ["its own", "its parent's"])
def test_a_suspension_cuts_too(live: Live, whose: str) -> None:
    parent = issued(live, "suspended")
    headers = {"Authorization": f"Bearer {parent['token']}"}
    minted = httpx.post(f"{live.url}/v1/tokens", json={}, headers=headers, trust_env=False).json()
    video, owner = large_video(live, minted)
    with closing(owner):
        download = Download(live, f"/v1/videos/{video}/content", minted["token"])
        eventually(lambda: download.under_way)
        accessor = (minted if whose == "its own" else parent)["accessor"]
        live.control("PATCH", f"/control/tokens/{accessor}", json={"state": "suspended"})
        acknowledged = time.time()
        download.join(20)
        assert not download.whole
        assert download.ended_at - acknowledged < SECONDS
        live.control("PATCH", f"/control/tokens/{accessor}", json={"state": "active"})
        assert owner.head(f"/v1/videos/{video}/content").status_code == 200
