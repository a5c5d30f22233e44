"""Owners' event streams over sockets of their own: what they tell, and that they end with their token's access."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from live import Live, eventually, live_gateway

SCOPES = ["videos:read", "videos:write", "tokens:mint"]
# Twice what is promised, because these tests share their machine; benchmarks/revocation.py measures.
SECONDS = 0.5


@dataclass(frozen=True)
class Told:
    """One event as a browser would get it."""

    event: str
    id: int | None
    data: dict[str, Any]


class Listener(threading.Thread):
    """Follows a video until the stream ends."""

    def __init__(self, url: str, video: str, token: str, last: int | None = None) -> None:
        super().__init__(daemon=True)
        self.told: list[Told] = []
        self.comments = 0
        self.status = 0
        self.refusal = b""
        self.whole = False
        self.ended_at = 0.0
        self._path = f"{url}/v1/videos/{video}/events"
        self._headers = {"Authorization": f"Bearer {token}"}
        if last is not None:
            self._headers["Last-Event-ID"] = str(last)
        self.start()

    def run(self) -> None:
        try:
            with httpx.stream("GET", self._path, headers=self._headers, timeout=30, trust_env=False) as answer:
                self.status = answer.status_code
                if answer.status_code != 200:
                    self.refusal = answer.read()
                    return
                self._read(answer)
                self.whole = True
        except httpx.TransportError:
            pass
        finally:
            self.ended_at = time.time()

    def _read(self, answer: httpx.Response) -> None:
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                id = int(fields["id"]) if "id" in fields else None
                self.told.append(Told(fields["event"], id, json.loads(fields["data"])))
                fields = {}

    @property
    def videos(self) -> list[Told]:
        return [one for one in self.told if one.event == "video"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Without a worker, so that a video waits for as long as a test wants."""
    folder = tmp_path_factory.mktemp("streams") / "data"
    with live_gateway(folder, workers=0, streams_per_token=3, stream_keepalive_seconds=0.5) as running:
        yield running


@pytest.fixture(scope="module")
def other(live: Live) -> Iterator[Live]:
    """Another gateway on the same database."""
    with live_gateway(live.supervisor.settings.data, workers=0, replica="r2") as running:
        yield running


def issued(live: Live, principal: str, **more: Any) -> dict[str, Any]:
    body = {"principal": principal, "cohort": principal, "scopes": SCOPES, "tier": "unlimited", **more}
    made: dict[str, Any] = live.control("POST", "/control/tokens", json=body)
    return made


def call(live: Live, token: dict[str, Any], method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token['token']}"}
    return httpx.request(method, live.url + path, headers=headers, trust_env=False, **options)


def ordered(live: Live, token: dict[str, Any]) -> str:
    body = {"prompt": "rain", "size": "480x480", "seconds": 1, "fps": 5}
    return str(call(live, token, "POST", "/v1/videos", json=body).raise_for_status().json()["id"])


def revoke(live: Live, principal: str, **in_flight: str) -> dict[str, Any]:
    body = {"selector": {"principal": principal}, "reason": "drill", "in_flight": in_flight}
    done: dict[str, Any] = live.control("POST", "/control/revocations", json=body)
    return done


def streams(live: Live, id: str) -> dict[str, Any]:
    found: dict[str, Any] = live.control("GET", f"/control/revocations/{id}")["effect"]["streams"]
    return found


def listening(url: str, video: str, token: dict[str, Any]) -> Listener:
    """A stream that has told where its video stands."""
    one = Listener(url, video, token["token"])
    eventually(lambda: one.videos)
    return one


def unknown_bearers_answer(live: Live, video: str) -> httpx.Response:
    nobody = {"token": "ldk_" + "0" * 30 + "000000"}
    return call(live, nobody, "GET", f"/v1/videos/{video}/events")


