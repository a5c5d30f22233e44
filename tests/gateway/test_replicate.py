"""Replicate's predictions as its clients read them, and creations that are held open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from desk import Desk, bearer_of
from gateway.jobs import lifecycle

pytestmark = pytest.mark.anyio

V1 = "/replicate/v1"
BY_MODEL = f"{V1}/models/leakdrill/turbo/predictions"


async def created(desk: Desk, headers: dict[str, str], **wanted: Any) -> dict[str, Any]:
    answer = await desk.http.post(BY_MODEL, json={"input": {"prompt": "rain", **wanted}}, headers=headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_prediction_from_line_to_clip(desk: Desk) -> None:
    headers = await desk.bearer()
    shape = {"resolution": "480p", "aspect_ratio": "9:16", "duration": 3}
    made = await created(desk, headers, **shape, seed=7, style="saltglass", cameras=2)  # cameras are dropped
    assert (made["status"], made["output"], made["logs"], made["error"]) == ("starting", None, "", None)
    assert made["urls"]["get"] == f"{desk.http.base_url}{V1}/predictions/{made['id']}"
    assert made["input"] == {"prompt": "rain", **shape, "fps": 30, "seed": 7, "style": "saltglass"}
    job = await desk.claimed()
    held_by = lifecycle.Held(job.id, job.attempt, job.accessor, 40, 12, 30, moved=True)
    await lifecycle.beat(desk.store, "w1", [held_by], now=desk.clock.now(), lease_seconds=5)
    under_way = (await desk.http.get(made["urls"]["get"], headers=headers)).json()
    assert (under_way["status"], under_way["logs"]) == ("processing", " 40%|████      | 12/30")
    desk.clock.advance(2)
    assert await desk.complete(job)
    done = (await desk.http.get(made["urls"]["get"], headers=headers)).json()
    assert (done["status"], done["data_removed"]) == ("succeeded", False)
    assert done["metrics"] == {"predict_time": 2.0, "total_time": 2.0}
    assert (await desk.http.get(done["output"])).content == b"0123456789"
    desk.clock.advance(desk.settings.clip_seconds)
    gone = (await desk.http.get(made["urls"]["get"], headers=headers)).json()
    assert (gone["status"], gone["output"], gone["data_removed"]) == ("succeeded", None, True)


async def test_pages_are_whole_addresses(desk: Desk) -> None:
    headers = await desk.bearer(tier="unlimited")
    made = [(await created(desk, headers))["id"] for _ in range(101)]
    first = (await desk.http.get(f"{V1}/predictions", headers=headers)).json()
    assert [one["id"] for one in first["results"]] == made[:0:-1]
    second = (await desk.http.get(first["next"], headers=headers)).json()
    assert ([one["id"] for one in second["results"]], second["next"]) == (made[:1], None)


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "token"])
async def test_both_schemes_open(desk: Desk, scheme: str) -> None:
    token = (await desk.issue())["token"]
    answer = await desk.http.get(f"{V1}/predictions", headers={"Authorization": f"{scheme} {token}"})
    assert (answer.status_code, answer.json()) == (200, {"previous": None, "next": None, "results": []})


async def test_unknown_and_revoked_are_told_the_same_and_challenged_as_bearers(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.revoke({"accessor": issued["accessor"]})
    unknown = await desk.http.get(f"{V1}/predictions", headers={"Authorization": "Bearer ldk_unknown"})
    revoked = await desk.http.get(f"{V1}/predictions", headers=bearer_of(issued))
    assert revoked.content == unknown.content
    assert revoked.json() == {
        "type": "invalid_api_key",
        "title": "Unauthorized",
        "status": 401,
        "detail": revoked.json()["detail"],
    }
    assert revoked.headers["www-authenticate"] == 'Bearer realm="leakdrill", error="invalid_token"'


async def test_a_version_is_named_in_three_ways_and_shown(desk: Desk) -> None:
    headers = await desk.bearer()
    model = (await desk.http.get(f"{V1}/models/leakdrill/turbo", headers=headers)).json()
    version = model["latest_version"]
    shown = await desk.http.get(f"{V1}/models/leakdrill/turbo/versions/{version['id']}", headers=headers)
    assert shown.json() == version
    assert "aspect_ratio" in version["openapi_schema"]["components"]["schemas"]["Input"]["properties"]
    other = await desk.http.get(f"{V1}/models/leakdrill/standard/versions/{version['id']}", headers=headers)
    assert (other.status_code, other.json()["type"]) == (404, "not_found")
    for name in (version["id"], "leakdrill/turbo", f"leakdrill/turbo:{version['id']}"):
        body = {"version": name, "input": {"prompt": "rain"}}
        answer = await desk.http.post(f"{V1}/predictions", json=body, headers=headers)
        assert (answer.status_code, answer.json()["model"]) == (201, "leakdrill/turbo")


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": {}}, "input.prompt", "missing_required_parameter"),
        ({"input": {"prompt": "x", "duration": 13}}, "input.duration", "invalid_value"),
        ({"input": {"prompt": "x"}, "webhook": "https://example.com/"}, "webhook", "invalid_value"),
        ({"input": {"prompt": "x"}, "version": "x"}, "version", "unknown_parameter"),
    ],
)
async def test_wrong_fields_are_named(desk: Desk, body: dict[str, Any], field: str, code: str) -> None:
    answer = await desk.http.post(BY_MODEL, json=body, headers=await desk.bearer())
    (found,) = answer.json()["invalid_fields"]
    assert (answer.status_code, found["field"], found["type"]) == (422, field, code)


async def held(desk: Desk, headers: dict[str, str], prefer: str) -> asyncio.Task[Any]:
    """A creation that is open, once its job is in line and a stream is noted for it."""
    more = {**headers, "Prefer": prefer}
    task = asyncio.create_task(desk.http.post(BY_MODEL, json={"input": {"prompt": "rain"}}, headers=more))
    async with asyncio.timeout(20):
        while desk.context.streams.count() == 0 and not task.done():
            await asyncio.sleep(0.01)
    assert not task.done()
    return task


async def test_a_held_creation_is_answered_when_its_video_has_ended(desk: Desk) -> None:
    task = await held(desk, await desk.bearer(), "respond-async, wait=20")
    await desk.finished()
    async with asyncio.timeout(20):
        answer = await task
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "wait=20")
    assert answer.json()["status"] == "succeeded"
    assert (await desk.http.get(answer.json()["output"])).status_code == 200
    assert desk.context.streams.count() == 0


async def test_a_wait_in_vain_is_answered_starting_even_if_it_is_rendered(desk: Desk) -> None:
    task = await held(desk, await desk.bearer(), "wait=1")
    await desk.claimed()
    async with asyncio.timeout(20):
        assert (await task).json()["status"] == "starting"


@pytest.mark.parametrize("ending", ["revoked", "suspended"])
async def test_a_held_creation_ends_with_its_token(desk: Desk, ending: str) -> None:
    issued = await desk.issue()
    task = await held(desk, bearer_of(issued), "wait")
    if ending == "revoked":
        assert (await desk.revoke({"accessor": issued["accessor"]})).json()["jobs"] == {"queued": 1, "running": 0}
    else:
        path = f"/control/tokens/{issued['accessor']}"
        assert (await desk.http.patch(path, json={"state": ending}, headers=desk.admin)).status_code == 200
    async with asyncio.timeout(20):
        answer = await task
    unknown = await desk.http.get(f"{V1}/predictions", headers={"Authorization": "Bearer ldk_unknown"})
    assert (answer.status_code, answer.content) == (401, unknown.content)
    assert await desk.events("request.refused") == []
    (ended,) = await desk.events("stream.ended")
    assert (ended["data"]["use"], ended["data"]["events_after"]) == ("replicate submit", 0)


async def test_what_cannot_be_held_is_answered_at_once(desk: Desk) -> None:
    headers = await desk.bearer()
    tasks = [await held(desk, headers, "wait=30")]
    for _ in range(desk.settings.streams_per_token - 1):
        before = desk.context.streams.count()
        more = {**headers, "Prefer": "wait=30"}
        tasks.append(asyncio.create_task(desk.http.post(BY_MODEL, json={"input": {"prompt": "x"}}, headers=more)))
        async with asyncio.timeout(20):
            while desk.context.streams.count() == before:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        answer = await desk.http.post(
            BY_MODEL, json={"input": {"prompt": "x"}}, headers={**headers, "Prefer": "wait=30"}
        )
    assert (answer.status_code, answer.json()["status"]) == (201, "starting")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
