import asyncio
import io
import threading
from typing import Any

import httpx
import pytest
from PIL import Image

from desk import START, Desk, bearer_of
from gateway.errors import StoreUnavailable
from gateway.limits import repeats
from gateway.store import Connection, idempotency

pytestmark = pytest.mark.anyio

PROMPT = {"prompt": "a dog on a skateboard"}
FIRST, RETRY = {"x-stainless-retry-count": "0"}, {"x-stainless-retry-count": "1"}


async def post(desk: Desk, headers: dict[str, str], path: str = "/v1/videos", **options: Any) -> httpx.Response:
    return await desk.http.post(path, headers=headers, **(options or {"json": PROMPT}))


async def videos(desk: Desk, headers: dict[str, str]) -> list[str]:
    listed = (await desk.http.get("/v1/videos?order=asc&limit=100", headers=headers)).json()["data"]
    return [video["id"] for video in listed]


# with a key


async def test_the_same_key_and_body_make_one_video_and_show_it_as_it_stands(desk: Desk) -> None:
    bearer = await desk.bearer()
    headers = {**bearer, "Idempotency-Key": "order 17"}
    first = await post(desk, headers)
    assert first.status_code == 200
    assert "idempotent-replayed" not in first.headers
    await desk.finished()
    again = await post(desk, headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "completed")
    assert again.headers["leakdrill-seed"] == first.headers["leakdrill-seed"]
    assert await videos(desk, bearer) == [first.json()["id"]]
    assert len(await desk.events("job.queued")) == 1


async def test_a_key_is_its_tokens_own(desk: Desk) -> None:
    key = {"Idempotency-Key": "k"}
    one = await post(desk, {**await desk.bearer("tester-001"), **key})
    two = await post(desk, {**await desk.bearer("tester-002"), **key})
    assert one.json()["id"] != two.json()["id"]


async def test_a_key_with_another_request_is_refused(desk: Desk) -> None:
    headers = {**await desk.bearer(), "Idempotency-Key": "k"}
    video = (await post(desk, headers)).json()["id"]
    await desk.finished()
    others = [
        await post(desk, headers, json={"prompt": "a cat"}),
        await post(desk, headers, json={**PROMPT, "seed": 1}),
        await post(desk, headers, f"/v1/videos/{video}/remix"),
    ]
    for other in others:
        assert other.status_code == 409
        assert other.json()["error"]["code"] == "idempotency_key_reused"
        assert other.headers["x-should-retry"] == "false"
    assert await videos(desk, headers) == [video]


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "a\x7fb"])
async def test_a_key_that_cannot_be_one(desk: Desk, key: str) -> None:
    bearer = await desk.bearer()
    refused = await post(desk, {**bearer, "Idempotency-Key": key})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "invalid_idempotency_key"
    assert await videos(desk, bearer) == []


async def test_a_key_of_255_characters_is_taken(desk: Desk) -> None:
    headers = {**await desk.bearer(), "Idempotency-Key": "k" * 255}
    assert (await post(desk, headers)).json()["id"] == (await post(desk, headers)).json()["id"]


async def test_a_refused_request_leaves_its_key_free(desk: Desk) -> None:
    headers = {**await desk.bearer(), "Idempotency-Key": "k"}
    assert (await post(desk, headers, json={"prompt": ""})).status_code == 400
    assert (await post(desk, headers)).status_code == 200


