from typing import Any

import pytest

from desk import Desk, DeskMaker
from gateway.jobs import lifecycle
from gateway.videos.schemas import Video

pytestmark = pytest.mark.anyio

KEYS = {
    "id",
    "object",
    "model",
    "status",
    "progress",
    "created_at",
    "completed_at",
    "expires_at",
    "prompt",
    "size",
    "seconds",
    "remixed_from_video_id",
    "error",
}


@pytest.mark.parametrize("form", ["json", "multipart", "urlencoded"])
async def test_every_form_of_body_makes_the_same_video(desk: Desk, form: str) -> None:
    fields = {"prompt": "a dog on a skateboard", "seconds": "2", "size": "854x480", "model": "turbo", "seed": "7"}
    headers = await desk.bearer()
    forms: dict[str, dict[str, Any]] = {
        "json": {"json": fields},
        "multipart": {"files": {name: (None, value) for name, value in fields.items()}},
        "urlencoded": {"data": fields},
    }
    answer = await desk.http.post("/v1/videos", headers=headers, **forms[form])
    video = answer.json()
    assert set(video) == KEYS
    assert video | {"id": ""} == {
        "id": "",
        "object": "video",
        "model": "turbo",
        "status": "queued",
        "progress": 0,
        "created_at": 1_732_627_800,
        "completed_at": None,
        "expires_at": None,
        "prompt": "a dog on a skateboard",
        "size": "854x480",
        "seconds": "2",
        "remixed_from_video_id": None,
        "error": None,
    }
    assert answer.headers["leakdrill-seed"] == "7"
    assert int(answer.headers["openai-poll-after-ms"]) > 0


async def test_nulls_in_json_are_absent_fields(desk: Desk) -> None:
    video = await desk.create(await desk.bearer(), seconds=None, size=None, seed=None)
    assert (video["seconds"], video["size"]) == ("4", "1280x720")


async def test_a_known_vendor_name_is_echoed_and_rendered_by_ours(desk: Desk) -> None:
    video = await desk.create(await desk.bearer(), model="sora-2")
    assert video["model"] == "sora-2"
    assert (await desk.claimed()).request.variant == "standard"


async def test_place_in_line_falls_to_zero_and_then_goes(desk: Desk) -> None:
    headers = await desk.bearer()
    videos = [await desk.create(headers) for _ in range(3)]

    async def ahead() -> list[str | None]:
        answers = [await desk.http.get(f"/v1/videos/{video['id']}", headers=headers) for video in videos]
        return [answer.headers.get("leakdrill-queue-ahead") for answer in answers]

    assert await ahead() == ["0", "1", "2"]
    await desk.claimed()
    assert await ahead() == [None, "0", "1"]
    await desk.finished()
    assert await ahead() == [None, None, "0"]


async def test_progress_and_steps_are_shown_while_it_runs(desk: Desk) -> None:
    headers = await desk.bearer()
    await desk.create(headers)
    job = await desk.claimed()
    held = lifecycle.Held(job.id, job.attempt, job.accessor, 40, 12, 30, moved=True)
    await lifecycle.beat(desk.store, "w1", [held], now=desk.clock.now(), lease_seconds=5)
    answer = await desk.http.get(f"/v1/videos/{job.id}", headers=headers)
    assert (answer.json()["status"], answer.json()["progress"]) == ("in_progress", 40)
    assert answer.headers["leakdrill-step"] == "12/30"
    assert "leakdrill-queue-ahead" not in answer.headers


async def test_a_video_belongs_to_its_token(desk: Desk) -> None:
    mine, other = await desk.bearer("tester-001"), await desk.bearer("tester-002")
    video = await desk.create(mine)
    for method, path in [
        ("GET", f"/v1/videos/{video['id']}"),
        ("DELETE", f"/v1/videos/{video['id']}"),
        ("GET", f"/v1/videos/{video['id']}/content"),
        ("POST", f"/v1/videos/{video['id']}/cancel"),
        ("POST", f"/v1/videos/{video['id']}/link"),
        ("GET", f"/v1/videos?after={video['id']}"),
    ]:
        answer = await desk.http.request(method, path, headers=other)
        assert answer.status_code == 404, (method, path)
        assert answer.json()["error"]["code"] == "not_found"
    assert (await desk.http.get("/v1/videos", headers=other)).json()["data"] == []
    assert (await desk.http.get(f"/v1/videos/{video['id']}", headers=mine)).status_code == 200


async def test_pages_follow_last_id_in_both_orders(desk: Desk) -> None:
    headers = await desk.bearer()
    made = [(await desk.create(headers))["id"] for _ in range(5)]

    async def walk(order: str) -> list[str]:
        seen: list[str] = []
        params: dict[str, Any] = {"limit": 2, "order": order}
        while True:
            page = (await desk.http.get("/v1/videos", params=params, headers=headers)).json()
            assert page["object"] == "list"
            seen += [video["id"] for video in page["data"]]
            assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
            if not page["has_more"]:
                return seen
            params["after"] = page["last_id"]

    assert await walk("asc") == made
    assert await walk("desc") == made[::-1]


async def test_a_page_goes_on_behind_a_video_deleted_meanwhile(desk: Desk) -> None:
    headers = await desk.bearer()
    made = [(await desk.create(headers))["id"] for _ in range(3)]
    await desk.http.delete(f"/v1/videos/{made[1]}", headers=headers)
    answer = await desk.http.get("/v1/videos", params={"after": made[1], "order": "asc"}, headers=headers)
    assert [video["id"] for video in answer.json()["data"]] == made[2:]


