"""fal's queue as its clients read it: words of a job's way, errors, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from desk import Desk, DeskMaker
from footage import picture

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]

APP = "/fal/leakdrill/turbo"


async def key(desk: Desk, **more: Any) -> dict[str, str]:
    """A new token in fal's scheme."""
    return {"Authorization": f"Key {(await desk.issue(**more))['token']}"}


async def submitted(desk: Desk, headers: dict[str, str], **arguments: Any) -> dict[str, Any]:
    answer = await desk.http.post(APP, json={"prompt": "rain", **arguments}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_job_from_line_to_clip(desk: Desk) -> None:
    headers = await key(desk)
    first, second = [await submitted(desk, headers, seed=7) for _ in range(2)]
    assert (first["status"], first["queue_position"], second["queue_position"]) == ("IN_QUEUE", 0, 1)
    assert second["response_url"] == f"{desk.http.base_url}{APP}/requests/{second['request_id']}"
    urls = {name: second[name].removeprefix(second["response_url"]) for name in ("status_url", "cancel_url")}
    assert urls == {"status_url": "/status", "cancel_url": "/cancel"}

    async def status(of: dict[str, Any], **query: Any) -> dict[str, Any]:
        answer = await desk.http.get(of["status_url"], params=query, headers=headers)
        found: dict[str, Any] = answer.json()
        assert answer.status_code == (200 if found["status"] == "COMPLETED" else 202), answer.text
        return found

    assert ((await status(second))["status"], (await status(second))["queue_position"]) == ("IN_QUEUE", 1)
    early = await desk.http.get(first["response_url"], headers=headers)
    assert (early.status_code, early.json()["error_type"]) == (400, "video_not_ready")
    job = await desk.claimed()
    assert ((await status(first))["status"], (await status(first))["logs"]) == ("IN_PROGRESS", None)
    assert (await status(first, logs="1"))["logs"] == []
    assert await desk.complete(job)
    done = await status(first, logs="true")
    assert (done["status"], done["logs"], done["metrics"], done["error"]) == (
        "COMPLETED",
        [],
        {"inference_time": 0.0},
        None,
    )
    answer = await desk.http.get(first["response_url"], headers=headers)
    assert answer.headers["x-fal-request-id"] == job.id
    result = answer.json()
    assert result["seed"] == 7
    assert (result["video"]["file_size"], result["video"]["file_name"]) == (10, f"{job.id}.mp4")
    assert (await desk.http.get(result["video"]["url"])).content == b"0123456789"
    # The same job through the other door.
    bearer = {"Authorization": headers["Authorization"].replace("Key", "Bearer")}
    video = (await desk.http.get(f"/v1/videos/{job.id}", headers=bearer)).json()
    assert (video["model"], video["status"]) == ("turbo", "completed")


@pytest.mark.parametrize(
    ("arguments", "size", "seconds"),
    [
        ({}, "1280x720", "4"),
        ({"resolution": "480p"}, "854x480", "4"),
        ({"aspect_ratio": "9:16", "duration": "5"}, "720x1280", "5"),
        ({"resolution": "1080p", "aspect_ratio": "1:1", "duration": "8s"}, "1080x1080", "8"),
        ({"num_frames": 49, "fps": 24}, "1280x720", "2"),
        ({"num_frames": 49, "duration": 6, "cameras": 3, "negative_prompt": ["fog", "text"]}, "1280x720", "6"),
    ],
)
async def test_shapes_and_lengths(desk: Desk, arguments: dict[str, Any], size: str, seconds: str) -> None:
    headers = await key(desk)
    id = (await submitted(desk, headers, **arguments))["request_id"]
    bearer = {"Authorization": headers["Authorization"].replace("Key", "Bearer")}
    video = (await desk.http.get(f"/v1/videos/{id}", headers=bearer)).json()
    assert (video["size"], video["seconds"]) == (size, seconds)
    job = await desk.claimed()
    assert job.request.negative_prompt == ("fog, text" if "negative_prompt" in arguments else "")


@pytest.mark.parametrize(
    ("arguments", "field", "code"),
    [
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"duration": 13}, "duration", "invalid_value"),
        ({"num_frames": 1200, "fps": 24}, "num_frames", "invalid_value"),
        ({"resolution": "4k"}, "resolution", "invalid_value"),
        ({"negative_prompt": [1]}, "negative_prompt", "invalid_value"),
        ({"image_url": "data:image/png;base64,!"}, "image_url", "invalid_value"),
        ({"image_url": "http://127.0.0.1:1/"}, "image_url", "url_not_allowed"),
    ],
)
async def test_wrong_arguments_are_named(desk: Desk, arguments: dict[str, Any], field: str, code: str) -> None:
    answer = await desk.http.post(APP, json={"prompt": "rain", **arguments}, headers=await key(desk))
    if code == "url_not_allowed":  # not the argument's form, but where it leads
        assert (answer.status_code, answer.json()["error_type"]) == (400, code)
        return
    (found,) = answer.json()["detail"]
    assert (answer.status_code, found["loc"], found["type"]) == (422, ["body", field], code)