async def test_two_at_once_make_one_video(desk: Desk) -> None:
    bearer = await desk.bearer()
    for key in ("k", "l"):
        answers = await asyncio.gather(*(post(desk, {**bearer, "Idempotency-Key": key}) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sorted("idempotent-replayed" in answer.headers for answer in answers) == [False] + [True] * 7
    assert len(await videos(desk, bearer)) == 2


async def test_a_key_holds_for_a_day(desk: Desk) -> None:
    headers = {**await desk.bearer(), "Idempotency-Key": "k"}
    first = (await post(desk, headers)).json()["id"]
    desk.clock.advance(24 * 3600 - 1)
    assert (await post(desk, headers)).json()["id"] == first
    desk.clock.advance(2)
    assert (await post(desk, headers, json={"prompt": "another"})).json()["id"] != first


async def test_a_deleted_video_is_not_shown_again_nor_made_anew(desk: Desk) -> None:
    bearer = await desk.bearer()
    headers = {**bearer, "Idempotency-Key": "k"}
    video = (await post(desk, headers)).json()["id"]
    await desk.http.delete(f"/v1/videos/{video}", headers=bearer)
    gone = await post(desk, headers)
    assert (gone.status_code, gone.json()["error"]["param"]) == (404, "Idempotency-Key")
    assert await videos(desk, bearer) == []


async def test_a_revoked_tokens_replay_is_answered_401(desk: Desk) -> None:
    issued = await desk.issue()
    for more in ({"Idempotency-Key": "k"}, FIRST):
        assert (await post(desk, {**bearer_of(issued), **more})).status_code == 200
    await desk.revoke({"accessor": issued["accessor"]})
    for more in ({"Idempotency-Key": "k"}, RETRY):
        refused = await post(desk, {**bearer_of(issued), **more})
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"


async def test_a_token_that_was_revoked_while_the_body_came_gets_no_replay(desk: Desk) -> None:
    """The revocation falls between the bearer check and the look-up."""
    issued = await desk.issue()
    headers = {**bearer_of(issued), "Idempotency-Key": "k", "content-type": "application/json"}
    assert (await post(desk, headers, content=b'{"prompt": "a dog"}')).status_code == 200

    async def body() -> Any:
        yield b'{"prompt": '
        await desk.revoke({"accessor": issued["accessor"]})
        yield b'"a dog"}'

    assert (await post(desk, headers, content=body())).status_code == 401


async def test_a_replay_is_answered_although_the_line_is_full(desk: Desk) -> None:
    headers = await desk.bearer(tier="free")
    keyed = {**headers, "Idempotency-Key": "k"}
    first = (await post(desk, keyed)).json()["id"]
    for _ in range(4):
        await desk.create(headers)
    assert (await post(desk, headers)).status_code == 429
    assert (await post(desk, keyed)).json()["id"] == first


# without a key: the count of OpenAI's clients


async def test_a_counted_retry_finds_the_first_copy(desk: Desk) -> None:
    bearer = await desk.bearer()
    first = (await post(desk, {**bearer, **FIRST})).json()["id"]
    for count in ("1", "2"):
        again = await post(desk, {**bearer, "x-stainless-retry-count": count})
        assert again.json()["id"] == first
        assert again.headers["idempotent-replayed"] == "true"
    assert await videos(desk, bearer) == [first]


async def test_first_attempts_are_always_new(desk: Desk) -> None:
    bearer = await desk.bearer()
    made = [(await post(desk, {**bearer, **FIRST})).json()["id"] for _ in range(3)]
    assert await videos(desk, bearer) == made
    # A retry is of the newest: its answer is the one that got lost.
    assert (await post(desk, {**bearer, **RETRY})).json()["id"] == made[-1]


async def test_a_retry_whose_first_copy_never_arrived_is_new(desk: Desk) -> None:
    bearer = await desk.bearer()
    made = await post(desk, {**bearer, **RETRY})
    assert made.status_code == 200
    assert "idempotent-replayed" not in made.headers
    second = await post(desk, {**bearer, "x-stainless-retry-count": "2"})
    assert second.json()["id"] == made.json()["id"]


async def test_a_retry_of_something_else_is_new(desk: Desk) -> None:
    bearer, other = await desk.bearer(), await desk.bearer("tester-002")
    first = (await post(desk, {**bearer, **FIRST})).json()["id"]
    assert (await post(desk, {**bearer, **RETRY}, json={"prompt": "a cat"})).json()["id"] != first
    assert (await post(desk, {**other, **RETRY})).json()["id"] != first


async def test_a_retry_is_one_for_ten_minutes(desk: Desk) -> None:
    bearer = await desk.bearer()
    first = (await post(desk, {**bearer, **FIRST})).json()["id"]
    desk.clock.advance(599)
    assert (await post(desk, {**bearer, **RETRY})).json()["id"] == first
    desk.clock.advance(2)
    assert (await post(desk, {**bearer, **RETRY})).json()["id"] != first


async def test_first_copy_and_retry_at_once_make_one_video(desk: Desk) -> None:
    """Neither is written yet when the other comes; the first copy came first."""
    bearer, begun, go_on = await desk.bearer(), threading.Event(), threading.Event()

    def hold_up(tx: Connection) -> None:
        begun.set()
        go_on.wait(30)

    async def until_waiting(number: int) -> None:
        async with asyncio.timeout(30):
            while not begun.is_set() or len(desk.store._pending) < number:  # type: ignore[attr-defined]
                await asyncio.sleep(0.001)

    held = asyncio.create_task(desk.store.write(hold_up))
    sent: list[asyncio.Task[httpx.Response]] = []
    try:
        for headers in (FIRST, RETRY):
            await until_waiting(len(sent))
            sent.append(asyncio.create_task(post(desk, {**bearer, **headers})))
        await until_waiting(2)
    finally:
        go_on.set()
    await held
    answers = await asyncio.gather(*sent)
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_loop_over_one_prompt_gets_every_video_although_some_are_refused_first(desk: Desk) -> None:
    """A refused first attempt is followed by its own retries, not by the same request's accepted a moment before."""
    bearer = await desk.bearer(tier="free")
    made = [(await post(desk, {**bearer, **FIRST})).json()["id"] for _ in range(5)]
    assert (await post(desk, {**bearer, **FIRST})).json()["error"]["code"] == "queued_jobs_exceeded"
    assert (await post(desk, {**bearer, **RETRY})).json()["error"]["code"] == "queued_jobs_exceeded"
    await desk.finished()
    sixth = await post(desk, {**bearer, "x-stainless-retry-count": "2"})
    assert sixth.status_code == 200
    assert "idempotent-replayed" not in sixth.headers
    await desk.finished()
    for _ in range(60):
        limited = await post(desk, {**bearer, **FIRST}, json={"prompt": ""})
    assert limited.json()["error"]["code"] == "rate_limit_exceeded"
    desk.clock.advance(1)
    seventh = await post(desk, {**bearer, **RETRY})
    assert len({*made, sixth.json()["id"], seventh.json()["id"]}) == 7


async def test_a_refused_retry_does_not_lose_the_first_copy(desk: Desk) -> None:
    bearer = await desk.bearer(tier="free")
    first = (await post(desk, {**bearer, **FIRST})).json()["id"]
    for _ in range(59):
        await desk.http.get("/v1/models", headers=bearer)
    assert (await post(desk, {**bearer, **RETRY})).status_code == 429
    desk.clock.advance(1)
    assert (await post(desk, {**bearer, "x-stainless-retry-count": "2"})).json()["id"] == first


async def test_a_refusal_leaves_keys_and_other_tokens_alone(desk: Desk) -> None:
    bearer, other = await desk.bearer(), await desk.bearer("tester-002")
    keyed = {**bearer, "Idempotency-Key": "k"}
    named = (await post(desk, keyed)).json()["id"]
    theirs = (await post(desk, {**other, **FIRST})).json()["id"]
    assert (await post(desk, {**bearer, **FIRST}, json={"prompt": ""})).status_code == 400
    assert (await post(desk, {**bearer, "Idempotency-Key": "l", **FIRST}, json={"prompt": ""})).status_code == 400
    assert (await post(desk, keyed)).json()["id"] == named
    assert (await post(desk, {**other, **RETRY})).json()["id"] == theirs


async def test_a_client_that_counts_nothing_leaves_no_row(desk: Desk) -> None:
    bearer = await desk.bearer()
    await post(desk, bearer)
    rows = await desk.store.read(lambda tx: tx.fetch_all("SELECT * FROM idempotency"))
    assert rows == []


async def test_a_retried_multipart_form_has_another_boundary_and_is_the_same(desk: Desk) -> None:
    bearer = await desk.bearer()
    form = {"prompt": (None, "a dog"), "seconds": (None, "4")}
    first = await post(desk, {**bearer, **FIRST}, files=form)
    again = await post(desk, {**bearer, **RETRY}, files=form)
    assert again.json()["id"] == first.json()["id"]


# remix, edits, extensions


async def test_derived_videos_are_made_once_too(desk: Desk) -> None:
    bearer = await desk.bearer()
    source = await desk.create(bearer, seconds=2)
    await desk.finished()
    calls = [
        (f"/v1/videos/{source['id']}/remix", {"prompt": "at night"}),
        ("/v1/videos/edits", {"prompt": "at night", "video": {"id": source["id"]}}),
        ("/v1/videos/extensions", {"prompt": "at night", "seconds": "4", "video": {"id": source["id"]}}),
    ]
    for number, (path, body) in enumerate(calls):
        for headers in ({"Idempotency-Key": f"k{number}"}, RETRY):
            first = await post(desk, {**bearer, **headers}, path, json=body)
            assert first.status_code == 200, first.text
            again = await post(desk, {**bearer, **headers}, path, json=body)
            assert again.json()["id"] == first.json()["id"]
            assert again.headers["idempotent-replayed"] == "true"
    assert len(await videos(desk, bearer)) == 1 + 2 * len(calls)


async def test_an_upload_is_told_by_its_content(tmp_path: Any) -> None:
    one, two, three = (tmp_path / name for name in "abc")
    one.write_bytes(b"x" * 100_000)
    two.write_bytes(b"x" * 100_000)
    three.write_bytes(b"x" * 99_999 + b"y")
    prints = [repeats.fingerprint("POST /v1/videos/edits", {"prompt": "p"}, {"video": path}) for path in (one, two)]
    assert prints[0] == prints[1]
    assert repeats.fingerprint("POST /v1/videos/edits", {"prompt": "p"}, {"video": three}) != prints[0]
    assert repeats.fingerprint("POST /v1/videos/edits", {"prompt": "p"}, {}) != prints[0]


def picture(colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (1280, 720), colour).save(made, "PNG")
    return made.getvalue()


async def test_an_upload_sent_again_is_kept_once(desk: Desk) -> None:
    bearer = await desk.bearer()
    form = {"prompt": (None, "a dog"), "size": (None, "1280x720")}
    red, blue = ({**form, "input_reference": ("a.png", picture(colour), "image/png")} for colour in ("red", "blue"))
    keyed = {**bearer, "Idempotency-Key": "k"}
    answers = await asyncio.gather(*(post(desk, keyed, files=red) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await post(desk, keyed, files=red)).json()["id"] == answers[0].json()["id"]
    assert (await post(desk, keyed, files=blue)).status_code == 409
    assert len(list((desk.settings.data / "inputs").iterdir())) == 1


# upkeep


async def test_old_rows_are_dropped(desk: Desk) -> None:
    bearer = await desk.bearer()
    await post(desk, {**bearer, "Idempotency-Key": "k"})
    await post(desk, {**bearer, **FIRST})
    assert await repeats.drop_old(desk.store, now=START + 599) == 0
    assert await repeats.drop_old(desk.store, now=START + 601) == 1
    assert await repeats.drop_old(desk.store, now=START + 24 * 3600 + 1) == 1


async def test_the_upkeep_goes_on_after_the_store_failed(desk: Desk) -> None:
    class Flaky:
        failures = 1

        async def write(self, work: Any, *, brief: bool = False) -> Any:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("The disk is full.")
            return await desk.store.write(work)

    await post(desk, {**await desk.bearer(), **FIRST})
    desk.clock.advance(601)
    upkeep = asyncio.create_task(repeats.run(Flaky(), desk.clock, every=0.001))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        while await desk.store.read(lambda tx: tx.fetch_one("SELECT 1 FROM idempotency")) is not None:
            await asyncio.sleep(0.001)
    upkeep.cancel()


async def test_a_reset_forgets_the_keys(desk: Desk) -> None:
    await post(desk, {**await desk.bearer(), "Idempotency-Key": "k"})
    answer = await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert answer.status_code == 200
    assert await desk.store.write(idempotency.delete_all) == 0


async def test_where_the_job_is_refused_no_row_stays(desk: Desk) -> None:
    headers = await desk.bearer(tier="free")
    for _ in range(5):
        await desk.create(headers)
    assert (await post(desk, {**headers, "Idempotency-Key": "k"})).status_code == 429
    assert await desk.store.write(idempotency.delete_all) == 0
