import asyncio
from typing import Any

import httpx
import pytest

from desk import Desk, DeskMaker, bearer_of
from gateway.clients import ClientBook
from gateway.clients.book import is_poll, wait_told
from gateway.clients.habits import HABITS
from gateway.errors import NotFound, RateLimitExceeded, StoreUnavailable

pytestmark = pytest.mark.anyio


async def client_of(desk: Desk, issued: dict[str, Any]) -> dict[str, Any]:
    answer = await desk.http.get(f"/control/clients/{issued['accessor']}", headers=desk.admin)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def counts(desk: Desk, issued: dict[str, Any]) -> dict[str, int]:
    return {one["finding"]: one["count"] for one in (await client_of(desk, issued))["findings"]}


async def spent(desk: Desk) -> tuple[dict[str, Any], httpx.Response]:
    """A token of tier free that has just been refused."""
    issued = await desk.issue(tier="free")
    for _ in range(61):
        refused = await desk.http.get("/v1/models", headers=bearer_of(issued))
    assert refused.status_code == 429
    return issued, refused


# polling


async def test_a_poll_that_comes_too_early_is_found_with_an_example(desk: Desk) -> None:
    issued = await desk.issue()
    video = await desk.create(bearer_of(issued))
    path = f"/v1/videos/{video['id']}"
    told = int((await desk.http.get(path, headers=bearer_of(issued))).headers["openai-poll-after-ms"])
    desk.clock.advance(0.79 * told / 1000)
    await desk.http.get(path, headers=bearer_of(issued))
    desk.clock.advance(0.81 * told / 1000)
    await desk.http.get(path, headers=bearer_of(issued))
    (finding,) = (await client_of(desk, issued))["findings"]
    assert (finding["finding"], finding["count"], finding["kind"]) == ("polled_faster_than_told", 1, "tolerated")
    assert finding["example"]["route"] == f"GET {path}"
    assert f"told to wait {told} ms" in finding["example"]["told"]


async def test_polling_at_the_told_pace_for_long_is_well_behaved_and_never_a_retry(desk: Desk) -> None:
    issued = await desk.issue()
    video = await desk.create(bearer_of(issued))
    for _ in range(100):
        answer = await desk.http.get(f"/v1/videos/{video['id']}", headers=bearer_of(issued))
        desk.clock.advance(int(answer.headers["openai-poll-after-ms"]) / 1000)
    report = await client_of(desk, issued)
    assert (report["verdict"], report["findings"], report["advice"]) == ("well-behaved", [], [])


async def test_polling_in_a_tight_loop_needs_work(desk: Desk) -> None:
    issued = await desk.issue()
    video = await desk.create(bearer_of(issued))
    for _ in range(20):
        await desk.http.get(f"/v1/videos/{video['id']}", headers=bearer_of(issued))
        desk.clock.advance(0.02)
    report = await client_of(desk, issued)
    assert report["verdict"] == "needs work"
    assert report["advice"] == [HABITS["polled_faster_than_told"].advice]
    assert await counts(desk, issued) == {"polled_faster_than_told": 19}


async def test_several_videos_may_be_polled_at_once(desk: Desk) -> None:
    issued = await desk.issue()
    videos = [await desk.create(bearer_of(issued)) for _ in range(10)]
    for video in videos:
        await desk.http.get(f"/v1/videos/{video['id']}", headers=bearer_of(issued))
    assert await counts(desk, issued) == {}


async def test_the_vendors_poll_helper_may_keep_its_first_hint(desk: Desk) -> None:
    book = ClientBook()
    scope: dict[str, Any] = {"method": "GET", "path": "/v1/videos/video_1", "headers": []}
    helper = {**scope, "headers": [(b"x-stainless-poll-helper", b"true")]}
    own_pace = {**scope, "headers": [*helper["headers"], (b"x-stainless-custom-poll-interval", b"50")]}
    for number, (kind, found) in enumerate([(helper, 0), (scope, 1), (own_pace, 1)]):
        video = f"video_{number}"
        book.polled("tok", video, kind, 100.0, 200)
        book.polled("tok", video, kind, 100.2, 2000)
        book.polled("tok", video, kind, 100.4, 2000)
        assert sum(one.count for one in book._pending.values()) == found
        book.clear()


