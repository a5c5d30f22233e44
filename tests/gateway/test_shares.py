"""A clip that plays without a bearer: asked for, approved, withdrawn, and dead with its token."""

from __future__ import annotations

from typing import Any

import pytest

from desk import Desk, DeskMaker, bearer_of

pytestmark = pytest.mark.anyio

CLIP = b"0123456789"


@pytest.fixture
async def strict(make_desk: DeskMaker) -> Desk:
    """A desk where an operator must approve."""
    return await make_desk(share_approval=True)


async def clip(desk: Desk, headers: dict[str, str]) -> str:
    video = await desk.create(headers)
    await desk.finished(CLIP)
    id: str = video["id"]
    return id


async def share(desk: Desk, headers: dict[str, str], id: str, verb: str = "POST") -> dict[str, Any]:
    answer = await desk.http.request(verb, f"/v1/videos/{id}/share", headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def decide(desk: Desk, id: str, decision: str, **more: Any) -> int:
    body = {"decision": decision, **more}
    return (await desk.http.post(f"/control/shares/{id}", json=body, headers=desk.admin)).status_code


async def listed(desk: Desk, **which: str) -> list[tuple[str, str, bool]]:
    answer = await desk.http.get("/control/shares", params=which, headers=desk.admin)
    return [(one["video_id"], one["state"], one["live"]) for one in answer.json()["data"]]


async def test_without_approval_a_share_plays_at_once(desk: Desk) -> None:
    headers = await desk.bearer()
    id = await clip(desk, headers)
    assert (await share(desk, headers, id, "GET"))["state"] == "private"
    shared = await share(desk, headers, id)
    url = shared["url"]
    assert url.startswith("http://gateway.test/s/")
    assert len(url.rpartition("/")[2]) == 32  # 24 random bytes
    assert {name: shared[name] for name in ("object", "video_id", "state")} == {
        "object": "video.share",
        "video_id": id,
        "state": "approved",
    }
    played = await desk.http.get(url)
    assert (played.status_code, played.content, played.headers["content-type"]) == (200, CLIP, "video/mp4")
    assert played.headers["cache-control"] == "private, no-cache"
    kept = await desk.http.get(url, headers={"If-None-Match": played.headers["etag"]})
    assert (kept.status_code, kept.content) == (304, b"")
    head = await desk.http.head(url)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")
    part = await desk.http.get(url, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    beyond = await desk.http.get(url, headers={"Range": "bytes=99-"})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "range_not_satisfiable")
    assert await share(desk, headers, id) == shared
    kinds = [(one["kind"], one["actor"]) for one in await desk.events("share.")]
    assert kinds == [("share.requested", "tester-001"), ("share.approved", "gateway")]


async def test_with_approval_an_operator_decides(strict: Desk) -> None:
    headers = await strict.bearer()
    first, second = await clip(strict, headers), await clip(strict, headers)
    asked = await share(strict, headers, first)
    assert (asked["state"], asked["url"]) == ("pending", None)
    assert await share(strict, headers, first) == asked
    assert await decide(strict, first, "approve") == 200
    await share(strict, headers, second)
    assert await listed(strict) == [(second, "pending", False), (first, "approved", True)]
    assert await listed(strict, state="approved") == [(first, "approved", True)]
    shared = await share(strict, headers, first, "GET")
    assert (await strict.http.get(shared["url"])).content == CLIP
    assert await decide(strict, second, "refuse", reason="not fit to be shown") == 200
    assert (await share(strict, headers, second, "GET"))["state"] == "refused"
    (refused,) = await strict.events("share.refused")
    assert (refused["actor"], refused["job"], refused["data"]["reason"]) == ("admin", second, "not fit to be shown")
    assert await decide(strict, second, "approve") == 409
    assert (await share(strict, headers, second))["state"] == "pending"  # asked for again
    assert await decide(strict, second, "approve") == 200


async def test_refusing_an_approved_share_ends_it(strict: Desk) -> None:
    headers = await strict.bearer()
    id = await clip(strict, headers)
    await share(strict, headers, id)
    await decide(strict, id, "approve")
    url = (await share(strict, headers, id, "GET"))["url"]
    assert await decide(strict, id, "refuse") == 200
    assert (await strict.http.get(url)).status_code == 404
    assert (await share(strict, headers, id, "GET"))["url"] is None


async def test_a_withdrawn_link_never_works_again(desk: Desk) -> None:
    headers = await desk.bearer()
    id = await clip(desk, headers)
    first = (await share(desk, headers, id))["url"]
    gone = await share(desk, headers, id, "DELETE")
    assert (gone["state"], gone["url"]) == ("private", None)
    assert await share(desk, headers, id, "DELETE") == gone
    assert (await desk.http.get(first)).status_code == 404
    second = (await share(desk, headers, id))["url"]
    assert second != first
    assert [(await desk.http.get(url)).status_code for url in (first, second)] == [404, 200]
    assert len(await desk.events("share.withdrawn")) == 1


async def _revoked(desk: Desk, token: dict[str, Any], id: str) -> None:
    await desk.revoke({"accessor": token["accessor"]})


async def _suspended(desk: Desk, token: dict[str, Any], id: str) -> None:
    await desk.http.patch(f"/control/tokens/{token['accessor']}", json={"state": "suspended"}, headers=desk.admin)


async def _token_expired(desk: Desk, token: dict[str, Any], id: str) -> None:
    desk.clock.advance(3600)


async def _deleted(desk: Desk, token: dict[str, Any], id: str) -> None:
    await desk.http.delete(f"/v1/videos/{id}", headers=bearer_of(token))


async def _file_gone(desk: Desk, token: dict[str, Any], id: str) -> None:
    for path in desk.settings.media.iterdir():
        path.unlink()


async def _withdrawn(desk: Desk, token: dict[str, Any], id: str) -> None:
    await share(desk, bearer_of(token), id, "DELETE")


async def _reset(desk: Desk, token: dict[str, Any], id: str) -> None:
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)