def test_a_stream_tells_every_change_until_the_end_and_then_ends(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", render="cached") as live:
        token = live.issue()
        headers = {"Authorization": f"Bearer {token['token']}"}
        body = {"prompt": "rain", "size": "480x480", "seconds": 1, "fps": 5}
        with httpx.Client(base_url=live.url, headers=headers, trust_env=False) as owner:
            videos = [owner.post("/v1/videos", json=body).raise_for_status().json()["id"] for _ in range(6)]
            one = Listener(live.url, videos[-1], token["token"])
            one.join(30)
            assert one.whole
            assert one.videos[-1].data == owner.get(f"/v1/videos/{videos[-1]}").json()
            assert one.videos[-1].data["status"] == "completed"
            ids = [told.id for told in one.videos if told.id is not None]
            assert len(ids) == len(one.videos)
            assert sorted(set(ids)) == ids
            progress = [told.data["progress"] for told in one.videos]
            assert progress == sorted(progress)
            lines = [told.data["ahead"] for told in one.told if told.event == "line"]
            assert lines == sorted(lines, reverse=True)
            # A browser connects again by itself; 204 is what makes it stop.
            again = owner.get(f"/v1/videos/{videos[-1]}/events", headers={"Last-Event-ID": str(ids[-1])})
            assert (again.status_code, again.content) == (204, b"")
            before = Listener(live.url, videos[-1], token["token"], last=ids[0])
            before.join(10)
            assert [told.data for told in before.videos] == [one.videos[-1].data]
            beyond = Listener(live.url, videos[-1], token["token"], last=10**9)
            beyond.join(10)
            assert [told.data for told in beyond.videos] == [one.videos[-1].data]


@pytest.mark.parametrize("policy", ["cut", "finish"])
def test_a_revocation_through_another_gateway_ends_it_and_nobody_elses(live: Live, other: Live, policy: str) -> None:
    leaked, bystander = issued(live, f"leaked-{policy}"), issued(live, f"bystander-{policy}")
    minted = call(live, leaked, "POST", "/v1/tokens", json={}).raise_for_status().json()
    mine, childs, theirs = ordered(live, leaked), ordered(live, minted), ordered(live, bystander)
    ending = [
        listening(live.url, mine, leaked),
        listening(live.url, childs, minted),
        listening(other.url, mine, leaked),
    ]
    untouched = listening(live.url, theirs, bystander)
    which = {"selector": {"principal": f"leaked-{policy}"}}
    assert live.control("POST", "/control/revocations/preview", json=which)["streams"] == 3
    told = [len(one.videos) for one in ending]
    done = revoke(other, f"leaked-{policy}", transfers=policy, queued="keep")
    acknowledged = time.time()
    for one in ending:
        one.join(20)
    assert [one.whole for one in ending] == [True] * 3
    assert max(one.ended_at for one in ending) - acknowledged < SECONDS
    refused = unknown_bearers_answer(live, mine)
    assert refused.status_code == 401
    for one, before in zip(ending, told, strict=True):
        assert (one.told[-1].event, one.told[-1].data) == ("error", refused.json())
        assert [told.event for told in one.told].count("error") == 1
        assert len(one.videos) == before
        again = Listener(live.url, mine, leaked["token"])
        again.join(10)
        assert (again.status, again.refusal) == (401, refused.content)
    assert untouched.is_alive()
    eventually(lambda: streams(live, done["id"])["ended"] == 3)
    seen = streams(live, done["id"])
    assert (seen["open"], seen["events_after"]) == (3, 0)
    assert seen["last_at"] - done["acknowledged_at"] < SECONDS
    revoke(live, f"bystander-{policy}")
    untouched.join(10)
    assert untouched.whole


@pytest.mark.parametrize("how", ["suspended", "its parent suspended", "expired"])
def test_whatever_else_ends_access_ends_the_stream(live: Live, how: str) -> None:
    parent = issued(live, f"parent-{how.replace(' ', '-').replace('its-', '')}")
    lasts = {"expires_in": 1.5} if how == "expired" else {}
    minted = call(live, parent, "POST", "/v1/tokens", json=lasts).raise_for_status().json()
    video = ordered(live, minted)
    one = listening(live.url, video, minted)
    if how == "expired":
        ended = minted["expires_at"]
    else:
        accessor = (parent if "parent" in how else minted)["accessor"]
        live.control("PATCH", f"/control/tokens/{accessor}", json={"state": "suspended"})
        ended = time.time()
    one.join(20)
    assert one.whole
    assert one.told[-1].data == unknown_bearers_answer(live, video).json()
    assert one.ended_at - ended < SECONDS
    kinds = live.control("GET", "/control/events", params={"kind": "stream.", "limit": 1000})["data"]
    assert [event["data"]["events"] for event in kinds if event["accessor"] == minted["accessor"]] == [len(one.videos)]


def test_a_token_has_so_many_streams_and_no_more(live: Live) -> None:
    token = issued(live, "many")
    video = ordered(live, token)
    (first, *_) = open_streams = [Silent(live, video, token["token"]) for _ in range(3)]
    eventually(lambda: all(one.answered() for one in open_streams))
    answer = call(live, token, "GET", f"/v1/videos/{video}/events")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "open_streams_exceeded")
    first.close()

    def room() -> bool:
        with httpx.stream(
            "GET",
            f"{live.url}/v1/videos/{video}/events",
            headers={"Authorization": f"Bearer {token['token']}"},
            trust_env=False,
        ) as again:
            return again.status_code == 200

    eventually(room)
    for one in open_streams:
        one.close()