async def test_an_ended_video_is_forgotten_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.clients.book.MAX_VIDEOS", 3)
    monkeypatch.setattr("gateway.clients.book.MAX_TOKENS", 3)
    book, scope = ClientBook(), {"method": "GET", "path": "/", "headers": []}
    for number in range(10):
        book.polled("tok", f"video_{number}", scope, 1.0, 200)
        book.refused(f"tok_{number}", NotFound("gone"), scope, 1.0)
    assert list(book._videos) == ["video_7", "video_8", "video_9"]
    assert list(book._refusals) == ["tok_7", "tok_8", "tok_9"]
    book.polled("tok", "video_8", scope, 9.0, None)
    assert list(book._videos) == ["video_7", "video_9"]


# waiting as told


async def test_a_client_that_waits_as_told_is_praised(desk: Desk) -> None:
    issued, refused = await spent(desk)
    desk.clock.advance(int(refused.headers["retry-after-ms"]) / 1000)
    assert (await desk.http.get("/v1/models", headers=bearer_of(issued))).status_code == 200
    report = await client_of(desk, issued)
    (finding,) = report["findings"]
    assert (finding["finding"], finding["kind"]) == ("retried_with_backoff", "good")
    assert report["verdict"] == "well-behaved"


async def test_a_client_that_comes_back_early_is_told(desk: Desk) -> None:
    issued, _ = await spent(desk)
    for _ in range(4):
        desk.clock.advance(0.001)
        await desk.http.get("/v1/models", headers=bearer_of(issued))  # under way when the refusal was sent
    assert "ignored_retry_after" not in await counts(desk, issued)
    desk.clock.advance(0.5)
    for _ in range(4):
        desk.clock.advance(0.01)
        await desk.http.get("/v1/models", headers=bearer_of(issued))
    report = await client_of(desk, issued)
    assert report["verdict"] == "needs work"
    (finding,) = [one for one in report["findings"] if one["finding"] == "ignored_retry_after"]
    assert (finding["count"], finding["kind"]) == (4, "fault")
    assert finding["example"]["told"].startswith("429 rate_limit_exceeded, told to wait 1 s; came after 0.5")


async def test_a_full_line_concerns_new_videos_not_polls(desk: Desk) -> None:
    issued = await desk.issue(tier="free")
    videos = [await desk.create(bearer_of(issued)) for _ in range(5)]
    refused = await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=bearer_of(issued))
    assert refused.json()["error"]["code"] == "queued_jobs_exceeded"
    assert int(refused.headers["retry-after"]) > 1
    desk.clock.advance(1)
    await desk.http.get(f"/v1/videos/{videos[0]['id']}", headers=bearer_of(issued))
    assert await counts(desk, issued) == {}
    await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=bearer_of(issued))
    assert await counts(desk, issued) == {"ignored_retry_after": 1}


async def test_ten_refusals_in_a_second_are_a_storm(desk: Desk) -> None:
    issued, _ = await spent(desk)
    for _ in range(8):
        await desk.http.get("/v1/models", headers=bearer_of(issued))
    assert "retry_storm" not in await counts(desk, issued)
    await desk.http.get("/v1/models", headers=bearer_of(issued))
    assert (await counts(desk, issued))["retry_storm"] == 1
    assert (await client_of(desk, issued))["verdict"] == "needs work"


async def test_ten_refusals_in_ten_seconds_are_none(desk: Desk) -> None:
    issued = await desk.issue()
    for _ in range(12):
        await desk.http.get("/v1/videos/video_none", headers=bearer_of(issued))
        desk.clock.advance(0.9)
    assert await counts(desk, issued) == {}


