"""Frames of a render under way: whose they are, which one is shown when, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from desk import Desk, DeskMaker
from gateway.jobs import lifecycle, outputs
from gateway.jobs.leftovers import SETTLING_SECONDS, Leftovers
from gateway.jobs.previews import LONG_HOLD_SECONDS, Previews
from gateway.jobs.rendering import Renderer
from gateway.jobs.worker import WorkerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]

SLOW = """
name: slow
description: A clip takes twelve seconds, so that there is time to look.
source: invented
fixed: {median: 12, p99: 12}
per_second: {median: 0, p99: 0}
"""
NOISE = b"\xff\xd8noise"


def there(desk: Desk) -> list[str]:
    return sorted(path.name for path in desk.settings.media.iterdir())


async def preview(desk: Desk, id: str, headers: dict[str, str]) -> httpx.Response:
    return await desk.http.get(f"/v1/videos/{id}/content?variant=preview", headers=headers)


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_preview_is_the_owners_while_the_job_is_rendered(desk: Desk) -> None:
    headers, other = await desk.bearer(), await desk.bearer("somebody-else")
    id = (await desk.create(headers))["id"]
    place = outputs.preview_at(desk.settings.media, id, 1)
    place.write_bytes(NOISE)
    assert told(await preview(desk, id, headers)) == (404, "no_preview")  # it still waits
    job = await desk.claimed()
    linked = await desk.http.post(f"/v1/videos/{id}/link?variant=preview", headers=headers)
    for answer in (await preview(desk, id, headers), await desk.http.get(linked.json()["url"])):
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, NOISE, "image/jpeg")
        assert answer.headers["cache-control"] == "private, no-store"
        assert not {"etag", "last-modified", "accept-ranges"} & set(answer.headers)
    assert told(await preview(desk, id, other)) == (404, "not_found")
    clip = linked.json()["url"].replace("&variant=preview", "")
    assert (await desk.http.get(clip)).status_code == 403  # the signature is for the preview alone
    assert await desk.complete(job)
    for answer in (await preview(desk, id, headers), await desk.http.get(linked.json()["url"])):
        assert told(answer) == (404, "no_preview")


async def test_there_is_none_before_the_first_step_and_none_of_an_earlier_attempt(desk: Desk) -> None:
    headers = await desk.bearer()
    id = (await desk.create(headers))["id"]
    await desk.claimed()
    assert told(await preview(desk, id, headers)) == (404, "no_preview")
    refused = await desk.http.post(f"/v1/videos/{id}/link?variant=preview", headers=headers)
    assert told(refused) == (404, "no_preview")
    outputs.preview_at(desk.settings.media, id, 1).write_bytes(NOISE)
    assert (await preview(desk, id, headers)).content == NOISE
    desk.clock.advance(6)
    assert (await desk.claimed("w2")).attempt == 2
    assert told(await preview(desk, id, headers)) == (404, "no_preview")


async def test_a_revocation_ends_them_at_once(desk: Desk) -> None:
    headers = await desk.bearer("leaked")
    id = (await desk.create(headers))["id"]
    await desk.claimed()
    outputs.preview_at(desk.settings.media, id, 1).write_bytes(NOISE)
    link = (await desk.http.post(f"/v1/videos/{id}/link?variant=preview", headers=headers)).json()["url"]
    assert (await desk.http.get(link)).status_code == 200
    await desk.revoke({"principal": "leaked"}, in_flight={"running": "finish"})
    for answer in (await preview(desk, id, headers), await desk.http.get(link)):
        assert told(answer) == (401, "invalid_api_key")


async def test_what_a_killed_worker_left_is_swept(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    job = await desk.claimed()
    left = outputs.preview_at(desk.settings.media, job.id, 1)
    for path in (left, left.with_name(f".{left.name}.part")):
        path.write_bytes(NOISE)
        os.utime(path, (desk.clock.now(), desk.clock.now()))
    later, leftovers = desk.clock.now() + SETTLING_SECONDS + 1, Leftovers(desk.settings.media)
    assert await leftovers.sweep(desk.store, now=later) == 0  # it may be in use
    await lifecycle.fail(desk.store, job, worker="w1", code="x", message="x", now=desk.clock.now())
    assert await leftovers.sweep(desk.store, now=later) == 2
    assert there(desk) == []


def test_what_is_shown_is_never_ahead_and_nothing_stays(tmp_path: Path) -> None:
    path = tmp_path / "video_1.1.preview.jpg"
    slow = Previews(path, LONG_HOLD_SECONDS)
    assert not slow.used
    slow.show(0)
    for step in range(10):
        slow.offer(step, b"frame %d" % step)
    for step in (0, 4, 4, 9):
        slow.show(step)
        assert path.read_bytes() == b"frame %d" % step
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
    slow.end()
    slow.offer(10, b"too late")
    slow.show(10)
    assert list(tmp_path.iterdir()) == []


def test_a_render_at_its_own_pace_keeps_the_newest_frame_only(tmp_path: Path) -> None:
    path = tmp_path / "video_1.1.preview.jpg"
    own = Previews(path, 0.0)
    for step in range(4):
        own.offer(step, b"frame %d" % step)
    assert (own.due(2), own.due(3)) == (False, True)
    own.show(3)
    assert path.read_bytes() == b"frame 3"
    assert not own.due(9)


@asynccontextmanager
async def working(desk: Desk) -> AsyncIterator[None]:
    """A worker with one slot, in this process, which renders for real."""
    worker = WorkerProcess(desk.settings, desk.store, desk.clock, Renderer(desk.settings, b"a key of the tests"))
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        worker.stop()
        await running


async def until_some(desk: Desk, id: str, headers: dict[str, str], count: int) -> list[bytes]:
    """So many different frames, in the order in which they were shown."""
    found: list[bytes] = []
    deadline = time.monotonic() + 60
    while len(found) < count:
        answer = await preview(desk, id, headers)
        assert time.monotonic() < deadline, answer.text[:200]
        if answer.is_success and answer.content not in found:
            found.append(answer.content)
        await asyncio.sleep(0.02)
    return found


def roughness(frame: bytes) -> float:
    """Mean difference between neighbours."""
    with Image.open(io.BytesIO(frame)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (320, 180))
        levels = np.asarray(picture.convert("L"), dtype=np.float64)[:120]
    return float(np.abs(np.diff(levels, axis=1)).mean())


async def test_a_worker_shows_the_noise_as_it_is_refined_at_the_pace_that_is_told(
    make_desk: DeskMaker, tmp_path: Path
) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    desk = await make_desk(heartbeat_seconds=0.1, profiles_dir=str(tmp_path))
    assert (await desk.http.put("/control/profile", json={"name": "slow"}, headers=desk.admin)).is_success
    headers = await desk.bearer(tier="unlimited")
    id = (await desk.create(headers, size="854x480", seconds=1, seed=7))["id"]
    async with working(desk):
        first, *_, last = await until_some(desk, id, headers, 4)
        assert roughness(last) < roughness(first)
        assert len(last) < 24_000
        step = (await desk.http.get(f"/v1/videos/{id}", headers=headers)).headers["leakdrill-step"]
        assert 2 <= int(step.split("/")[0]) < 30
        assert (await desk.http.post(f"/v1/videos/{id}/cancel", headers=headers)).is_success
        assert told(await preview(desk, id, headers)) == (404, "no_preview")
        deadline = time.monotonic() + 20
        while there(desk):
            assert time.monotonic() < deadline, there(desk)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("render", ["cached", "null"])
async def test_what_is_not_rendered_has_none(make_desk: DeskMaker, render: str) -> None:
    desk = await make_desk(render=render, heartbeat_seconds=0.1)
    headers = await desk.bearer(tier="unlimited")
    id = (await desk.create(headers, size="854x480", seconds=1, fps=5, model="turbo"))["id"]
    seen: set[int] = set()
    async with working(desk):
        deadline = time.monotonic() + 60
        while (await desk.http.get(f"/v1/videos/{id}", headers=headers)).json()["status"] != "completed":
            assert time.monotonic() < deadline
            seen.add((await preview(desk, id, headers)).status_code)
            await asyncio.sleep(0.02)
    assert seen <= {404}
    assert [name for name in there(desk) if "preview" in name] == []