async def test_a_picture_gives_its_own_size_or_is_told_which_there_are(desk: Desk) -> None:
    headers = await key(desk)

    def address(width: int, height: int) -> str:
        return "data:image/png;base64," + base64.b64encode(picture(width, height)).decode()

    async def posted(**arguments: Any) -> Any:
        body = {"prompt": "rain", **arguments}
        return await desk.http.post(f"{APP}/image-to-video", json=body, headers=headers)

    taken = await posted(image_url=address(480, 854))
    assert taken.status_code == 200
    assert (await desk.claimed()).request.size == "480x854"
    odd = await posted(image_url=address(500, 500))
    assert (odd.status_code, odd.json()["error_type"]) == (422, "invalid_image")
    assert "500x500" in odd.json()["detail"][0]["msg"]
    other = await posted(image_url=address(480, 480), resolution="720p")
    assert (other.status_code, other.json()["error_type"]) == (422, "invalid_image")
    none = await posted()
    assert (none.status_code, none.json()["error_type"]) == (422, "missing_required_parameter")
    assert [path.name for path in desk.settings.inputs.glob("incoming-*")] == []


async def test_how_bad_ends_are_told(desk: Desk) -> None:
    headers = await key(desk)
    rule = {"failure": "moderation_blocked", "next": 1}
    assert (await desk.http.post("/control/faults", json=rule, headers=desk.admin)).status_code == 201
    blocked, cancelled = [await submitted(desk, headers) for _ in range(2)]
    assert (await desk.http.put(cancelled["cancel_url"], headers=headers)).json() == {
        "status": "CANCELLATION_REQUESTED"
    }
    again = await desk.http.put(cancelled["cancel_url"], headers=headers)
    assert (again.status_code, again.json()["error_type"]) == (400, "already_completed")
    told = (await desk.http.get(cancelled["status_url"], headers=headers)).json()
    assert (told["status"], told["error_type"]) == ("COMPLETED", "cancelled")
    ended = await desk.http.get(cancelled["response_url"], headers=headers)
    assert (ended.status_code, ended.json()["error_type"]) == (400, "cancelled")
    job = await desk.claimed()
    assert (job.id, job.fate) == (blocked["request_id"], "moderation_blocked")


async def test_the_scheme_is_key_and_unknown_and_revoked_are_told_the_same(desk: Desk) -> None:
    issued = await desk.issue()
    headers = {"Authorization": f"Key {issued['token']}"}
    job = await submitted(desk, headers)
    other = await desk.http.get(job["status_url"], headers={"Authorization": f"Bearer {issued['token']}"})
    assert (other.status_code, other.headers["www-authenticate"]) == (401, 'Key realm="leakdrill"')
    assert "`Authorization: Key …`" in other.json()["detail"]
    await desk.revoke({"accessor": issued["accessor"]})
    unknown = await desk.http.get(job["status_url"], headers={"Authorization": "Key ldk_unknown"})
    revoked = await desk.http.get(job["status_url"], headers=headers)
    assert revoked.content == unknown.content
    assert revoked.status_code == unknown.status_code == 401
    assert revoked.headers["www-authenticate"] == 'Key realm="leakdrill", error="invalid_token"'
    # Nor does the scheme open anything of OpenAI's.
    assert (await desk.http.get("/v1/videos", headers=await key(desk))).status_code == 401


async def test_limits_failures_and_repetitions_are_those_of_the_other_face(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_limit=1)
    headers = await key(desk)
    once = {**headers, "Idempotency-Key": "one"}
    first = await submitted(desk, once)
    again = await desk.http.post(APP, json={"prompt": "rain"}, headers=once)
    assert (again.json()["request_id"], again.headers["idempotent-replayed"]) == (first["request_id"], "true")
    reused = await desk.http.post(APP, json={"prompt": "snow"}, headers=once)
    assert (reused.status_code, reused.json()["error_type"]) == (409, "idempotency_key_reused")
    full = await desk.http.post(APP, json={"prompt": "rain"}, headers=headers)
    assert (full.status_code, full.json()["error_type"]) == (429, "queue_full")
    assert "retry-after" in full.headers
    rule = {"failure": "overloaded", "surface": ["retrieve"], "next": 1}
    assert (await desk.http.post("/control/faults", json=rule, headers=desk.admin)).status_code == 201
    struck = await desk.http.get(first["status_url"], headers=headers)
    assert (struck.status_code, struck.json()["error_type"]) == (503, "overloaded")
    counted = (await desk.http.get("/metrics")).text
    assert 'route="/fal/{owner}/{alias}/requests/{request_id}/status"' in counted
    assert first["request_id"] not in counted


@pytest.mark.parametrize(
    "path",
    [
        "/fal/leakdrill/none/requests/{id}",
        "/fal/other/turbo/requests/{id}/status",
        "/fal/leakdrill/turbo/requests/video_0",
        "/fal/nothing",
    ],
)
async def test_what_is_not_there_is_told_in_its_own_shape(desk: Desk, path: str) -> None:
    headers = await key(desk)
    id = (await submitted(desk, headers))["request_id"]
    answer = await desk.http.get(path.format(id=id), headers=headers)
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")
    assert isinstance(answer.json()["detail"], str)


async def test_bodies_are_json(desk: Desk) -> None:
    headers = await key(desk)
    form = await desk.http.post(APP, data={"prompt": "rain"}, headers=headers)
    assert (form.status_code, form.json()["error_type"]) == (415, "unsupported_media_type")
    broken = await desk.http.post(APP, content=b"{", headers={**headers, "Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["error_type"]) == (400, "invalid_json")