async def test_an_empty_list_has_null_ends(desk: Desk) -> None:
    page = (await desk.http.get("/v1/videos", headers=await desk.bearer())).json()
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


async def test_deleting_removes_the_file_and_the_video(desk: Desk) -> None:
    headers = await desk.bearer()
    video = await desk.create(headers)
    await desk.finished()
    file = desk.settings.media / f"{video['id']}.1.mp4"
    assert file.exists()
    answer = await desk.http.delete(f"/v1/videos/{video['id']}", headers=headers)
    assert answer.json() == {"id": video["id"], "deleted": True, "object": "video.deleted"}
    assert not file.exists()
    again = await desk.http.delete(f"/v1/videos/{video['id']}", headers=headers)
    assert again.status_code == 404


async def test_cancelling_ends_a_job_once(desk: Desk) -> None:
    headers = await desk.bearer()
    video = await desk.create(headers)
    path = f"/v1/videos/{video['id']}/cancel"
    first = (await desk.http.post(path, headers=headers)).json()
    assert (first["status"], first["error"]["code"]) == ("failed", "cancelled")
    desk.clock.advance(10)
    assert (await desk.http.post(path, headers=headers)).json() == first
    assert [event["kind"] for event in await desk.events("job.")] == ["job.queued", "job.cancelled"]
    assert await desk.claim() is None


async def test_a_full_line_is_refused_with_a_time_to_wait(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_limit=2)
    headers = await desk.bearer()
    for _ in range(2):
        await desk.create(headers)
    answer = await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=headers)
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "queue_full"
    assert 1 <= int(answer.headers["retry-after"]) <= 120
    await desk.claimed()
    await desk.create(headers)


async def test_models_say_what_they_take(desk: Desk) -> None:
    headers = await desk.bearer()
    models = (await desk.http.get("/v1/models", headers=headers)).json()
    assert [model["id"] for model in models["data"]] == ["standard", "turbo"]
    assert "1920x1080" in models["data"][0]["sizes"]
    assert all(model["seconds"] == [*range(1, 13), 16, 20] for model in models["data"])
    assert (await desk.http.get("/v1/models/sora-2", headers=headers)).json()["id"] == "sora-2"
    assert (await desk.http.get("/v1/models/nope", headers=headers)).status_code == 404


async def test_the_openapi_document_has_the_whole_video(desk: Desk) -> None:
    document = (await desk.http.get("/openapi.json")).json()
    assert set(document["components"]["schemas"]["Video"]["required"]) == KEYS - {"object"}
    assert set(Video.model_fields) == KEYS


async def test_content_before_it_is_ready_is_a_conflict(desk: Desk) -> None:
    headers = await desk.bearer()
    video = await desk.create(headers)
    answer = await desk.http.get(f"/v1/videos/{video['id']}/content", headers=headers)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "video_not_ready"
    assert answer.headers["x-should-retry"] == "false"


async def test_content_ranges_and_heads(desk: Desk) -> None:
    headers = await desk.bearer()
    video = await desk.create(headers)
    await desk.finished(b"0123456789")
    link = (await desk.http.post(f"/v1/videos/{video['id']}/link", headers=headers)).json()["url"]
    assert link.startswith("http://gateway.test/media/")
    for url, auth in [(f"/v1/videos/{video['id']}/content", headers), (link, {})]:
        whole = await desk.http.get(url, headers=auth)
        assert (whole.status_code, whole.content) == (200, b"0123456789")
        assert whole.headers["content-type"] == "video/mp4"
        head = await desk.http.head(url, headers=auth)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
        part = await desk.http.get(url, headers={**auth, "Range": "bytes=2-4"})
        assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
        tail = await desk.http.get(url, headers={**auth, "Range": "bytes=-3"})
        assert (tail.status_code, tail.content) == (206, b"789")
        past = await desk.http.get(url, headers={**auth, "Range": "bytes=50-"})
        assert past.status_code == 416
        assert past.json()["error"]["code"] == "range_not_satisfiable"
        assert past.headers["content-range"].endswith("*/10")
        broken = await desk.http.get(url, headers={**auth, "Range": "lines=1"})
        assert (broken.status_code, broken.json()["error"]["param"]) == (400, "range")


async def test_a_clip_expires(desk: Desk) -> None:
    headers = await desk.bearer()
    video = await desk.create(headers)
    await desk.finished()
    desk.clock.advance(desk.settings.clip_seconds + 1)
    answer = await desk.http.get(f"/v1/videos/{video['id']}/content", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "content_expired")


async def test_links_that_were_not_signed_or_are_over(desk: Desk) -> None:
    headers = await desk.bearer()
    video = await desk.create(headers)
    await desk.finished()
    link = (await desk.http.post(f"/v1/videos/{video['id']}/link", headers=headers)).json()["url"]
    for forged in [
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace("exp=1", "exp=2"),
        link.replace("exp=", "exp=x"),
        link.replace(video["id"], "video_" + "0" * 32),
        f"/media/{video['id']}",
    ]:
        answer = await desk.http.get(forged)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "invalid_link"), forged
    desk.clock.advance(desk.settings.link_seconds)
    late = await desk.http.get(link)
    assert (late.status_code, late.json()["error"]["code"]) == (403, "link_expired")
