"""What became of the planned injects: fired once, held, skipped, by the clock, gone with a reset."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from desk import Desk
from gateway.exercise import injects

pytestmark = pytest.mark.anyio

ZOE = {"leakdrill-actor": "Zoe"}


async def move(desk: Desk, id: str, state: str, **more: Any) -> httpx.Response:
    body = {"state": state, **more}
    return await desk.http.put(f"/control/injects/{id}", json=body, headers={**desk.admin, **ZOE})


async def shown(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = (await desk.http.get("/control/injects", headers=desk.admin)).json()
    return found


async def told(desk: Desk) -> list[tuple[str, str]]:
    return [(event["kind"], event["data"]["inject"]) for event in await desk.events("inject.")]


async def test_an_inject_is_fired_with_its_line_in_both_times(desk: Desk) -> None:
    assert await shown(desk) == {"by_clock": False, "data": []}
    clock = {"time": "2024-11-26T08:30:00-05:00", "speed": 60.0}
    await desk.http.put("/control/clock", json=clock, headers=desk.admin)
    desk.clock.advance(60)
    answer = await move(desk, "m3", "fired", line="The queue is long.")
    moved = {
        "id": "m3",
        "state": "fired",
        "at": desk.clock.now(),
        "replay_at": "2024-11-26T09:30:00-05:00",
        "actor": "admin (Zoe)",
    }
    assert (answer.status_code, answer.json()) == (200, moved)
    assert await shown(desk) == {"by_clock": False, "data": [moved]}
    assert (await desk.http.get("/status")).json()["broadcast"] == "The queue is long."
    (fired,) = await desk.events("inject.fired")
    assert fired["data"] == {"inject": "m3", "broadcast": True, "by_clock": False}
    assert (fired["actor"], fired["replay_at"]) == ("admin (Zoe)", "2024-11-26T09:30:00-05:00")
    (line,) = await desk.events("broadcast.set")
    assert line["data"] == {"text": "The queue is long.", "inject": "m3"}


async def test_one_that_is_told_by_hand_leaves_the_line_as_it_is(desk: Desk) -> None:
    await desk.http.put("/control/broadcast", json={"text": "five minutes"}, headers=desk.admin)
    assert (await move(desk, "m1", "fired")).status_code == 200
    assert (await desk.http.get("/status")).json()["broadcast"] == "five minutes"
    assert (await desk.events("inject."))[0]["data"]["broadcast"] is False


async def test_of_many_who_fire_at_once_one_does(desk: Desk) -> None:
    answers = await asyncio.gather(*(move(desk, "m1", "fired", line=f"line {n}") for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    refused = next(answer for answer in answers if answer.status_code == 409).json()["error"]
    assert refused["code"] == "inject_fired"
    assert "was fired at 13:30:00 UTC, by admin (Zoe)" in refused["message"]
    assert len(await desk.events("inject.fired")) == len(await desk.events("broadcast.set")) == 1


async def test_held_and_skipped_can_be_taken_back_and_fired_cannot(desk: Desk) -> None:
    for state in ("held", "held", "skipped", "waiting", "waiting", "held", "fired"):
        assert (await move(desk, "m1", state)).status_code == 200
    assert [kind for kind, _ in await told(desk)] == [
        "inject.held",
        "inject.skipped",
        "inject.waiting",
        "inject.held",
        "inject.fired",
    ]
    for state in ("held", "skipped", "waiting", "fired"):
        assert (await move(desk, "m1", state)).status_code == 409
    assert (await move(desk, "m2", "waiting")).status_code == 200
    assert [one["id"] for one in (await shown(desk))["data"]] == ["m1"]


async def test_the_clock_fires_what_waits_and_nothing_else(desk: Desk) -> None:
    await desk.http.put("/control/injects", json={"by_clock": True}, headers=desk.admin)
    await desk.http.put("/control/injects", json={"by_clock": True}, headers=desk.admin)
    await move(desk, "m1", "held")
    await move(desk, "m2", "skipped")
    for id in ("m1", "m2"):
        refused = await move(desk, id, "fired", line="x", by_clock=True)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "inject_not_waiting")
    assert (await move(desk, "m3", "fired", line="x", by_clock=True)).status_code == 200
    (fired,) = await desk.events("inject.fired")
    assert fired["data"] == {"inject": "m3", "broadcast": True, "by_clock": True}
    assert [event["data"] for event in await desk.events("inject.by_clock")] == [{"on": True}]
    assert (await shown(desk))["by_clock"] is True


async def test_a_reset_has_all_of_them_wait_again(desk: Desk) -> None:
    await move(desk, "m1", "fired")
    await desk.http.put("/control/injects", json={"by_clock": True}, headers=desk.admin)
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert await shown(desk) == {"by_clock": False, "data": []}
    assert (await move(desk, "m1", "fired")).status_code == 200
    assert len(await desk.events("inject.fired")) == 2


@pytest.mark.parametrize(
    ("id", "body"),
    [
        ("m1", {}),
        ("m1", {"state": "told"}),
        ("m1", {"state": "held", "line": "x"}),
        ("m1", {"state": "held", "by_clock": True}),
        ("m1", {"state": "fired", "line": ""}),
        ("m1", {"state": "fired", "line": "x" * 301}),
        ("m1", {"state": "fired", "more": 1}),
        ("x" * 41, {"state": "fired"}),
        ("-m1", {"state": "fired"}),
    ],
)
async def test_what_is_no_move_changes_nothing(desk: Desk, id: str, body: dict[str, Any]) -> None:
    answer = await desk.http.put(f"/control/injects/{id}", json=body, headers=desk.admin)
    assert answer.status_code in (400, 422), answer.text
    assert await desk.events() == []


async def test_nobody_but_the_admin_moves_one(desk: Desk) -> None:
    tester = await desk.bearer()
    for headers in ({}, tester):
        for method, path, body in (
            ("GET", "/control/injects", None),
            ("PUT", "/control/injects", {"by_clock": True}),
            ("PUT", "/control/injects/m1", {"state": "fired"}),
        ):
            answer = await desk.http.request(method, path, json=body, headers=headers)
            assert answer.status_code == 401, path
    assert await desk.events("inject.") == []


async def test_there_is_an_end_to_how_many_are_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injects, "MOST_INJECTS", 8)
    for number in range(8):
        assert (await move(desk, f"i{number}", "held")).status_code == 200
    assert (await move(desk, "one-more", "held")).status_code == 409
    assert (await move(desk, "i7", "fired")).status_code == 200
