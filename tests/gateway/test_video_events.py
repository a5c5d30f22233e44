"""A video's events, message by message: what is sent, and what is never sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from desk import Desk, DeskMaker, bearer_of
from gateway.app import create_app
from gateway.store import open_store
from gateway.web.faults import LEAVING, TRANSPORT

pytestmark = pytest.mark.anyio


class Line:
    """A connection whose system takes nothing while it is `full`."""

    def __init__(self) -> None:
        self.full = False
        self.reset = False
        self.asked = 0

    def get_write_buffer_size(self) -> int:
        self.asked += 1
        return 1 if self.full else 0

    def get_extra_info(self, _name: str) -> None:
        return None

    def abort(self) -> None:
        self.reset = True


class Follower:
    """The other side of one stream."""

    def __init__(self) -> None:
        self.line = Line()
        self.scope: dict[str, Any] = {}
        self.status = 0
        self.body = b""
        self.over = False
        self.left = asyncio.Event()

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")
            self.over = not message.get("more_body", False)

    @property
    def told(self) -> list[tuple[str, dict[str, Any]]]:
        blocks = [block.splitlines() for block in self.body.decode().split("\n\n") if block[:1] not in ("", ":")]
        fields = [dict(line.split(": ", 1) for line in block) for block in blocks]
        return [(one["event"], json.loads(one["data"])) for one in fields]

    @property
    def videos(self) -> list[dict[str, Any]]:
        return [data for event, data in self.told if event == "video"]


async def until(state: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not state():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def following(
    desk: Desk, headers: dict[str, str], video: str, app: Starlette | None = None
) -> AsyncIterator[Follower]:
    one = Follower()
    one.scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/v1/videos/{video}/events",
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1),
        TRANSPORT: one.line,
    }
    running = asyncio.create_task((app or desk.http._transport.app)(one.scope, one.receive, one.send))  # type: ignore[attr-defined]
    try:
        yield one
    finally:
        one.left.set()
        async with asyncio.timeout(20):
            await running


async def ended(desk: Desk) -> list[dict[str, Any]]:
    return [event["data"] for event in await desk.events("stream.ended")]


async def test_a_change_is_told_once_and_the_end_ends_it(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
        assert one.told[0] == ("line", {"ahead": 0, "eta_ms": one.told[0][1]["eta_ms"]})
        await desk.bearer("somebody-else")  # the list grows, the video does not change
        job = await desk.claimed()
        await until(lambda: len(one.videos) == 2)
        await desk.complete(job)
        await until(lambda: one.over)
    assert [data["status"] for data in one.videos] == ["queued", "in_progress", "completed"]
    assert one.videos[-1] == (await desk.http.get(f"/v1/videos/{video}", headers=headers)).json()
    assert await ended(desk) == []


async def test_a_place_in_line_is_told_when_it_changes(desk: Desk) -> None:
    headers = await desk.bearer()
    first, second = (await desk.create(headers))["id"], (await desk.create(headers))["id"]
    async with following(desk, headers, second) as one:
        await until(lambda: one.videos)
        await desk.http.post(f"/v1/videos/{first}/cancel", headers=headers)
        await until(lambda: len(one.videos) == 2)
    assert [data["ahead"] for event, data in one.told if event == "line"] == [1, 0]
    assert one.videos[0] == one.videos[1]


async def test_a_full_connection_gets_no_more_until_it_has_room_and_then_the_newest(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
        one.line.full = True
        job = await desk.claimed()
        assert await desk.complete(job)
        before, asked = one.body, one.line.asked
        await until(lambda: one.line.asked >= asked + 3)
        assert one.body == before
        one.line.full = False
        await until(lambda: one.over)
    assert [data["status"] for data in one.videos] == ["queued", "completed"]


async def test_what_waits_in_a_full_connection_is_thrown_away_with_the_token(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
        one.line.full = True
        await desk.revoke({"principal": "tester-001"})
        await until(lambda: one.line.reset)
    assert [event for event, _ in one.told] == ["line", "video"]
    assert [(data["events"], data["events_after"]) for data in await ended(desk)] == [(1, 0)]


async def test_a_revocation_is_met_by_the_next_event_even_before_the_next_look(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
        told = len(one.videos)
        assert (await desk.revoke({"principal": "tester-001"}, in_flight={"queued": "keep"})).status_code == 200
        assert await desk.claim() is not None  # it moves on, and its owner is not told
        await until(lambda: one.over)
    refused = await desk.http.get(f"/v1/videos/{video}", headers=headers)
    assert len(one.videos) == told
    assert one.told[-1] == ("error", refused.json())
    assert one.body.endswith(b"event: error\ndata: " + refused.content + b"\n\n")
    (data,) = await ended(desk)
    assert data == {
        "surface": "GET /v1/videos/{video_id}/events",
        "use": "stream",
        "replica": "r1",
        "events": 1,
        "events_after": 0,
    }


async def test_what_a_late_learner_sends_afterwards_is_counted(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    body = {"profile": "bounded", "seconds": 8}
    assert (await desk.http.patch("/control/replicas", json=body, headers=desk.admin)).status_code == 200
    desk.clock.advance(9)
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
        done = (await desk.revoke({"principal": "tester-001"}, in_flight={"queued": "keep"})).json()
        desk.clock.advance(1)
        await desk.claimed()
        await until(lambda: len(one.videos) == 2)
        asked = one.line.asked
        await until(lambda: one.line.asked >= asked + 3)  # it was looked at since, and still taken for good
        desk.clock.advance(9)
        await until(lambda: one.over)
    assert one.told[-1][0] == "error"
    assert [(data["events"], data["events_after"]) for data in await ended(desk)] == [(2, 1)]
    report = await desk.http.get(f"/control/revocations/{done['id']}", headers=desk.admin)
    assert report.json()["effect"]["streams"]["events_after"] == 1


async def test_a_deleted_video_ends_its_stream(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
        await desk.http.delete(f"/v1/videos/{video}", headers=headers)
        await until(lambda: one.over)
    event, data = one.told[-1]
    assert (event, data["error"]["code"]) == ("error", "not_found")
    assert await ended(desk) == []


async def test_while_the_database_does_not_answer_nothing_is_told(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
        job = await desk.claimed()
        await until(lambda: len(one.videos) == 2)
        await desk.store.write(lambda tx: tx.execute("ALTER TABLE tokens RENAME TO elsewhere"))
        asked = one.line.asked
        await until(lambda: one.line.asked >= asked + 3)
        assert (len(one.videos), one.over) == (2, False)
        await desk.store.write(lambda tx: tx.execute("ALTER TABLE elsewhere RENAME TO tokens"))
        await desk.complete(job)
        await until(lambda: one.over)
    assert one.videos[-1]["status"] == "completed"


async def test_a_gateway_that_leaves_ends_it_without_an_error(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
        one.scope[LEAVING] = True
        await until(lambda: one.over)
    assert [event for event, _ in one.told] == ["line", "video"]


async def test_somebody_elses_video_is_not_there(desk: Desk) -> None:
    video = (await desk.create(await desk.bearer()))["id"]
    answer = await desk.http.get(f"/v1/videos/{video}/events", headers=await desk.bearer("other"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    beyond = {**await desk.bearer("other"), "Last-Event-ID": str(2**63)}
    assert (await desk.http.get(f"/v1/videos/{video}/events", headers=beyond)).status_code == 422


async def test_a_preview_counts_the_streams_of_all_gateways_and_none_of_a_dead_one(make_desk: DeskMaker) -> None:
    desk = await make_desk()
    issued = await desk.issue()
    video = (await desk.create(bearer_of(issued)))["id"]
    store = open_store(desk.settings.database)
    settings = desk.settings.model_copy(update={"replica": "r2"})
    second = create_app(settings, store=store, clock=desk.clock, keys=desk.keys)

    async def counted() -> int:
        body = {"selector": {"accessor": issued["accessor"]}}
        answer = await desk.http.post("/control/revocations/preview", json=body, headers=desk.admin)
        return int(answer.json()["streams"])

    assert await counted() == 0
    async with following(desk, bearer_of(issued), video) as one:
        async with following(desk, bearer_of(issued), video, second) as two:
            await until(lambda: one.videos and two.videos)
            assert await counted() == 2
        assert await counted() == 1
        desk.clock.advance(6)  # nobody has spoken for it: this desk runs no gatherers
        assert await counted() == 0
        vouching = asyncio.create_task(desk.context.streams.run(every=0.01))
        async with asyncio.timeout(20):
            while await counted() != 1:
                await asyncio.sleep(0.01)
        vouching.cancel()
    assert await counted() == 0
    await store.close()


async def test_a_stream_that_cannot_be_noted_is_not_opened(desk: Desk) -> None:
    headers = await desk.bearer()
    video = (await desk.create(headers))["id"]
    await desk.store.write(lambda tx: tx.execute("ALTER TABLE open_streams RENAME TO elsewhere"))
    answer = await desk.http.get(f"/v1/videos/{video}/events", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    await desk.store.write(lambda tx: tx.execute("ALTER TABLE elsewhere RENAME TO open_streams"))
    async with following(desk, headers, video) as one:
        await until(lambda: one.videos)
