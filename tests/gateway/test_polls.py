"""The short ways of a poll and a create: one statement, a reading of the line that is reused, a token's row that is
looked at again, ids that stand together."""

import re
from typing import Any

import pytest

from desk import Desk, DeskMaker, bearer_of
from gateway.errors import InsufficientScope, InvalidCredentials
from gateway.store import Connection, events
from gateway.store.jobs import reference_of, reference_text
from gateway.tokens import service

pytestmark = pytest.mark.anyio


@pytest.fixture
async def long_reading(make_desk: DeskMaker) -> Desk:
    """A desk that keeps what it read of the line for an hour."""
    return await make_desk(estimate_seconds=3600)


async def place(desk: Desk, video: dict[str, Any], headers: dict[str, str]) -> str | None:
    answer = await desk.http.get(f"/v1/videos/{video['id']}", headers=headers)
    assert answer.status_code == 200, answer.text
    ahead: str | None = answer.headers.get("leakdrill-queue-ahead")
    return ahead


async def status(desk: Desk, video: dict[str, Any], headers: dict[str, str]) -> int:
    return (await desk.http.get(f"/v1/videos/{video['id']}", headers=headers)).status_code


async def moved(desk: Desk, token: dict[str, Any], state: str) -> None:
    path = f"/control/tokens/{token['accessor']}"
    assert (await desk.http.patch(path, json={"state": state}, headers=desk.admin)).status_code == 200


async def test_the_tokens_row_is_read_at_every_poll(long_reading: Desk) -> None:
    desk = long_reading
    token = await desk.issue(expires_in=600)
    headers = bearer_of(token)
    video = await desk.create(headers)
    assert await status(desk, video, headers) == 200
    for state, expected in [("suspended", 401), ("quarantined", 200), ("active", 200)]:
        await moved(desk, token, state)
        assert await status(desk, video, headers) == expected
    desk.clock.advance(600)
    assert await status(desk, video, headers) == 401
    other = await desk.issue()
    assert await status(desk, video, bearer_of(other)) == 404
    await desk.revoke({"accessor": other["accessor"]})
    assert await status(desk, video, bearer_of(other)) == 401


async def test_a_child_is_judged_with_all_that_stand_above_it(long_reading: Desk) -> None:
    desk = long_reading
    parent = await desk.issue(scopes=["videos:read", "videos:write", "tokens:mint"])
    child = (await desk.http.post("/v1/tokens", json={}, headers=bearer_of(parent))).json()
    video = await desk.create(bearer_of(child))
    assert await status(desk, video, bearer_of(child)) == 200
    await moved(desk, parent, "suspended")
    assert await status(desk, video, bearer_of(child)) == 401


async def test_a_video_is_shown_as_it_is_now(long_reading: Desk) -> None:
    desk = long_reading
    headers = await desk.bearer()
    videos = [await desk.create(headers) for _ in range(3)]
    assert [await place(desk, one, headers) for one in videos] == ["0", "1", "2"]
    await desk.finished()
    job = await desk.claimed()
    shown = [(await desk.http.get(f"/v1/videos/{one['id']}", headers=headers)).json() for one in videos]
    assert [one["status"] for one in shown] == ["completed", "in_progress", "queued"]
    assert job.id == videos[1]["id"]
    await desk.http.delete(f"/v1/videos/{videos[0]['id']}", headers=headers)
    assert await status(desk, videos[0], headers) == 404


async def test_a_place_is_what_was_read_a_moment_ago_and_counted_for_what_came_since(long_reading: Desk) -> None:
    desk = long_reading
    headers, first_served = await desk.bearer(), await desk.bearer(tier="partner")
    standing = [await desk.create(headers) for _ in range(3)]
    await desk.http.get("/status")
    later, sooner = await desk.create(headers), await desk.create(first_served)
    assert await place(desk, sooner, first_served) == "0"
    assert await place(desk, later, headers) == "4"
    assert [await place(desk, one, headers) for one in standing] == ["0", "1", "2"]
    await desk.http.get("/status")  # reads the line anew
    assert [await place(desk, one, headers) for one in standing] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("method", "path", "expected", "code"),
    [
        ("GET", "/v1/videos/video_1", 404, "not_found"),
        ("PUT", "/v1/videos/video_1", 405, "method_not_allowed"),
        ("PUT", "/v1/videos", 405, "method_not_allowed"),
        ("POST", "/v1/videos/video_1", 405, "method_not_allowed"),
        ("GET", "/v1/videos/video_1/nothing", 404, "not_found"),
        ("POST", "/v1/videos", 415, "unsupported_media_type"),
    ],
)
async def test_the_short_way_is_refused_as_every_other(
    desk: Desk, method: str, path: str, expected: int, code: str
) -> None:
    answer = await desk.http.request(method, path, headers=await desk.bearer())
    assert answer.status_code == expected
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["code"] == code
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["leakdrill-replica"] == "r1"


async def test_a_refused_poll_is_told_by_its_template(desk: Desk) -> None:
    token = await desk.issue()
    video = await desk.create(bearer_of(token))
    await desk.revoke({"accessor": token["accessor"]})
    assert await status(desk, video, bearer_of(token)) == 401
    refused = await desk.events("request.refused")
    assert refused[-1]["data"]["surface"] == "GET /v1/videos/{video_id}"


async def test_what_nobody_foresaw_on_the_short_way_is_told_as_a_fault_of_the_server(desk: Desk) -> None:
    headers = await desk.bearer()
    await desk.store.write(lambda tx: tx.execute("UPDATE tokens SET labels = 'no JSON'"))
    answer = await desk.http.get("/v1/videos/video_1", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "server_error")
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tokens SET state = 'quarantined'",
        "UPDATE tokens SET scopes = 'videos:read'",
        "UPDATE tokens SET expires_at = 1",
        "DELETE FROM tokens",
    ],
)
async def test_a_row_that_changed_between_check_and_commit_is_judged_anew(desk: Desk, change: str) -> None:
    issued = await desk.issue()
    token = await service.show(desk.store, issued["accessor"])

    def work(tx: Connection) -> None:
        assert service.ensure_still_good(tx, token, service.WRITE, desk.clock.now()) == token
        tx.execute(change)
        service.ensure_still_good(tx, token, service.WRITE, desk.clock.now())

    with pytest.raises((InvalidCredentials, InsufficientScope)):
        await desk.store.write(work)


async def test_ids_of_later_videos_stand_later_and_end_in_the_reference_of_their_clips(desk: Desk) -> None:
    headers = await desk.bearer()
    ids = []
    for _ in range(5):
        ids.append((await desk.create(headers))["id"])
        desk.clock.advance(0.001)
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"video_[0-9a-f]{32}", id) for id in ids)
    assert len({reference_of(id) for id in ids}) == 5
    ending = reference_text(reference_of(ids[3]))
    queued = await desk.store.read(lambda tx: events.first_of_job(tx, ending))
    assert queued is not None
    assert queued.job == ids[3]