@pytest.mark.parametrize("end", [_revoked, _suspended, _token_expired, _deleted, _file_gone, _withdrawn, _reset])
@pytest.mark.parametrize("verb", ["GET", "HEAD"])
async def test_whatever_ends_a_share_the_answer_is_that_of_a_link_that_never_was(
    desk: Desk, end: Any, verb: str
) -> None:
    token = await desk.issue(expires_in=3600)
    id = await clip(desk, bearer_of(token))
    url = (await share(desk, bearer_of(token), id))["url"]
    assert (await desk.http.request(verb, url)).status_code == 200
    await end(desk, token, id)
    unknown = "http://gateway.test/s/" + "A" * 32
    asked: list[dict[str, str]] = [{}, {"Range": "bytes=0-3"}, {"If-None-Match": "*"}]
    answers = [await desk.http.request(verb, one, headers=more) for one in (url, unknown) for more in asked]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(set(answer.headers) - {"x-request-id"})) for answer in answers}) == 1


async def test_a_clip_that_has_expired_does_not_play(make_desk: DeskMaker) -> None:
    desk = await make_desk(clip_seconds=60)
    headers = await desk.bearer()
    id = await clip(desk, headers)
    url = (await share(desk, headers, id))["url"]
    desk.clock.advance(60)
    assert (await desk.http.get(url)).status_code == 404
    assert await listed(desk) == [(id, "approved", False)]
    again = await desk.http.post(f"/v1/videos/{id}/share", headers=headers)
    assert (again.status_code, again.json()["error"]["code"]) == (404, "content_expired")


async def test_a_suspended_tokens_share_comes_back_with_it(desk: Desk) -> None:
    token = await desk.issue()
    id = await clip(desk, bearer_of(token))
    url = (await share(desk, bearer_of(token), id))["url"]
    await _suspended(desk, token, id)
    assert (await desk.http.get(url)).status_code == 404
    await desk.http.patch(f"/control/tokens/{token['accessor']}", json={"state": "active"}, headers=desk.admin)
    assert (await desk.http.get(url)).status_code == 200


async def test_nothing_can_be_approved_for_a_revoked_token(strict: Desk) -> None:
    token = await strict.issue()
    id = await clip(strict, bearer_of(token))
    await share(strict, bearer_of(token), id)
    await strict.revoke({"accessor": token["accessor"]})
    assert await decide(strict, id, "approve") == 409
    assert await decide(strict, id, "refuse") == 200
    assert await listed(strict) == [(id, "refused", False)]


async def test_what_is_not_ready_or_not_yours_is_not_shared(desk: Desk) -> None:
    headers, other = await desk.bearer(), await desk.bearer("tester-002")
    video = await desk.create(headers)
    path = f"/v1/videos/{video['id']}/share"
    early = await desk.http.post(path, headers=headers)
    assert (early.status_code, early.json()["error"]["code"]) == (409, "video_not_ready")
    await desk.finished()
    verbs = ("POST", "GET", "DELETE")
    assert [(await desk.http.request(verb, path, headers=other)).status_code for verb in verbs] == [404] * 3
    assert [(await desk.http.request(verb, path)).status_code for verb in verbs] == [401] * 3
    reader = await desk.bearer("reader", scopes=["videos:read"])
    assert [(await desk.http.request(verb, path, headers=reader)).status_code for verb in verbs] == [403, 404, 403]


@pytest.mark.parametrize("body", [{}, {"decision": "maybe"}, {"decision": "approve", "x": 1}, {"decision": None}])
async def test_a_decision_must_be_one(strict: Desk, body: dict[str, Any]) -> None:
    id = await clip(strict, await strict.bearer())
    answer = await strict.http.post(f"/control/shares/{id}", json=body, headers=strict.admin)
    assert answer.status_code == 422
    assert await decide(strict, id, "approve") == 409  # never asked for
    assert await decide(strict, "video_x", "approve") == 404


async def test_the_list_is_for_the_admin_and_holds_no_link(desk: Desk) -> None:
    headers = await desk.bearer()
    id = await clip(desk, headers)
    url = (await share(desk, headers, id))["url"]
    texts = [(await desk.http.get(path, headers=desk.admin)).text for path in ("/control/shares", "/control/events")]
    assert all(url.rpartition("/")[2] not in text for text in texts)
    assert (await desk.http.get("/control/shares", headers=headers)).status_code == 401
    answer = await desk.http.get("/control/shares", params={"state": "private"}, headers=desk.admin)
    assert answer.status_code == 422


@pytest.mark.parametrize("share_id", ["", "x", "%00", "a" * 4000, "..%2f..%2fsecret.key", "' OR 1=1 --", "é"])
async def test_odd_links_are_not_found(desk: Desk, share_id: str) -> None:
    answer = await desk.http.get(f"/s/{share_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
