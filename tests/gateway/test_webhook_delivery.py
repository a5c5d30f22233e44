"""Deliveries: queued with the job's end, signed, retried, and stopped with their token."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from standardwebhooks import Webhook

from desk import START, Desk, DeskMaker, bearer_of
from gateway.jobs import lifecycle
from gateway.outbound import Policy, Resolver
from gateway.outbound.rounds import asked_seconds, retry_delay
from gateway.store import deliveries, open_store, webhooks
from gateway.webhooks import signing
from gateway.webhooks.delivery import Deliverer
from gateway.webhooks.sending import Sender
from receiver import receiving
from tampering import raw

pytestmark = pytest.mark.anyio

BOTH = ["video.completed", "video.failed"]


async def hook(desk: Desk, headers: dict[str, str], url: str, *event_types: str) -> dict[str, Any]:
    body = {"name": "mine", "url": url, "event_types": list(event_types) or BOTH}
    answer = await desk.http.post("/v1/webhook_endpoints", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def log(desk: Desk, **which: str) -> list[dict[str, Any]]:
    answer = await desk.http.get("/control/webhooks/deliveries", params=which, headers=desk.admin)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def deliverer(
    desk: Desk, policy: Policy | None = None, *, timeout: float = 5.0, resolve: Resolver | None = None
) -> Deliverer:
    sender = Sender("loopback", timeout) if resolve is None else Sender("loopback", timeout, resolve)
    return Deliverer(desk.store, desk.clock, sender, policy or Policy())


async def deliver(desk: Desk, policy: Policy | None = None) -> None:
    """Everything that is due now, to its end."""
    one = deliverer(desk, policy)
    while await one.sweep():
        await one.flights.landed()


@pytest.fixture
async def desk(make_desk: DeskMaker) -> Desk:
    return await make_desk(allow_private_targets="loopback")


async def test_a_completed_video_is_told_once_signed_and_thin(desk: Desk) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        endpoint = await hook(desk, headers, receiver.url())
        video = await desk.create(headers)
        await deliver(desk)
        assert receiver.calls == []
        await desk.finished()
        await deliver(desk)
        await deliver(desk)
    (call,) = receiver.calls
    assert call.signed_with(endpoint["signing_secret"])
    event = call.event
    assert event == {
        "id": event["id"],
        "object": "event",
        "created_at": int(START),
        "type": "video.completed",
        "data": {"id": video["id"]},
    }
    assert event["id"].startswith("evt_")
    (row,) = await log(desk)
    assert (row["id"], row["state"], row["attempts"], row["status_code"], row["error"]) == (
        call.headers["webhook-id"],
        "delivered",
        1,
        204,
        None,
    )
    (told,) = await desk.events("webhook.delivered")
    assert (told["job"], told["data"]["delivery"]) == (video["id"], row["id"])


async def test_openais_client_verifies_what_is_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        endpoint = await hook(desk, headers, receiver.url())
        await desk.create(headers)
        job = await desk.finished()
        await deliver(desk)
    (call,) = receiver.calls
    monkeypatch.setattr("time.time", lambda: START + 299)
    client = OpenAI(api_key="unused", webhook_secret=endpoint["signing_secret"])
    event: Any = client.webhooks.unwrap(call.body, call.headers)
    assert (event.type, event.data.id) == ("video.completed", job.id)


async def _failed(desk: Desk, headers: dict[str, str]) -> None:
    job = await desk.claimed()
    await lifecycle.fail(desk.store, job, worker="w1", code="render_failed", message="no", now=desk.clock.now())


async def _cancelled(desk: Desk, headers: dict[str, str]) -> None:
    (video,) = (await desk.http.get("/v1/videos", headers=headers)).json()["data"]
    await desk.http.post(f"/v1/videos/{video['id']}/cancel", headers=headers)
    await desk.http.post(f"/v1/videos/{video['id']}/cancel", headers=headers)


async def _deleted(desk: Desk, headers: dict[str, str]) -> None:
    (video,) = (await desk.http.get("/v1/videos", headers=headers)).json()["data"]
    await desk.http.delete(f"/v1/videos/{video['id']}", headers=headers)


async def _exhausted(desk: Desk, headers: dict[str, str]) -> None:
    for _ in range(desk.settings.max_attempts):
        await desk.claimed()
        desk.clock.advance(6)
    assert await desk.claim() is None


@pytest.mark.parametrize("end", [_failed, _cancelled, _deleted, _exhausted])
async def test_every_bad_end_is_one_video_failed(desk: Desk, end: Callable[..., Awaitable[None]]) -> None:
    headers = await desk.bearer()
    await hook(desk, headers, "http://127.0.0.1:9/")
    await hook(desk, headers, "http://127.0.0.1:9/", "video.completed")
    await desk.create(headers)
    await end(desk, headers)
    assert [row["event_type"] for row in await log(desk)] == ["video.failed"]


async def test_an_attempt_that_lost_its_job_tells_nothing(desk: Desk) -> None:
    headers = await desk.bearer()
    await hook(desk, headers, "http://127.0.0.1:9/")
    await desk.create(headers)
    first = await desk.claimed()
    desk.clock.advance(6)
    second = await desk.claimed("w2")
    assert not await desk.complete(first)
    assert await log(desk) == []
    assert await desk.complete(second)
    assert len(await log(desk)) == 1


async def test_each_endpoint_of_the_owner_is_told_and_nobody_elses(desk: Desk) -> None:
    headers, other = await desk.bearer(), await desk.bearer("tester-002")
    with receiving() as receiver:
        await hook(desk, headers, receiver.url("/a"))
        await hook(desk, headers, receiver.url("/b"), "video.completed")
        await hook(desk, headers, receiver.url("/failures"), "video.failed")
        await hook(desk, other, receiver.url("/other"))
        await desk.create(headers)
        await desk.finished()
        await deliver(desk)
    assert sorted(call.path for call in receiver.calls) == ["/a", "/b"]
    first, second = receiver.calls
    assert first.event["id"] == second.event["id"]
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


@given(content=st.text(), id=st.text(alphabet="abcdef0123456789", min_size=1), now=st.integers(0, 2**33))
def test_signatures_are_those_of_the_published_library(content: str, id: str, now: int) -> None:
    secret = signing.mint()
    theirs = Webhook(secret).sign(f"wh_{id}", datetime.fromtimestamp(now, UTC), content)
    assert signing.headers([secret], f"wh_{id}", now + 0.9, content.encode()) == {
        "webhook-id": f"wh_{id}",
        "webhook-timestamp": str(now),
        "webhook-signature": theirs,
    }


def test_the_schedule_doubles_with_jitter_and_is_bounded() -> None:
    policy = Policy(first_retry_seconds=5, longest_retry_seconds=600)
    for attempt in range(1, 12):
        base = 5 * 2 ** (attempt - 1)
        waits = {retry_delay(policy, attempt, seed=f"wh_{number}") for number in range(50)}
        assert min(base, 600) <= min(waits)
        assert max(waits) <= min(base * 1.25, 600)
        assert retry_delay(policy, attempt, seed="wh_1") in waits
    assert len({retry_delay(policy, 1, seed=f"wh_{number}") for number in range(50)}) == 50
    assert retry_delay(policy, 1, seed="a", asked=60) == 60
    assert retry_delay(policy, 1, seed="a", asked=1) >= 5
    assert retry_delay(policy, 1, seed="a", asked=1e9) == 600


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Tue, 26 Nov 2024 13:31:00 GMT", 60.0),
        ("Tue, 26 Nov 2024 13:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 400, 999_999_999.0),
        ("", None),
        ("Tue, 99 Nov 2024 13:31:00 GMT", None),
    ],
)
def test_retry_after_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert asked_seconds(header, START) == seconds


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 410, 429, 500, 503])
async def test_anything_but_2xx_is_tried_again_with_the_same_id_and_bytes(desk: Desk, status: int) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        receiver.answer = lambda path, before: (status, {"Location": "/else"}) if before == 0 else (200, {})
        endpoint = await hook(desk, headers, receiver.url())
        await desk.create(headers)
        await desk.finished()
        await deliver(desk)
        (row,) = await log(desk)
        assert (row["state"], row["attempts"], row["status_code"]) == ("pending", 1, status)
        assert START + 5 <= row["next_attempt_at"] <= START + 6.25
        desk.clock.advance(4.9)
        await deliver(desk)
        assert len(receiver.calls) == 1
        desk.clock.advance(1.4)
        await deliver(desk)
    first, second = receiver.to("/hook")
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) == int(START + 6.3)
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert second.signed_with(endpoint["signing_secret"])
    assert [(row["state"], row["attempts"], row["error"]) for row in await log(desk)] == [("delivered", 2, None)]


async def test_a_receiver_may_ask_for_more_time(desk: Desk) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        receiver.answer = lambda path, before: (503, {"Retry-After": "100"})
        await hook(desk, headers, receiver.url())
        await desk.create(headers)
        await desk.finished()
        await deliver(desk)
    assert [row["next_attempt_at"] for row in await log(desk)] == [START + 100]


async def test_after_the_last_attempt_it_is_dead_and_an_operator_may_try_again(desk: Desk) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        receiver.answer = lambda path, before: (500, {})
        await hook(desk, headers, receiver.url())
        await desk.create(headers)
        await desk.finished()
        for _ in range(3):
            await deliver(desk, Policy(attempts=3))
            desk.clock.advance(100)
        await deliver(desk, Policy(attempts=3))
        assert len(receiver.calls) == 3
        (row,) = await log(desk, state="dead")
        assert (row["attempts"], row["status_code"], row["error"]) == (3, 500, "The receiver answered 500.")
        (told,) = await desk.events("webhook.dead")
        assert told["data"]["status_code"] == 500

        receiver.answer = lambda path, before: (200, {})
        path = f"/control/webhooks/deliveries/{row['id']}/retry"
        again = await desk.http.post(path, headers=desk.admin)
        assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (200, "pending", 0)
        await deliver(desk)
        assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    assert [one["state"] for one in await log(desk)] == ["delivered"]
    assert (await desk.http.post(path, headers=desk.admin)).json()["state"] == "pending"
    unknown = await desk.http.post("/control/webhooks/deliveries/wh_x/retry", headers=desk.admin)
    assert unknown.status_code == 404


async def test_a_dead_or_silent_receiver_is_a_failed_attempt_with_its_reason(desk: Desk) -> None:
    headers = await desk.bearer()
    with receiving() as gone:
        pass
    with receiving() as silent:
        silent.hold.clear()
        await hook(desk, headers, gone.url())
        await hook(desk, headers, silent.url())
        await desk.create(headers)
        await desk.finished()
        one = deliverer(desk, timeout=0.3)
        await one.sweep()
        await one.flights.landed()
    errors = [row["error"] for row in await log(desk)]
    assert errors == [
        "The receiver did not answer within 0.3 s.",
        "The receiver could not be reached (ConnectError).",
    ]


async def test_the_address_is_judged_again_at_each_delivery(desk: Desk) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        await hook(desk, headers, f"http://localhost:{receiver.port}/hook")
        await desk.create(headers)
        await desk.finished()

        async def moved(host: str, port: int) -> list[str]:
            return ["10.0.0.7"]

        one = deliverer(desk, resolve=moved)
        await one.sweep()
        await one.flights.landed()
        assert receiver.calls == []
    (row,) = await log(desk)
    assert (row["state"], row["status_code"]) == ("pending", None)
    assert "private address" in row["error"]


async def test_both_secrets_sign_for_a_day_after_a_rotation_that_keeps_the_old(desk: Desk) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        first = await hook(desk, headers, receiver.url())
        path = f"/v1/webhook_endpoints/{first['id']}/rotate_secret"

        async def rotate(keep: bool) -> str:
            body = {"keep_old_secret_active_for_24_hours": keep}
            secret: str = (await desk.http.post(path, json=body, headers=headers)).json()["signing_secret"]
            return secret

        async def who_signs(*secrets: str) -> list[bool]:
            await desk.create(headers)
            await desk.finished()
            await deliver(desk)
            verdicts = [receiver.calls[-1].signed_with(secret) for secret in secrets]
            assert len(receiver.calls[-1].headers["webhook-signature"].split(" ")) == sum(verdicts)
            return verdicts

        old = first["signing_secret"]
        new = await rotate(keep=True)
        assert await who_signs(old, new) == [True, True]
        desk.clock.advance(24 * 3600 - 1)
        assert await who_signs(old, new) == [True, True]
        desk.clock.advance(1)
        assert await who_signs(old, new) == [False, True]
        newest = await rotate(keep=False)
        assert await who_signs(old, new, newest) == [False, False, True]
        kept = await desk.store.read(lambda tx: webhooks.get(tx, first["id"]))
        assert kept is not None
        assert (kept.secret, kept.old_secret) == (newest, None)


async def test_a_revocation_stops_what_waits_in_its_own_transaction(desk: Desk) -> None:
    issued, other = await desk.issue(), await desk.issue("tester-002")
    with receiving() as receiver:
        for one in (issued, other):
            await hook(desk, bearer_of(one), receiver.url(f"/{one['accessor']}"))
            await desk.create(bearer_of(one))
            await desk.finished()
        await desk.revoke({"accessor": issued["accessor"]})
        states = {row["accessor"]: (row["state"], row["error"]) for row in await log(desk)}
        assert states[issued["accessor"]] == ("stopped", "Access was revoked before this was delivered.")
        assert states[other["accessor"]] == ("pending", None)
        (event,) = await desk.events("revocation.applied")
        assert event["data"]["webhooks"] == 1
        await deliver(desk)
        assert [call.path for call in receiver.calls] == [f"/{other['accessor']}"]
    (stopped,) = await log(desk, accessor=issued["accessor"])
    again = await desk.http.post(f"/control/webhooks/deliveries/{stopped['id']}/retry", headers=desk.admin)
    assert again.status_code == 409


async def test_jobs_that_a_revocation_ends_are_not_told(desk: Desk) -> None:
    issued = await desk.issue()
    await hook(desk, bearer_of(issued), "http://127.0.0.1:9/")
    await desk.create(bearer_of(issued))
    await desk.create(bearer_of(issued))
    job = await desk.claimed()
    await desk.revoke({"accessor": issued["accessor"]})
    assert not await desk.complete(job)
    assert await log(desk) == []


@pytest.mark.parametrize("how", ["revoked", "suspended", "expired", "endpoint deleted", "nothing"])
async def test_the_last_look_is_when_the_connection_stands(desk: Desk, how: str) -> None:
    """What happens between the claim and the first byte still stops the delivery."""
    issued = await desk.issue(expires_in=60)
    headers = bearer_of(issued)
    with receiving() as receiver:
        endpoint = await hook(desk, headers, f"http://localhost:{receiver.port}/hook")
        await desk.create(headers)
        await desk.finished()

        async def meanwhile(host: str, port: int) -> list[str]:
            """Asked for the address when the attempt is claimed and nothing is connected yet."""
            assert [row["attempts"] for row in await log(desk, state="pending")] == [1]
            if how == "revoked":
                await desk.revoke({"accessor": issued["accessor"]})
            elif how == "suspended":
                body = {"state": "suspended"}
                await desk.http.patch(f"/control/tokens/{issued['accessor']}", json=body, headers=desk.admin)
            elif how == "expired":
                desk.clock.advance(60)
            elif how == "endpoint deleted":
                await desk.http.delete(f"/v1/webhook_endpoints/{endpoint['id']}", headers=headers)
            return ["127.0.0.1"]

        one = deliverer(desk, resolve=meanwhile)
        await one.sweep()
        await one.flights.landed()
        expected = (1, "delivered") if how == "nothing" else (0, "stopped")
        assert (len(receiver.calls), [row["state"] for row in await log(desk)]) == (expected[0], [expected[1]])


@pytest.mark.parametrize("how", ["suspended", "expired"])
async def test_what_is_due_for_a_token_that_is_not_accepted_stops(desk: Desk, how: str) -> None:
    issued = await desk.issue(expires_in=60)
    with receiving() as receiver:
        await hook(desk, bearer_of(issued), receiver.url())
        await desk.create(bearer_of(issued))
        await desk.finished()
        path = f"/control/tokens/{issued['accessor']}"
        if how == "suspended":
            await desk.http.patch(path, json={"state": "suspended"}, headers=desk.admin)
        else:
            desk.clock.advance(60)
        await deliver(desk)
        assert receiver.calls == []
        (row,) = await log(desk, state="stopped")
        assert (row["attempts"], row["error"]) == (0, "The token is no longer accepted.")  # nobody was called
        retry = f"/control/webhooks/deliveries/{row['id']}/retry"
        assert (await desk.http.post(retry, headers=desk.admin)).status_code == 409
        assert len(await desk.events("webhook.stopped")) == 1
        if how == "suspended":
            await desk.http.patch(path, json={"state": "active"}, headers=desk.admin)
            assert (await desk.http.post(retry, headers=desk.admin)).status_code == 200
            await deliver(desk)
            assert len(receiver.calls) == 1


async def test_a_quarantined_token_is_still_told(desk: Desk) -> None:
    issued = await desk.issue()
    with receiving() as receiver:
        await hook(desk, bearer_of(issued), receiver.url())
        await desk.create(bearer_of(issued))
        await desk.finished()
        body = {"state": "quarantined"}
        await desk.http.patch(f"/control/tokens/{issued['accessor']}", json=body, headers=desk.admin)
        await deliver(desk)
    assert len(receiver.calls) == 1


async def test_a_deleted_endpoints_deliveries_stop(desk: Desk) -> None:
    headers = await desk.bearer()
    endpoint = await hook(desk, headers, "http://127.0.0.1:9/")
    await desk.create(headers)
    await desk.finished()
    await desk.http.delete(f"/v1/webhook_endpoints/{endpoint['id']}", headers=headers)
    (row,) = await log(desk)
    assert (row["state"], row["error"]) == ("stopped", "The endpoint was deleted.")
    retry = f"/control/webhooks/deliveries/{row['id']}/retry"
    assert (await desk.http.post(retry, headers=desk.admin)).status_code == 409


async def test_two_gateways_send_each_delivery_once(desk: Desk) -> None:
    headers = await desk.bearer()
    other = open_store(desk.settings.database)
    with receiving() as receiver:
        for number in range(10):
            await hook(desk, headers, receiver.url(f"/{number}"))
        for _ in range(3):
            await desk.create(headers)
            await desk.finished()
        both = [Deliverer(store, desk.clock, Sender("loopback", 5.0), Policy()) for store in (desk.store, other)]
        while sum(await asyncio.gather(*(one.sweep() for one in both))):
            await asyncio.gather(*(one.flights.landed() for one in both))
        ids = [call.headers["webhook-id"] for call in receiver.calls]
    await other.close()
    assert (len(ids), len(set(ids))) == (30, 30)


async def test_an_attempt_is_claimed_once_and_not_before_it_is_due(desk: Desk) -> None:
    issued = await desk.issue()
    await _flood(desk, "whep_a", issued["accessor"], "video_x", 1)

    def claims(tx: Any) -> list[bool]:
        (read,) = deliveries.due(tx, START)
        first = deliveries.claim(tx, read, now=START, until=START + 15)
        assert first is not None
        again = deliveries.claim(tx, read, now=START, until=START + 15)
        early = deliveries.claim(tx, first, now=START + 14, until=START + 30)
        return [again is None, early is None, deliveries.claim(tx, first, now=START + 15, until=START + 30) is not None]

    assert await desk.store.write(claims) == [True, True, True]


async def test_a_running_deliverer_finds_work_by_itself_and_outlives_a_database_that_does_not_answer(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    headers = await desk.bearer()
    one = deliverer(desk)
    running = asyncio.create_task(one.run(every=0.01))
    with receiving() as receiver:
        await hook(desk, headers, receiver.url())
        await desk.create(headers)
        await desk.finished()
        raw(desk, "ALTER TABLE webhook_deliveries RENAME TO taken_away")
        async with asyncio.timeout(20):
            while "webhook_sweep_failed" not in caplog.text:
                await asyncio.sleep(0.01)
        raw(desk, "ALTER TABLE taken_away RENAME TO webhook_deliveries")
        async with asyncio.timeout(20):
            while not await log(desk, state="delivered"):
                await asyncio.sleep(0.01)
        await desk.create(headers)
        await desk.finished()
        async with asyncio.timeout(20):
            while len(await log(desk, state="delivered")) < 2:
                await asyncio.sleep(0.01)
        assert len(receiver.calls) in (2, 3)  # the first may have been under way when its row was taken away
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await one.flights.close()


async def test_what_a_gateway_held_when_it_was_ended_becomes_due_again(desk: Desk) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        receiver.hold.clear()
        await hook(desk, headers, receiver.url())
        await desk.create(headers)
        await desk.finished()
        ended = deliverer(desk)
        await ended.sweep()
        while not receiver.calls:
            await asyncio.sleep(0.01)
        await ended.flights.close(grace=0)
        receiver.hold.set()
        await deliver(desk)
        assert len(receiver.calls) == 1  # the lease still runs
        desk.clock.advance(10)
        await deliver(desk)
    first, second = receiver.calls
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert [(row["state"], row["attempts"]) for row in await log(desk)] == [("delivered", 2)]


async def test_one_that_was_ended_in_its_last_attempt_is_dead(desk: Desk) -> None:
    headers = await desk.bearer()
    with receiving() as receiver:
        receiver.hold.clear()
        await hook(desk, headers, receiver.url())
        await desk.create(headers)
        await desk.finished()
        one = deliverer(desk, Policy(attempts=1))
        await one.sweep()
        await one.flights.close(grace=0)
    desk.clock.advance(10)
    await deliver(desk, Policy(attempts=1))
    (row,) = await log(desk)
    assert (row["state"], row["error"]) == ("dead", "The gateway was ended during the last attempt.")


async def _flood(desk: Desk, endpoint: str, accessor: str, job: str, number: int) -> None:
    def work(tx: Any) -> None:
        for one in range(number):
            deliveries.insert(
                tx,
                id=f"wh_flood_{endpoint}_{one}",
                endpoint=endpoint,
                accessor=accessor,
                job=job,
                event_type="video.completed",
                payload="{}",
                at=START - 100,
            )

    await desk.store.write(work)


async def test_a_silent_receiver_with_a_long_line_delays_nobody(desk: Desk) -> None:
    issued = await desk.issue()
    with receiving() as silent, receiving() as lively:
        silent.hold.clear()
        slow = [await hook(desk, bearer_of(issued), silent.url()) for _ in range(9)]
        await hook(desk, bearer_of(issued), lively.url())
        video = await desk.create(bearer_of(issued))
        for endpoint in slow:
            await _flood(desk, endpoint["id"], issued["accessor"], video["id"], 500)
        await desk.finished()
        one = deliverer(desk, Policy(slots=20), timeout=5)
        while not await log(desk, state="delivered"):
            await one.sweep()
            await asyncio.sleep(0.01)
        for _ in range(10):
            await one.sweep()
        assert max(Counter(one.flights.receivers).values()) == 2  # whatever waits
        await one.flights.close(grace=0)
        assert len(lively.calls) == 1


async def test_receivers_that_fail_get_one_connection_each_and_half_of_all(desk: Desk) -> None:
    issued = await desk.issue()
    with receiving() as receiver:
        receiver.answer = lambda path, before: (500, {})
        made = [await hook(desk, bearer_of(issued), receiver.url()) for _ in range(10)]
        for endpoint in made:
            await _flood(desk, endpoint["id"], issued["accessor"], "video_x", 5)
        one = deliverer(desk, Policy(slots=8))
        while await one.sweep():
            await one.flights.landed()
        desk.clock.advance(10_000)
        receiver.hold.clear()
        while await one.sweep():
            pass
        held = sorted(one.flights.receivers)
        assert len(held) == len(set(held)) == 4
        await one.flights.close(grace=0)


@pytest.mark.sqlite_alone
async def test_an_idle_look_is_one_step_into_an_index(desk: Desk) -> None:
    """However long the log, and however many wait for later."""
    issued = await desk.issue()
    await _flood(desk, "whep_a", issued["accessor"], "video_x", 2000)
    await _flood(desk, "whep_b", issued["accessor"], "video_x", 2000)

    def plans(tx: Any) -> list[str]:
        tx.execute("UPDATE webhook_deliveries SET next_attempt_at = :at", {"at": START + 1000})
        sql = "EXPLAIN QUERY PLAN SELECT 1 FROM webhook_deliveries WHERE state = 'pending' AND next_attempt_at <= 1"
        return [row["detail"] for row in tx.fetch_all(sql)]

    (plan,) = await desk.store.write(plans)
    assert "USING INDEX webhook_deliveries_due (next_attempt_at<?)" in plan
    assert not await desk.store.read(lambda tx: deliveries.any_due(tx, START))
    assert await desk.store.read(lambda tx: deliveries.any_due(tx, START + 1000))
    due = await desk.store.read(lambda tx: deliveries.due(tx, START + 1000))
    assert sorted(one.endpoint for one in due) == ["whep_a", "whep_b"]


async def test_the_log_is_filtered_and_for_the_admin(desk: Desk) -> None:
    issued, other = await desk.issue(), await desk.issue("tester-002")
    jobs = {}
    for one in (issued, other):
        await hook(desk, bearer_of(one), "http://127.0.0.1:9/?key=private")
        await desk.create(bearer_of(one))
        jobs[one["accessor"]] = (await desk.finished()).id
    assert [row["accessor"] for row in await log(desk)] == [other["accessor"], issued["accessor"]]
    assert [row["job"] for row in await log(desk, accessor=issued["accessor"])] == [jobs[issued["accessor"]]]
    assert [row["accessor"] for row in await log(desk, job=jobs[other["accessor"]])] == [other["accessor"]]
    assert await log(desk, state="dead") == []
    answer = await desk.http.get("/control/webhooks/deliveries", headers=desk.admin)
    assert "private" not in answer.text
    assert "whsec_" not in answer.text
    refused = await desk.http.get("/control/webhooks/deliveries", headers=bearer_of(issued))
    assert refused.status_code == 401
    odd = await desk.http.get("/control/webhooks/deliveries", params={"state": "lost"}, headers=desk.admin)
    assert odd.status_code == 422


async def test_a_reset_clears_endpoints_and_deliveries(desk: Desk) -> None:
    headers = await desk.bearer()
    await hook(desk, headers, "http://127.0.0.1:9/")
    await desk.create(headers)
    await desk.finished()
    answer = await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert answer.status_code == 200, answer.text
    assert await log(desk) == []
    assert (await desk.http.get("/v1/webhook_endpoints", headers=await desk.bearer())).json()["data"] == []


async def test_any_order_of_ends_and_attempts_leaves_each_delivery_in_one_end(desk: Desk) -> None:
    """A seeded walk over ends, sweeps, time and revocations: nothing is sent after its revocation was answered."""
    chance = random.Random(7)
    with receiving() as receiver:
        issued = [await desk.issue(f"tester-{number:03}") for number in range(6)]
        receiver.answer = lambda path, before: (500 if path == f"/{issued[0]['accessor']}" else 200, {})
        for one in issued:
            await hook(desk, bearer_of(one), receiver.url(f"/{one['accessor']}"))
        alive, frozen = list(issued), dict[str, int]()
        worker = deliverer(desk, Policy(attempts=3, first_retry_seconds=1))
        for _ in range(80):
            step = chance.choice(["end", "end", "sweep", "sweep", "wait", "revoke"])
            if step == "end" and alive:
                await desk.create(bearer_of(chance.choice(alive)))
                await desk.finished()
            elif step == "sweep":
                await worker.sweep()
            elif step == "wait":
                await worker.flights.landed()
                desk.clock.advance(chance.uniform(0, 3))
            elif step == "revoke" and len(alive) > 2 and chance.random() < 0.3:
                gone = alive.pop()
                await desk.revoke({"accessor": gone["accessor"]})
                await worker.flights.landed()  # what had been sent before has arrived now
                frozen[gone["accessor"]] = len(receiver.to(f"/{gone['accessor']}"))
        for _ in range(5):
            await deliver(desk, Policy(attempts=3, first_retry_seconds=1))
            desk.clock.advance(100)
        await worker.flights.landed()
        assert len(frozen) > 1
        assert {one: len(receiver.to(f"/{one}")) for one in frozen} == frozen
    rows = await log(desk, limit="10000")
    assert {row["state"] for row in rows} == {"delivered", "stopped", "dead"}
    assert {row["state"] for row in rows if row["accessor"] not in frozen} <= {"delivered", "dead"}