# 401


async def test_calls_after_the_revocation_are_counted_with_first_and_last(desk: Desk) -> None:
    issued = await desk.issue()
    video = await desk.create(bearer_of(issued))
    await desk.revoke({"accessor": issued["accessor"]})
    first = desk.clock.now()
    for _ in range(9):
        refused = await desk.http.get(f"/v1/videos/{video['id']}", headers=bearer_of(issued))
        assert refused.status_code == 401
        desk.clock.advance(2)
    report = await client_of(desk, issued)
    (finding,) = report["findings"]
    assert (finding["finding"], finding["count"]) == ("kept_calling_after_revocation", 9)
    assert (finding["first_at"], finding["last_at"]) == (first, first + 16)
    assert (report["state"], report["verdict"]) == ("revoked", "needs work")


async def test_learning_of_the_revocation_is_no_fault(desk: Desk) -> None:
    issued = await desk.issue()
    videos = [await desk.create(bearer_of(issued)) for _ in range(4)]
    await desk.revoke({"accessor": issued["accessor"]})
    for video in videos:
        await desk.http.get(f"/v1/videos/{video['id']}", headers=bearer_of(issued))
    report = await client_of(desk, issued)
    assert report["verdict"] == "well-behaved"
    assert [one["kind"] for one in report["findings"]] == ["tolerated"]


async def test_a_repeated_request_after_401_is_a_retry(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.revoke({"accessor": issued["accessor"]})
    for _ in range(3):
        await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=bearer_of(issued))
    assert await counts(desk, issued) == {"kept_calling_after_revocation": 3, "retried_401": 2}
    assert (await client_of(desk, issued))["verdict"] == "needs work"


async def test_a_suspended_key_is_not_a_revoked_one(desk: Desk) -> None:
    issued = await desk.issue()
    path = f"/control/tokens/{issued['accessor']}"
    await desk.http.patch(path, json={"state": "suspended"}, headers=desk.admin)
    for count in ("0", "1"):
        headers = {**bearer_of(issued), "x-stainless-retry-count": count}
        await desk.http.get("/v1/models", headers=headers)
    assert await counts(desk, issued) == {"retried_401": 1}


async def test_unknown_bearers_leave_no_trace(desk: Desk) -> None:
    for _ in range(20):
        await desk.http.get("/v1/videos", headers={"Authorization": "Bearer nonsense"})
    listed = await desk.http.get("/control/clients", headers=desk.admin)
    assert listed.json() == {"data": []}


# downloads


async def test_late_downloads_are_found_by_bearer_and_by_link(make_desk: DeskMaker) -> None:
    desk = await make_desk(clip_seconds=60, link_seconds=30)
    issued = await desk.issue()
    video = await desk.create(bearer_of(issued))
    await desk.finished()
    link = await desk.http.post(f"/v1/videos/{video['id']}/link", headers=bearer_of(issued))
    desk.clock.advance(31)
    assert (await desk.http.get(link.json()["url"])).json()["error"]["code"] == "link_expired"
    assert await counts(desk, issued) == {"downloaded_after_expiry": 1}
    desk.clock.advance(30)
    late = await desk.http.get(f"/v1/videos/{video['id']}/content", headers=bearer_of(issued))
    assert late.json()["error"]["code"] == "content_expired"
    assert await counts(desk, issued) == {"downloaded_after_expiry": 2}


async def test_a_forged_link_accuses_nobody(desk: Desk) -> None:
    issued = await desk.issue()
    video = await desk.create(bearer_of(issued))
    await desk.finished()
    await desk.http.get(f"/media/{video['id']}?exp=1&sig=00")
    assert await counts(desk, issued) == {}


# the report


