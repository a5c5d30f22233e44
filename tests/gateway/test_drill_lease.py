"""One drill at a time: who has the gateway, who is refused, and how a lease ends that nobody gives back."""

import asyncio
from typing import Any

import pytest

from desk import Desk

pytestmark = pytest.mark.anyio

FIRST: dict[str, Any] = {"scenario": "november-2024", "who": "ann@desk, process 12", "lease_seconds": 30}
SECOND: dict[str, Any] = {"scenario": "false-alarm", "who": "bob@desk, process 13"}


async def call(desk: Desk, method: str, path: str = "", **body: Any) -> tuple[int, Any]:
    answer = await desk.http.request(
        method, f"/control/drill{path}", headers=desk.admin, json=body if method in ("POST", "PUT") else None
    )
    return answer.status_code, answer.json()


async def test_a_second_drill_is_told_which_since_when_and_what_to_do(desk: Desk) -> None:
    assert await call(desk, "GET") == (200, {"drill": None})
    status, first = await call(desk, "POST", **FIRST)
    assert (status, first["scenario"], first["until"] - first["since"]) == (201, "november-2024", 30)
    desk.clock.advance(10)
    status, refused = await call(desk, "POST", **SECOND)
    assert (status, refused["error"]["code"]) == (409, "drill_under_way")
    words = refused["error"]["message"]
    for part in ("november-2024 since 2024-11-26 13:30:00 UTC", "ann@desk, process 12", first["id"], "in 20 s"):
        assert part in words
    assert await call(desk, "GET") == (200, {"drill": first})
    assert [event["kind"] for event in await desk.events("drill.")] == ["drill.began"]


async def test_what_ends_makes_room_and_is_listed(desk: Desk) -> None:
    _, first = await call(desk, "POST", **FIRST)
    assert (await call(desk, "DELETE", f"/{first['id']}"))[0] == 200
    assert (await call(desk, "DELETE", f"/{first['id']}"))[0] == 404
    assert await call(desk, "GET") == (200, {"drill": None})
    assert (await call(desk, "POST", **SECOND))[0] == 201
    listed = [(event["kind"], event["data"].get("lapsed")) for event in await desk.events("drill.")]
    assert listed == [("drill.began", None), ("drill.ended", False), ("drill.began", None)]


async def test_a_drill_that_was_killed_blocks_for_its_lease_and_no_longer(desk: Desk) -> None:
    _, first = await call(desk, "POST", **FIRST)
    desk.clock.advance(29)
    status, renewed = await call(desk, "PUT", f"/{first['id']}", lease_seconds=30)
    assert (status, renewed["until"] - first["until"]) == (200, 29)
    desk.clock.advance(29)
    assert (await call(desk, "POST", **SECOND))[0] == 409
    desk.clock.advance(1)
    assert await call(desk, "GET") == (200, {"drill": None})
    _, second = await call(desk, "POST", **SECOND)
    # The first one wakes up, too late: it neither renews nor ends what is another's.
    status, refused = await call(desk, "PUT", f"/{first['id']}")
    assert (status, refused["error"]["code"]) == (409, "drill_under_way")
    assert (await call(desk, "DELETE", f"/{first['id']}"))[0] == 404
    assert await call(desk, "GET") == (200, {"drill": second})
    listed = [(event["kind"], event["data"].get("lapsed")) for event in await desk.events("drill.")]
    assert listed == [("drill.began", None), ("drill.ended", True), ("drill.began", None)]


async def test_a_late_renewal_counts_where_nobody_came_between(desk: Desk) -> None:
    _, first = await call(desk, "POST", **FIRST)
    desk.clock.advance(300)
    assert (await call(desk, "PUT", f"/{first['id']}"))[0] == 200
    assert (await call(desk, "POST", **SECOND))[0] == 409


async def test_of_many_that_come_together_one_begins(desk: Desk) -> None:
    answers = await asyncio.gather(*(call(desk, "POST", **SECOND) for _ in range(8)))
    assert sorted(status for status, _ in answers) == [201, *[409] * 7]


async def test_a_reset_lets_go(desk: Desk) -> None:
    _, first = await call(desk, "POST", **FIRST)
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert await call(desk, "GET") == (200, {"drill": None})
    assert (await call(desk, "PUT", f"/{first['id']}"))[0] == 404


@pytest.mark.parametrize(
    "changes", [{"scenario": ""}, {"who": "a\nb"}, {"lease_seconds": 0}, {"lease_seconds": 601}, {"more": 1}]
)
async def test_bad_bodies_are_refused(desk: Desk, changes: dict[str, Any]) -> None:
    status, refused = await call(desk, "POST", **{**FIRST, **changes})
    assert (status, set(refused["error"])) == (422, {"message", "type", "param", "code"})
    assert await call(desk, "GET") == (200, {"drill": None})


async def test_only_the_admin_may(desk: Desk) -> None:
    for method, path in (("GET", ""), ("POST", ""), ("PUT", "/drill_1"), ("DELETE", "/drill_1")):
        answer = await desk.http.request(method, f"/control/drill{path}", headers=await desk.bearer())
        assert answer.status_code == 401
