"""A finished job's files: three variants, conditions, ranges, links, and the token before all of it."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from desk import Desk
from gateway.jobs import Job, outputs
from gateway.videos.clips import ClipResponse
from gateway.web.faults import TRANSPORT

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]

CONTENT: dict[outputs.Variant, tuple[str, bytes]] = {
    "video": ("video/mp4", b"0123456789"),
    "thumbnail": ("image/webp", b"RIFFthumbnail"),
    "spritesheet": ("image/jpeg", b"\xff\xd8sheet"),
}


async def finished(desk: Desk, headers: dict[str, str]) -> Job:
    """A finished job with all its files."""
    await desk.create(headers)
    job = await desk.finished()
    for variant, (_, content) in CONTENT.items():
        outputs.beside(desk.settings.media / f"{job.id}.1.mp4", variant).write_bytes(content)
    return job


async def linked(desk: Desk, job: Job, headers: dict[str, str], variant: str) -> str:
    answer = await desk.http.post(f"/v1/videos/{job.id}/link", params={"variant": variant}, headers=headers)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


@pytest.mark.parametrize("variant", CONTENT)
async def test_each_variant_by_bearer_and_by_link(desk: Desk, variant: outputs.Variant) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    kind, content = CONTENT[variant]
    url = await linked(desk, job, headers, variant)
    for answer in (
        await desk.http.get(f"/v1/videos/{job.id}/content?variant={variant}", headers=headers),
        await desk.http.get(url),
    ):
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, content, kind)
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["accept-ranges"] == "bytes"
        assert f'filename="{job.id}.' in answer.headers["content-disposition"]


async def test_a_links_signature_binds_its_variant(desk: Desk) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    video, still = [await linked(desk, job, headers, variant) for variant in ("video", "thumbnail")]
    for forged in (f"{video}&variant=thumbnail", still.replace("&variant=thumbnail", "&variant=spritesheet")):
        answer = await desk.http.get(forged)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "invalid_link")


async def test_another_variant_is_none(desk: Desk) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    answer = await desk.http.get(f"/v1/videos/{job.id}/content?variant=gif", headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "variant")


async def test_what_a_client_has_is_confirmed_by_tag_or_date(desk: Desk) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    url = f"/v1/videos/{job.id}/content"
    first = await desk.http.get(url, headers=headers)
    tag, date = first.headers["etag"], first.headers["last-modified"]
    assert tag.startswith('"')
    assert date == "Tue, 26 Nov 2024 13:30:00 GMT"
    for method in ("GET", "HEAD"):
        for condition in (
            {"If-None-Match": tag},
            {"If-None-Match": f'"other", W/{tag}'},
            {"If-None-Match": "*"},
            {"If-Modified-Since": date},
            {"If-Modified-Since": "Wed, 27 Nov 2024 00:00:00 GMT"},
        ):
            answer = await desk.http.request(method, url, headers={**headers, **condition})
            assert (answer.status_code, answer.content) == (304, b""), condition
            assert (answer.headers["etag"], answer.headers["cache-control"]) == (tag, "private, no-cache")
            assert "content-length" not in answer.headers
    for stale in (
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": date},
        {"If-Modified-Since": "Mon, 25 Nov 2024 00:00:00 GMT"},
        {"If-Modified-Since": "yesterday"},
        {"If-Modified-Since": "Mon, 99 Nov 99999 99:99:99 GMT"},
    ):
        assert (await desk.http.get(url, headers={**headers, **stale})).status_code == 200, stale


async def test_tags_tell_variants_and_videos_apart(desk: Desk) -> None:
    headers = await desk.bearer()
    jobs = [await finished(desk, headers) for _ in range(2)]
    tags = {
        (await desk.http.head(f"/v1/videos/{job.id}/content?variant={variant}", headers=headers)).headers["etag"]
        for job in jobs
        for variant in CONTENT
    }
    assert len(tags) == 6


async def test_a_resumed_download_goes_on_only_with_the_same_clip(desk: Desk) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    url = f"/v1/videos/{job.id}/content"
    first = await desk.http.get(url, headers=headers)
    for validator in (first.headers["etag"], first.headers["last-modified"]):
        part = await desk.http.get(url, headers={**headers, "Range": "bytes=4-", "If-Range": validator})
        assert (part.status_code, part.content) == (206, b"456789")
    for other in ('"other"', f"W/{first.headers['etag']}", "Mon, 25 Nov 2024 00:00:00 GMT"):
        whole = await desk.http.get(url, headers={**headers, "Range": "bytes=4-", "If-Range": other})
        assert (whole.status_code, whole.content) == (200, b"0123456789")


async def test_several_ranges_at_once(desk: Desk) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    answer = await desk.http.get(f"/v1/videos/{job.id}/content", headers={**headers, "Range": "bytes=0-1,5-6"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert b"\r\n\r\n01\r\n" in answer.content
    assert b"Content-Range: bytes 5-6/10" in answer.content
    assert len(answer.content) == int(answer.headers["content-length"])


@pytest.mark.parametrize("spec", ["bytes=10-", "bytes=99-100", "bytes=-0", "bytes=0-1,99-"])
async def test_ranges_outside_are_refused_with_the_envelope(desk: Desk, spec: str) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    answer = await desk.http.get(f"/v1/videos/{job.id}/content", headers={**headers, "Range": spec})
    assert (answer.status_code, answer.json()["error"]["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize(
    "spec", ["", "bytes", "bytes=", "bytes=x-y", "bytes=5-2", "bytes=--1", "lines=1", "bytes=" + "9" * 5000 + "-"]
)
async def test_ranges_that_are_none_are_refused_with_the_envelope(desk: Desk, spec: str) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    answer = await desk.http.get(f"/v1/videos/{job.id}/content", headers={**headers, "Range": spec})
    assert answer.status_code in (400, 416), answer.text
    assert answer.json()["error"]["param"] == "range"


async def test_the_token_comes_before_any_condition(desk: Desk) -> None:
    issued = await desk.issue()
    headers = {"Authorization": f"Bearer {issued['token']}"}
    job = await finished(desk, headers)
    url = f"/v1/videos/{job.id}/content"
    tag = (await desk.http.get(url, headers=headers)).headers["etag"]
    links = [await linked(desk, job, headers, variant) for variant in CONTENT]
    conditions: list[dict[str, str]] = [{"If-None-Match": tag}, {"If-None-Match": "*"}, {"Range": "bytes=99-"}, {}]
    for condition in conditions:
        assert (await desk.http.get(url, headers=condition)).status_code == 401
        other = await desk.bearer("tester-002")
        assert (await desk.http.get(url, headers={**other, **condition})).status_code == 404
    await desk.revoke({"accessor": issued["accessor"]})
    for method in ("GET", "HEAD"):
        for condition in conditions:
            for target in [url, *(f"{url}?variant={variant}" for variant in CONTENT)]:
                answer = await desk.http.request(method, target, headers={**headers, **condition})
                assert answer.status_code == 401, (method, target, condition)
                assert "etag" not in answer.headers
            for link in links:
                assert (await desk.http.request(method, link, headers=condition)).status_code == 401


async def test_deleting_removes_all_files(desk: Desk) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    assert len(list(desk.settings.media.iterdir())) == 3
    await desk.http.delete(f"/v1/videos/{job.id}", headers=headers)
    assert list(desk.settings.media.iterdir()) == []


@pytest.mark.parametrize("variant", CONTENT)
async def test_a_file_that_is_gone_is_not_found(desk: Desk, variant: outputs.Variant) -> None:
    headers = await desk.bearer()
    job = await finished(desk, headers)
    outputs.beside(desk.settings.media / f"{job.id}.1.mp4", variant).unlink()
    answer = await desk.http.get(f"/v1/videos/{job.id}/content?variant={variant}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "content_expired")


async def test_a_file_that_goes_between_two_looks_is_not_found(desk: Desk) -> None:
    from gateway.videos.clips import ClipResponse

    headers = await desk.bearer()
    job = await finished(desk, headers)
    path = desk.settings.media / f"{job.id}.1.mp4"
    response = ClipResponse(path, job, "video", desk.context.transfers)
    os.unlink(path)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    app = FastAPI()
    app.state.context = desk.context
    scope = {"type": "http", "method": "GET", "path": "/media/x", "headers": [], "asgi": {"spec_version": "2.4"}}
    await response({**scope, "app": app}, receive, send)
    assert sent[0]["status"] == 404
    assert b"content_expired" in sent[1]["body"]


class Connection:
    """What a server tells of its connection: how much it holds, and whether it was made to go."""

    def __init__(self, held: int) -> None:
        self.held = held
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.held

    def get_extra_info(self, _name: str) -> None:
        return None

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(("held", "kind"), [(0, "transfer.finished"), (1000, "transfer.cut")])
async def test_a_connection_that_has_gone_on_to_somebody_else_is_not_cut(desk: Desk, held: int, kind: str) -> None:
    headers = await desk.bearer()
    await desk.create(headers)
    job = await desk.finished(b"0" * 1000)
    transfers, connection = desk.context.transfers, Connection(held)
    looking: list[asyncio.Task[None]] = []
    await desk.revoke({"principal": "tester-001"})

    async def send(message: Message) -> None:
        # From now on the server may read the connection's next request, while a thread still closes the file.
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            looking.append(asyncio.create_task(transfers._watch._look()))

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    path = desk.settings.media / f"{job.id}.1.mp4"
    response = ClipResponse(path, job, "video", transfers)
    scope: Scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": "/", "headers": []}
    scope[TRANSPORT] = connection
    await response(scope, receive, send)
    await looking[0]
    assert connection.aborted is (kind == "transfer.cut")
    assert [event["kind"] for event in await desk.events("transfer.")] == [kind]
