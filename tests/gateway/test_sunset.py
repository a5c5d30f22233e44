"""The planned end of the API: headers, brown-outs, 410, and who still calls."""

from datetime import UTC, datetime
from typing import Any

import pytest

from desk import START, Desk

pytestmark = pytest.mark.anyio


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


PLAN: dict[str, Any] = {
    "announced_at": iso(100),
    "ends_at": iso(1000),
    "brown_outs": [{"at": iso(200), "until": iso(300)}, {"at": iso(400), "until": iso(500), "status": 410}],
    "link": "https://example.test/end",
}


async def plan(desk: Desk, **changes: Any) -> dict[str, Any]:
    answer = await desk.http.put("/control/sunset", json={**PLAN, **changes}, headers=desk.admin)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_each_stage_is_answered_as_planned(desk: Desk) -> None:
    await desk.http.put("/control/clock", json={"time": iso(0), "speed": 1.0}, headers=desk.admin)
    start = desk.clock.now()
    issued = await desk.issue()
    bearer = {"Authorization": f"Bearer {issued['token']}"}
    assert (await plan(desk))["stage"] == "planned"

    async def at(seconds: float) -> Any:
        desk.clock.advance(start + seconds - desk.clock.now())
        return await desk.http.get("/v1/videos", headers=bearer)

    early = await at(50)
    assert (early.status_code, "sunset" in early.headers) == (200, False)
    told = await at(150)
    assert told.status_code == 200
    assert told.headers["deprecation"] == f"@{int(START) + 100}"
    assert told.headers["sunset"] == "Tue, 26 Nov 2024 13:46:40 GMT"
    assert (
        told.headers["link"]
        == '<https://example.test/end>; rel="deprecation", <https://example.test/end>; rel="sunset"'
    )
    out = await at(250)
    assert (out.status_code, out.json()["error"]["code"], out.headers["retry-after"]) == (503, "brown_out", "50")
    assert "sunset" in out.headers
    assert (await at(350)).status_code == 200
    assert (await at(450)).json()["error"]["code"] == "api_ended"
    over = await at(1000)
    assert (over.status_code, over.json()["error"]["type"]) == (410, "invalid_request_error")
    assert over.headers["x-should-retry"] == "false"
    shown = (await desk.http.get("/control/sunset", headers=desk.admin)).json()
    assert shown["stage"] == "ended"
    callers = [(one["accessor"], one["announced"], one["brown_out"], one["ended"]) for one in shown["callers"]]
    assert callers == [(issued["accessor"], 2, 2, 1)]


async def test_every_bearer_call_and_signed_links_end_but_the_control_side_does_not(desk: Desk) -> None:
    bearer = await desk.bearer()
    video = await desk.create(bearer)
    await plan(desk, announced_at=iso(-2), ends_at=iso(-1), brown_outs=[])
    for method, path in (
        ("POST", "/v1/videos"),
        ("GET", f"/v1/videos/{video['id']}"),
        ("GET", f"/v1/videos/{video['id']}/content"),
        ("GET", "/v1/models"),
    ):
        answer = await desk.http.request(method, path, headers=bearer)
        assert answer.status_code == 410, (method, path)
    assert (await desk.http.get("/control/state", headers=desk.admin)).status_code == 200
    assert (await desk.http.get("/status")).status_code == 200


async def test_a_revoked_token_is_refused_as_ever(desk: Desk) -> None:
    issued = await desk.issue()
    await plan(desk, announced_at=iso(-2), ends_at=iso(-1), brown_outs=[])
    await desk.revoke({"accessor": issued["accessor"]})
    answer = await desk.http.get("/v1/videos", headers={"Authorization": f"Bearer {issued['token']}"})
    assert (answer.status_code, "sunset" in answer.headers) == (401, False)


async def test_the_plan_is_taken_back_and_a_reset_does_so_too(desk: Desk) -> None:
    for undo in ("delete", "reset"):
        await plan(desk, announced_at=iso(-2), ends_at=iso(-1), brown_outs=[])
        bearer_before = await desk.bearer()
        assert (await desk.http.get("/v1/videos", headers=bearer_before)).status_code == 410
        if undo == "delete":
            answer = await desk.http.delete("/control/sunset", headers=desk.admin)
            assert (answer.json()["stage"], answer.json()["callers"]) == ("none", [])
            assert (await desk.http.get("/v1/videos", headers=bearer_before)).status_code == 200
        else:
            await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
            bearer = await desk.bearer()
            assert (await desk.http.get("/v1/videos", headers=bearer)).status_code == 200
    kinds = [event["kind"] for event in await desk.events("sunset.")]
    assert kinds == ["sunset.set", "sunset.removed", "sunset.set"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"ends_at": iso(50)}, "ends_at"),
        ({"announced_at": iso(1000), "brown_outs": []}, "announced_at"),
        ({"brown_outs": [{"at": iso(300), "until": iso(200)}]}, "ends_at"),
        ({"brown_outs": [{"at": iso(200), "until": iso(300), "status": 500}]}, "brown_outs.0.status"),
        ({"announced_at": "2024-11-26T08:30:00"}, "announced_at"),
        ({"link": "https://example.test/a>b"}, "link"),
        ({"until": iso(5)}, "until"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused(desk: Desk, changes: dict[str, Any], param: str) -> None:
    answer = await desk.http.put("/control/sunset", json={**PLAN, **changes}, headers=desk.admin)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]["param"] == param
    assert (await desk.http.get("/control/sunset", headers=desk.admin)).json()["stage"] == "none"
