"""Remix, edit, extend: what a new job takes over from its source, and when there is none to be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from desk import Desk
from footage import clip
from gateway.jobs import Job, lifecycle

pytestmark = pytest.mark.anyio

FIELDS = {"seconds": 4, "size": "854x480", "fps": 10, "model": "turbo", "style": "mosslight", "seed": 77}


async def done(desk: Desk, next_tick: int | None = 90) -> Job:
    """The next job, finished."""
    job = await desk.claimed()
    file = f"{job.id}.{job.attempt}.mp4"
    (desk.settings.media / file).write_bytes(b"0123456789")
    assert await lifecycle.complete(
        desk.store, job, worker="w1", file=file, size=10, now=desk.clock.now(), keep_seconds=3600, next_tick=next_tick
    )
    return job


async def source(desk: Desk, headers: dict[str, str], **fields: Any) -> str:
    video = await desk.create(headers, **{**FIELDS, **fields})
    await done(desk)
    return str(video["id"])


async def post(desk: Desk, path: str, headers: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    answer = await desk.http.post(f"/v1/videos/{path}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    video: dict[str, Any] = answer.json()
    assert len(video) == 13
    return video


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize("form", ["json", "multipart", "urlencoded"])
async def test_a_remix_keeps_all_but_the_prompt(desk: Desk, form: str) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers, prompt="a dog")
    forms: dict[str, dict[str, Any]] = {
        "json": {"json": {"prompt": "a cat"}},
        "multipart": {"files": {"prompt": (None, "a cat")}},
        "urlencoded": {"data": {"prompt": "a cat"}},
    }
    answer = await desk.http.post(f"/v1/videos/{id}/remix", headers=headers, **forms[form])
    assert answer.status_code == 200, answer.text
    video = answer.json()
    assert (video["remixed_from_video_id"], video["prompt"], video["seconds"]) == (id, "a cat", "4")
    assert (video["model"], video["size"]) == ("turbo", "854x480")
    assert answer.headers["leakdrill-seed"] == "77"
    request = (await desk.claimed()).request
    assert (request.kind, request.base_prompts, request.style, request.fps) == ("remix", ("a dog",), "mosslight", 10)
    assert request.input is None


async def test_a_remix_of_a_remix_knows_both_prompts(desk: Desk) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers, prompt="a dog")
    for prompt in ("at night", "in the rain"):
        video = await post(desk, f"{id}/remix", headers, {"prompt": prompt})
        job = await done(desk)
        id = video["id"]
    assert job.request.base_prompts == ("a dog", "at night")


async def test_many_remixes_keep_the_first_prompt_and_the_latest(desk: Desk) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers, prompt="0")
    for number in range(1, 36):
        id = (await post(desk, f"{id}/remix", headers, {"prompt": str(number)}))["id"]
        job = await done(desk)
    assert len(job.request.base_prompts) == 32
    assert (job.request.base_prompts[:2], job.request.base_prompts[-1]) == (("0", "4"), "34")


@pytest.mark.parametrize("state", ["queued", "in_progress", "failed"])
@pytest.mark.parametrize("what", ["remix", "edits", "extensions"])
async def test_only_a_finished_video_has_offspring(desk: Desk, what: str, state: str) -> None:
    headers = await desk.bearer()
    id = (await desk.create(headers))["id"]
    if state == "failed":
        await desk.http.post(f"/v1/videos/{id}/cancel", headers=headers)
    if state == "in_progress":
        await desk.claimed()
    answer = await derive(desk, what, id, headers)
    assert refusal(answer)[:2] == (409, "video_not_ready")
    assert answer.headers["x-should-retry"] == "false"


async def derive(desk: Desk, what: str, id: str, headers: dict[str, str]) -> httpx.Response:
    path = f"/v1/videos/{id}/remix" if what == "remix" else f"/v1/videos/{what}"
    body: dict[str, Any] = {"prompt": "x"}
    if what != "remix":
        body["video"] = {"id": id}
    if what == "extensions":
        body["seconds"] = "4"
    return await desk.http.post(path, json=body, headers=headers)


@pytest.mark.parametrize("what", ["remix", "edits", "extensions"])
async def test_somebody_elses_video_has_none(desk: Desk, what: str) -> None:
    id = await source(desk, await desk.bearer("tester-001"))
    other = await desk.bearer("tester-002")
    assert refusal(await derive(desk, what, id, other))[:2] == (404, "not_found")
    assert refusal(await derive(desk, what, "x" * 10_000, other))[:2] == (404, "not_found")
    assert refusal(await derive(desk, what, "video_' OR 1=1 --", other))[:2] == (404, "not_found")


@pytest.mark.parametrize("what", ["remix", "edits", "extensions"])
async def test_a_revoked_token_derives_nothing(desk: Desk, what: str) -> None:
    issued = await desk.issue()
    headers = {"Authorization": f"Bearer {issued['token']}"}
    id = await source(desk, headers)
    await desk.revoke({"accessor": issued["accessor"]})
    assert (await derive(desk, what, id, headers)).status_code == 401


@pytest.mark.parametrize("what", ["edits", "extensions"])
async def test_what_needs_the_clip_keeps_it(desk: Desk, what: str) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers)
    answer = await derive(desk, what, id, headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["remixed_from_video_id"] == id
    await desk.http.delete(f"/v1/videos/{id}", headers=headers)
    assert list(desk.settings.media.iterdir()) == []
    job = await desk.claimed()
    kept = desk.settings.inputs / (job.request.input or "")
    assert kept.read_bytes() == b"0123456789"


@pytest.mark.parametrize("what", ["edits", "extensions"])
async def test_a_clip_that_is_gone_has_no_offspring(desk: Desk, what: str) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers)
    desk.clock.advance(3601)
    assert refusal(await derive(desk, what, id, headers))[:2] == (404, "content_expired")
    assert list(desk.settings.inputs.iterdir()) == []


async def test_an_edit_takes_over_what_it_does_not_change(desk: Desk) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers)
    await post(desk, "edits", headers, {"prompt": "snow", "video": {"id": id}})
    same = (await done(desk)).request
    await post(
        desk,
        "edits",
        headers,
        {"prompt": "snow", "video": {"id": id}, "model": "sora-2-pro-2025-10-06", "seed": 0, "strength": 0.3},
    )
    changed = (await desk.claimed()).request
    assert (same.kind, same.model, same.variant, same.seed, same.style) == ("edit", "turbo", "turbo", 77, "mosslight")
    assert (changed.model, changed.variant) == ("sora-2-pro-2025-10-06", "standard")
    assert (changed.seed, changed.strength, changed.size, changed.seconds) == (0, 0.3, "854x480", 4)


async def test_a_remix_of_an_edit_works_on_its_frames(desk: Desk) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers)
    edited = await post(desk, "edits", headers, {"prompt": "snow", "video": {"id": id}})
    await done(desk)
    for _ in range(2):
        edited = await post(desk, f"{edited['id']}/remix", headers, {"prompt": "rain"})
        request = (await done(desk)).request
        assert (request.kind, request.input, request.base_prompts) == ("remix", f"{edited['id']}.mp4", ())


async def test_extensions_add_up_and_go_on_where_the_last_one_ended(desk: Desk) -> None:
    headers = await desk.bearer()
    id, total = await source(desk, headers, prompt="a dog"), 4
    bases: list[str] = ["a dog"]
    for number in range(1, 7):
        video = await post(desk, "extensions", headers, {"prompt": f"more {number}", "seconds": 8, "video": {"id": id}})
        total += 8
        assert video["seconds"] == str(total)
        request = (await done(desk, next_tick=100 + number)).request
        assert (request.added_seconds, request.extensions) == (8, number)
        assert request.base_prompts == tuple(bases)
        assert request.continue_from == (90 if number == 1 else 99 + number)
        bases.append(f"more {number}")
        id = video["id"]
    body = {"prompt": "x", "seconds": "4", "video": {"id": id}}
    answer = await desk.http.post("/v1/videos/extensions", json=body, headers=headers)
    assert refusal(answer) == (400, "too_many_extensions", "video")


async def test_a_clip_of_two_minutes_is_long_enough(desk: Desk) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers, seconds=12)
    for _ in range(5):
        id = (await post(desk, "extensions", headers, {"prompt": "x", "seconds": "20", "video": {"id": id}}))["id"]
        await done(desk)
    body = {"prompt": "x", "seconds": 9, "video": {"id": id}}
    answer = await desk.http.post("/v1/videos/extensions", json=body, headers=headers)
    assert refusal(answer) == (400, "invalid_value", "seconds")
    assert (await post(desk, "extensions", headers, {**body, "seconds": 8}))["seconds"] == "120"


@pytest.mark.parametrize("form", ["video[id]", "json"])
async def test_an_extension_of_an_edit_starts_a_scene_of_its_own(desk: Desk, form: str) -> None:
    headers = await desk.bearer()
    id = await source(desk, headers)
    id = (await post(desk, "edits", headers, {"prompt": "snow", "video": {"id": id}}))["id"]
    await done(desk)
    body: dict[str, dict[str, Any]] = {
        "video[id]": {"files": {"prompt": (None, "x"), "seconds": (None, "4"), "video[id]": (None, id)}},
        "json": {"json": {"prompt": "x", "seconds": 4, "video": {"id": id}}},
    }
    answer = await desk.http.post("/v1/videos/extensions", headers=headers, **body[form])
    assert answer.status_code == 200, answer.text
    request = (await desk.claimed()).request
    assert (request.base_prompts, request.continue_from, request.seconds) == ((), None, 8)


@pytest.mark.parametrize(
    ("size", "fps", "expected"),
    [
        ("320x180", 10, "1280x720"),
        ("180x320", 10, "720x1280"),
        ("854x480", 30, "854x480"),
        ("200x200", 24, "720x720"),
        ("400x600", 10, "1024x1792"),
    ],
)
async def test_an_upload_is_edited_in_the_size_that_suits_it(
    desk: Desk, tmp_path: Path, size: str, fps: int, expected: str
) -> None:
    files = {"video": ("x", clip(tmp_path, size=size, fps=fps, seconds=1.6), "application/octet-stream")}
    form = {"prompt": "x", "model": "turbo", "seed": "5"}
    answer = await desk.http.post("/v1/videos/edits", data=form, files=files, headers=await desk.bearer())
    assert answer.status_code == 200, answer.text
    video = answer.json()
    assert (video["size"], video["seconds"], video["model"]) == (expected, "2", "turbo")
    assert video["remixed_from_video_id"] is None
    request = (await desk.claimed()).request
    assert (request.kind, request.fps, request.seed) == ("edit", fps, 5)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm"])
async def test_an_upload_is_extended(desk: Desk, tmp_path: Path, suffix: str) -> None:
    files = {"video": clip(tmp_path, suffix=suffix)}
    form = {"prompt": "x", "seconds": "20"}
    answer = await desk.http.post("/v1/videos/extensions", data=form, files=files, headers=await desk.bearer())
    assert answer.status_code == 200, answer.text
    assert answer.json()["seconds"] == "22"
    request = (await desk.claimed()).request
    assert (request.extensions, request.added_seconds, request.continue_from) == (1, 20, None)


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("edits", {"prompt": "x"}, "missing_required_parameter", "video"),
        ("edits", {"video": {"id": "v"}}, "missing_required_parameter", "prompt"),
        ("edits", {"prompt": "x", "video": "video_1"}, "invalid_type", "video"),
        ("edits", {"prompt": "x", "video": {}}, "missing_required_parameter", "video.id"),
        ("edits", {"prompt": "x", "video": {"id": 5}}, "invalid_value", "video.id"),
        ("edits", {"prompt": "x", "video": {"id": "v", "url": "u"}}, "unknown_parameter", "video.url"),
        ("edits", {"prompt": "x", "video": {"id": "v"}, "strength": 1.1}, "invalid_value", "strength"),
        ("edits", {"prompt": "x", "video": {"id": "v"}, "strength": True}, "invalid_value", "strength"),
        ("edits", {"prompt": "x", "video": {"id": "v"}, "seconds": 4}, "unknown_parameter", "seconds"),
        ("edits", {"prompt": "x", "video": {"id": "v"}, "model": "m"}, "invalid_value", "model"),
        ("extensions", {"prompt": "x", "video": {"id": "v"}}, "missing_required_parameter", "seconds"),
        ("extensions", {"prompt": "x", "video": {"id": "v"}, "seconds": 0}, "invalid_value", "seconds"),
        ("extensions", {"prompt": "x", "video": {"id": "v"}, "seconds": "21"}, "invalid_value", "seconds"),
        ("extensions", {"prompt": "x", "video": {"id": "v"}, "seconds": "4.5"}, "invalid_value", "seconds"),
        ("v/remix", {}, "missing_required_parameter", "prompt"),
        ("v/remix", {"prompt": "x", "seed": 3}, "unknown_parameter", "seed"),
        ("v/remix", {"prompt": "  "}, "invalid_value", "prompt"),
    ],
)
async def test_bad_fields(desk: Desk, path: str, body: dict[str, Any], code: str, param: str) -> None:
    answer = await desk.http.post(f"/v1/videos/{path}", json=body, headers=await desk.bearer())
    assert refusal(answer) == (400, code, param)


async def test_a_source_is_one_thing_and_not_two(desk: Desk, tmp_path: Path) -> None:
    files = {"prompt": (None, b"x"), "video[id]": (None, b"v"), "video": ("clip.mp4", clip(tmp_path))}
    answer = await desk.http.post("/v1/videos/edits", files=files, headers=await desk.bearer())
    assert answer.status_code == 400
    assert "twice" in answer.json()["error"]["message"]