async def test_the_list_holds_who_was_there_and_can_be_narrowed(desk: Desk) -> None:
    used, idle = await desk.issue("a", "x"), await desk.issue("c", "x")
    desk.clock.advance(1)
    other = await desk.issue("b", "y")
    for one in (used, other):
        await desk.http.get("/v1/models", headers=bearer_of(one))
    listed = (await desk.http.get("/control/clients", headers=desk.admin)).json()["data"]
    assert [one["accessor"] for one in listed] == [used["accessor"], other["accessor"]]
    assert listed[0] == await client_of(desk, used)
    narrowed = await desk.http.get("/control/clients?cohort=x", headers=desk.admin)
    assert [one["accessor"] for one in narrowed.json()["data"]] == [used["accessor"]]
    assert (await client_of(desk, idle))["verdict"] == "well-behaved"
    missing = await desk.http.get("/control/clients/tok_none", headers=desk.admin)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "token_not_found")


async def test_counts_add_up_over_flushes_and_a_reset_clears_them(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.revoke({"accessor": issued["accessor"]})
    for _ in range(3):
        await desk.http.get("/v1/models", headers=bearer_of(issued))
        assert (await counts(desk, issued))["kept_calling_after_revocation"]
    assert (await counts(desk, issued))["kept_calling_after_revocation"] == 3
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert (await desk.http.get("/control/clients", headers=desk.admin)).json() == {"data": []}


async def test_what_could_not_be_written_is_written_later(desk: Desk) -> None:
    class Full:
        async def write(self, work: Any, *, brief: bool = False) -> Any:
            raise StoreUnavailable("The disk is full.")

    issued, scope = await desk.issue(), {"method": "GET", "path": "/v1/models", "headers": []}
    book = ClientBook()
    for moment in (1.0, 2.0):
        for _ in range(10):
            book.refused(issued["accessor"], NotFound("gone"), scope, moment)
        with pytest.raises(StoreUnavailable):
            await book.flush(Full())  # type: ignore[arg-type]
    await book.flush(desk.store)
    (finding,) = (await client_of(desk, issued))["findings"]
    assert (finding["finding"], finding["count"], finding["first_at"], finding["last_at"]) == ("retry_storm", 2, 1, 2)


async def test_the_gathering_goes_on_after_the_store_failed(desk: Desk) -> None:
    class Flaky:
        failures = 1

        async def write(self, work: Any, *, brief: bool = False) -> Any:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("The disk is full.")
            return await desk.store.write(work)

    issued, scope = await desk.issue(), {"method": "GET", "path": "/v1/models", "headers": []}
    book, flaky = ClientBook(), Flaky()
    for _ in range(10):
        book.refused(issued["accessor"], NotFound("gone"), scope, 1.0)
    gathering = asyncio.create_task(book.run(flaky, every=0.001))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        while await counts(desk, issued) != {"retry_storm": 1}:
            await asyncio.sleep(0.001)
    gathering.cancel()
    assert flaky.failures == 0


@pytest.mark.parametrize(
    ("verb", "path", "poll"),
    [
        ("GET", "/v1/videos/video_1", True),
        ("GET", "/v1/videos", False),
        ("POST", "/v1/videos", False),
        ("DELETE", "/v1/videos/video_1", False),
        ("GET", "/v1/videos/video_1/content", False),
        ("GET", "/fal/leakdrill/turbo/requests/video_1/status", True),
        ("PUT", "/fal/leakdrill/turbo/requests/video_1/cancel", False),
        ("GET", "/replicate/v1/predictions/video_1", True),
        ("GET", "/replicate/v1/predictions", False),
        ("GET", "/together/v2/videos/video_1", True),
    ],
)
async def test_which_requests_are_polls(verb: str, path: str, poll: bool) -> None:
    assert is_poll(verb, path) is poll


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "3", "retry-after-ms": "2500"}, 2.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ],
)
async def test_the_wait_that_an_error_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_told(RateLimitExceeded("slower", headers=headers)) == seconds
