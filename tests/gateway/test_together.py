"""Together's videos as its client and Hugging Face's read them; and what the hub is asked."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from desk import Desk
from footage import picture

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]

VIDEOS = "/together/v2/videos"
SMALL: dict[str, Any] = {"model": "leakdrill/turbo", "prompt": "rain"}


async def test_a_video_from_line_to_clip(desk: Desk) -> None:
    headers = await desk.bearer()
    made = (await desk.http.post(VIDEOS, json={**SMALL, "seconds": "2", "steps": 7}, headers=headers)).json()
    assert (made["status"], made["outputs"], made["error"]) == ("in_progress", None, None)
    assert (made["model"], made["seconds"], made["size"]) == ("leakdrill/turbo", "2", "1280x720")
    job = await desk.claimed()
    assert job.request.num_inference_steps == 7
    assert (await desk.http.get(f"{VIDEOS}/{job.id}", headers=headers)).json()["status"] == "in_progress"
    assert await desk.complete(job)
    done = (await desk.http.get(f"{VIDEOS}/{job.id}", headers=headers)).json()
    cost = done["outputs"]["cost"]
    assert (done["status"], cost) == ("completed", 2 * 2)  # two credits a second at this size
    assert (await desk.http.get(done["outputs"]["video_url"])).content == b"0123456789"


async def test_a_cancelled_video_says_why_it_failed(desk: Desk) -> None:
    headers = await desk.bearer()
    id = (await desk.http.post(VIDEOS, json=SMALL, headers=headers)).json()["id"]
    await desk.http.post(f"/v1/videos/{id}/cancel", headers=headers)
    found = (await desk.http.get(f"{VIDEOS}/{id}", headers=headers)).json()
    assert (found["status"], found["error"]["code"], found["outputs"]) == ("failed", "cancelled", None)


@pytest.mark.parametrize("where", ["media", "top"])
async def test_a_first_frame_by_either_name(desk: Desk, where: str) -> None:
    url = "data:image/png;base64," + base64.b64encode(picture(480, 854)).decode()
    images = {"frame_images": [{"input_image": url, "frame": "first"}]}
    body = {**SMALL, **({"media": images} if where == "media" else images)}
    made = (await desk.http.post(VIDEOS, json=body, headers=await desk.bearer())).json()
    assert made["size"] == "480x854"


@pytest.mark.parametrize(
    ("more", "status", "param", "code"),
    [
        ({"model": "leakdrill/none"}, 404, "model", "model_not_available"),
        ({"model": "turbo"}, 404, "model", "model_not_available"),
        ({"width": 1280}, 400, "width", "invalid_value"),
        ({"height": 720}, 400, "height", "invalid_value"),
        ({"width": "1280", "height": 720}, 400, "width", "invalid_value"),
        ({"output_format": "WEBM"}, 400, "output_format", "invalid_value"),
        ({"generate_audio": True}, 400, "generate_audio", "invalid_value"),
        ({"duration": 4}, 400, "duration", "unknown_parameter"),
        ({"frame_images": [{"input_image": "x", "frame": "last"}]}, 400, "frame_images.0.frame", "invalid_value"),
    ],
)
async def test_wrong_fields_are_named(desk: Desk, more: dict[str, Any], status: int, param: str, code: str) -> None:
    answer = await desk.http.post(VIDEOS, json={**SMALL, **more}, headers=await desk.bearer())
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)


async def test_a_retry_that_is_counted_makes_no_second_video(desk: Desk) -> None:
    headers = await desk.bearer()
    first = await desk.http.post(VIDEOS, json=SMALL, headers={**headers, "x-stainless-retry-count": "0"})
    again = await desk.http.post(VIDEOS, json=SMALL, headers={**headers, "x-stainless-retry-count": "1"})
    assert again.json()["id"] == first.json()["id"]


async def test_the_hub_names_the_providers_of_each_model(desk: Desk) -> None:
    query = {"expand": "inferenceProviderMapping"}
    model = (await desk.http.get("/hf/api/models/leakdrill/turbo", params=query)).json()
    served = {"status": "live", "providerId": "leakdrill/turbo", "task": "text-to-video"}
    assert model["inferenceProviderMapping"] == dict.fromkeys(("fal-ai", "replicate", "together"), served)
    pictured = (await desk.http.get("/hf/api/models/leakdrill/turbo-image-to-video")).json()
    found = {name: one["providerId"] for name, one in pictured["inferenceProviderMapping"].items()}
    assert found == {"fal-ai": "leakdrill/turbo/image-to-video", "together": "leakdrill/turbo"}
    none = await desk.http.get("/hf/api/models/leakdrill/none")
    assert (none.status_code, none.headers["x-error-code"], list(none.json())) == (404, "RepoNotFound", ["error"])