def test_silence_is_broken_by_comments(live: Live) -> None:
    token = issued(live, "patient")
    one = listening(live.url, ordered(live, token), token)
    eventually(lambda: one.comments >= 2)
    assert len(one.videos) == 1
    revoke(live, "patient")
    one.join(10)


def test_a_stream_that_is_left_unread_ends_with_its_token(live: Live) -> None:
    token = issued(live, "slow")
    video = ordered(live, token)
    with closing(Silent(live, video, token["token"])) as reader:
        eventually(reader.answered)
        done = revoke(live, "slow")
        eventually(lambda: streams(live, done["id"])["ended"] == 1)
        assert streams(live, done["id"])["events_after"] == 0


def test_the_gateway_ends_its_streams_before_itself(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0) as live:
        token = live.issue()
        one = listening(live.url, ordered(live, token), token)
        (gateway,) = live.supervisor.children
        began = time.monotonic()
        gateway.process.terminate()
        gateway.process.wait(20)
        one.join(10)
        assert one.whole
        assert [told.event for told in one.told] == ["line", "video"]
        assert time.monotonic() - began < 2.5  # uvicorn breaks off what is left after 3 s
        log = gateway.log.read_text()
        assert re.search("Traceback|Cancel|ERROR", log) is None, log


def test_under_a_storm_no_gateway_accepts_anything_late(live: Live, other: Live) -> None:
    leaked = issued(live, "storm")
    video = ordered(live, leaked)
    over = threading.Event()

    def poll(url: str) -> None:
        headers = {"Authorization": f"Bearer {leaked['token']}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
            while not over.is_set():
                client.get(f"/v1/videos/{video}")

    storm = [threading.Thread(target=poll, args=(one.url,), daemon=True) for one in (live, other) for _ in range(2)]
    for thread in storm:
        thread.start()
    used = f"/control/tokens/{leaked['accessor']}"
    eventually(lambda: {one["replica"] for one in live.control("GET", used)["uses"]} == {"r1", "r2"})
    done = revoke(other, "storm")

    def polls() -> dict[str, dict[str, Any]]:
        found = live.control("GET", f"/control/revocations/{done['id']}")["effect"]["time_to_dead"]
        return {one["replica"]: one for one in found if one["surface"] == "poll"}

    eventually(lambda: all(one["refusals"] > 10 for one in polls().values()))
    over.set()
    for thread in storm:
        thread.join(10)
    # A gateway writes all uses together: where a later one is told, so is every earlier one.
    later = issued(live, "after-the-storm")
    for gateway in (live, other):
        call(gateway, later, "GET", "/v1/videos").raise_for_status()
    written = f"/control/tokens/{later['accessor']}"
    eventually(lambda: {one["replica"] for one in live.control("GET", written)["uses"]} == {"r1", "r2"})
    for one in polls().values():
        assert (one["late_accepts"], one["seconds"]) == (0, 0.0)
        assert one["last_accepted_at"] <= done["acknowledged_at"] <= one["first_refusal_at"] + SECONDS
        assert one["accepted"] > 0


class Silent:
    """Opens a stream and leaves it unread."""

    def __init__(self, live: Live, video: str, token: str) -> None:
        address = urlsplit(live.url)
        self._socket = socket.socket()
        self._socket.settimeout(20)
        self._socket.connect((address.hostname, address.port))
        head = f"GET /v1/videos/{video}/events HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
        self._socket.sendall(f"{head}\r\n".encode())

    def answered(self) -> bool:
        return b"event: video" in self._socket.recv(65_536, socket.MSG_PEEK)

    def close(self) -> None:
        self._socket.close()
