"""Sinks that are dead, slow, paused, disabled or refuse; gateways that share the work, and one that is ended."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from desk import START, Desk, DeskMaker
from gateway.outbound import Reply
from gateway.signals.delivery import judged
from gateway.store import open_store
from gateway.store.sinks import Sink, SinkStatus
from receiver import receiving
from signalling import (
    accepting,
    add_sink,
    change_sink,
    deliver,
    deliverer,
    effect,
    move,
    opened,
    sent,
    told,
)

pytestmark = pytest.mark.anyio

NOBODY = "http://127.0.0.1:9/"


@pytest.fixture
async def desk(make_desk: DeskMaker) -> Desk:
    return await make_desk(allow_private_targets="loopback")


async def revoked(desk: Desk, principal: str = "tester-001") -> str:
    """A new token's revocation: two signals for each sink."""
    issued = await desk.issue(principal)
    answer: dict[str, str] = (await desk.revoke({"accessor": issued["accessor"]})).json()
    return answer["id"]


async def test_202_is_the_end_and_the_report_counts_it(desk: Desk) -> None:
    with accepting() as receiver:
        await add_sink(desk, receiver.url())
        revocation = await revoked(desk)
        assert await effect(desk, revocation) == {"sent": 0, "owed": 2, "dead": 0, "dropped": 0}
        await deliver(desk)
        await deliver(desk)
    assert len(receiver.calls) == 2
    assert await effect(desk, revocation) == {"sent": 2, "owed": 0, "dead": 0, "dropped": 0}
    assert {(row["state"], row["attempts"], row["status_code"]) for row in await sent(desk)} == {("delivered", 1, 202)}
    recorded = await desk.events("signal.delivered")
    assert {one["data"]["txn"] for one in recorded} == {revocation}


@pytest.mark.parametrize("status", [200, 204, 301, 307, 408, 429, 500, 503])
async def test_what_may_pass_is_tried_again_with_the_same_bytes(desk: Desk, status: int) -> None:
    with receiving() as receiver:
        receiver.answer = lambda path, before: (status if before == 0 else 202, {"Location": "/else"})
        sink = await add_sink(desk, receiver.url())
        await desk.http.post(f"/control/sinks/{sink['id']}/verify", json={}, headers=desk.admin)
        await deliver(desk)
        (row,) = await sent(desk)
        assert (row["state"], row["attempts"], row["status_code"]) == ("pending", 1, status)
        assert START + 5 <= row["next_attempt_at"] <= START + 6.25
        desk.clock.advance(6.3)
        await deliver(desk)
    first, second = receiver.to("/hook")
    assert first.body == second.body
    assert [(row["state"], row["attempts"], row["error"]) for row in await sent(desk)] == [("delivered", 2, None)]


async def test_a_refusal_is_dead_at_once_and_keeps_its_code(desk: Desk) -> None:
    with receiving() as receiver:
        receiver.body = b'{"err": "invalid_key", "description": "Bearer hush-hush-hush is not for this key"}'
        receiver.answer = lambda path, before: (400, {})
        await add_sink(desk, receiver.url(), authorization="Bearer hush-hush-hush")
        revocation = await revoked(desk)
        await deliver(desk)
        desk.clock.advance(10_000)
        await deliver(desk)
    assert len(receiver.calls) == 2
    assert await effect(desk, revocation) == {"sent": 0, "owed": 0, "dead": 2, "dropped": 0}
    row = (await sent(desk))[0]
    assert (row["state"], row["err"], row["status_code"]) == ("dead", "invalid_key", 400)
    assert row["error"] == "The sink refused it: invalid_key: [authorization] [authorization] is not for this key"
    assert {one["data"]["err"] for one in await desk.events("signal.dead")} == {"invalid_key"}


@pytest.mark.parametrize(
    ("reply", "err", "error", "final"),
    [
        (Reply(202), None, None, False),
        (Reply(400, None, b'{"err":"access_denied"}'), "access_denied", "The sink refused it: access_denied.", True),
        (Reply(400, None, b"no json"), None, "The sink refused it: no err was given.", True),
        (Reply(400, None, b'["err"]'), None, "The sink refused it: no err was given.", True),
        (Reply(400, None, b'{"err":"<b>","description":7}'), None, "The sink refused it: no err was given.", True),
        (Reply(400, None, b"[" * 3000), None, "The sink refused it: no err was given.", True),
        (Reply(401), None, "The sink answered 401.", True),
        (Reply(404), None, "The sink answered 404.", True),
        (Reply(429), None, "The sink answered 429.", False),
        (Reply(502), None, "The sink answered 502.", False),
        (Reply(200), None, "The sink answered 200.", False),
        ("no answer", None, "no answer", False),
    ],
)
def test_what_an_answer_means(reply: Reply | str, err: str | None, error: str | None, final: bool) -> None:
    sink = Sink("sink_1", "https://soc.example.test/", "https://a.test", "b", None, SinkStatus.ENABLED, START, START)
    verdict = judged(reply, sink, START)
    assert (verdict.err, verdict.error, verdict.final) == (err, error, final)


def test_a_header_that_a_sink_repeats_is_not_kept_even_in_part() -> None:
    body = json.dumps({"err": "hush_hush", "description": "x" * 195 + "hush_hush"}).encode()
    sink = Sink(
        "sink_1", "https://a.test/", "https://a.test", "b", "Bearer hush_hush", SinkStatus.ENABLED, START, START
    )
    verdict = judged(Reply(400, None, body), sink, START)
    assert verdict.err is None
    assert "hu" not in (verdict.error or "")


async def test_a_sink_may_ask_for_more_time(desk: Desk) -> None:
    with receiving() as receiver:
        receiver.answer = lambda path, before: (503, {"Retry-After": "100"})
        await add_sink(desk, receiver.url())
        await revoked(desk)
        await deliver(desk)
    assert {row["next_attempt_at"] for row in await sent(desk)} == {START + 100}


async def test_after_the_last_attempt_it_is_dead(desk: Desk) -> None:
    with receiving() as gone:
        pass
    await add_sink(desk, gone.url())
    revocation = await revoked(desk)
    for _ in range(4):
        await deliver(desk, attempts=3)
        desk.clock.advance(100)
    assert await effect(desk, revocation) == {"sent": 0, "owed": 0, "dead": 2, "dropped": 0}
    assert {(row["attempts"], row["error"]) for row in await sent(desk)} == {
        (3, "The receiver could not be reached (ConnectError).")
    }


async def test_a_silent_sink_holds_one_connection_for_as_long_as_an_attempt_may_take(desk: Desk) -> None:
    with receiving() as silent:
        silent.hold.clear()
        await add_sink(desk, silent.url())
        await revoked(desk)
        one = deliverer(desk, timeout=0.3)
        for _ in range(5):
            await one.sweep()
        assert len(one.flights.receivers) == 1
        await one.flights.landed()
    errors = [row["error"] for row in await sent(desk)]
    assert errors == [None, "The receiver did not answer within 0.3 s."]


async def test_the_acknowledgement_comes_while_the_sink_still_holds_the_first_request(desk: Desk) -> None:
    """A dead or slow sink never delays a revocation, stated without a clock: the gateway's own deliverer is at work,
    the sink has the first event and does not answer, and yet everything else is answered."""
    one = deliverer(desk, timeout=60)
    running = asyncio.create_task(one.run(every=0.01))
    with accepting() as receiver:
        receiver.hold.clear()
        await add_sink(desk, receiver.url())
        await revoked(desk, "first")
        async with asyncio.timeout(20):
            while not receiver.calls:
                await asyncio.sleep(0.01)
        revocation = await revoked(desk, "second")
        assert len(receiver.calls) == 1
        assert len(one.flights.receivers) == 1
        assert await effect(desk, revocation) == {"sent": 0, "owed": 2, "dead": 0, "dropped": 0}
        receiver.hold.set()
        async with asyncio.timeout(20):
            while (await effect(desk, revocation))["owed"]:
                await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await one.flights.close()
    assert [kind for kind, _ in told(receiver.calls)] == ["session-revoked", "credential-change"] * 2


async def test_oldest_first_and_one_that_is_stuck_holds_up_nobody(desk: Desk) -> None:
    stuck: list[bytes] = []
    with receiving() as receiver:

        def answer(path: str, before: int) -> tuple[int, dict[str, str]]:
            body = receiver.calls[before].body
            stuck.extend([body] if not stuck else [])
            return (500 if body == stuck[0] else 202), {}

        receiver.answer = answer
        await add_sink(desk, receiver.url())
        for number in range(3):
            await revoked(desk, f"tester-{number}")
            desk.clock.advance(1)
        await deliver(desk, attempts=3)
        owed = [row["id"] for row in reversed(await sent(desk))]
        assert [opened(call)[1]["jti"] for call in receiver.calls] == owed
        assert [row["state"] for row in reversed(await sent(desk))] == ["pending", *["delivered"] * 5]
        for _ in range(3):
            desk.clock.advance(100)
            await deliver(desk, attempts=3)
    assert [row["state"] for row in reversed(await sent(desk))] == ["dead", *["delivered"] * 5]
    assert len(receiver.calls) == 8


async def test_after_a_failure_the_oldest_goes_first_again(desk: Desk) -> None:
    with receiving() as receiver:
        receiver.answer = lambda path, before: (503, {}) if before < 4 else (202, {})
        await add_sink(desk, receiver.url())
        await revoked(desk, "one")
        await revoked(desk, "two")
        await deliver(desk)
        desk.clock.advance(100)
        await deliver(desk)
    ids = [row["id"] for row in reversed(await sent(desk))]
    assert [opened(call)[1]["jti"] for call in receiver.calls] == [*ids, *ids]


async def test_one_dead_sink_delays_no_other(desk: Desk) -> None:
    with receiving() as silent, accepting() as lively:
        silent.hold.clear()
        await add_sink(desk, silent.url())
        await add_sink(desk, lively.url())
        for number in range(5):
            await revoked(desk, f"tester-{number}")
        one = deliverer(desk, timeout=30)
        while len(await sent(desk, state="delivered")) < 10:
            await one.sweep()
            await asyncio.sleep(0.01)
        await one.flights.close(grace=0)
        assert len(lively.calls) == 10
        assert len(silent.calls) == 1


async def test_a_paused_sink_is_sent_what_was_held_once_it_is_enabled(desk: Desk) -> None:
    with accepting() as receiver:
        sink = await add_sink(desk, receiver.url())
        first = await revoked(desk, "before")
        await change_sink(desk, sink, status="paused")
        second = await revoked(desk, "meanwhile")
        await desk.http.post(f"/control/sinks/{sink['id']}/verify", json={}, headers=desk.admin)
        desk.clock.advance(100_000)
        await deliver(desk)
        assert receiver.calls == []
        assert [row["next_attempt_at"] for row in await sent(desk)] == [None] * 5
        for revocation in (first, second):
            assert await effect(desk, revocation) == {"sent": 0, "owed": 2, "dead": 0, "dropped": 0}
        await change_sink(desk, sink, status="enabled")
        await deliver(desk)
    ids = [row["id"] for row in reversed(await sent(desk))]
    assert [opened(call)[1]["jti"] for call in receiver.calls] == ids
    moves = [one["data"] for one in await desk.events("sink.updated")]
    assert [(one["status"], one.get("held"), one.get("released")) for one in moves] == [
        ("paused", 2, None),
        ("enabled", None, 5),
    ]


async def test_a_disabled_sink_loses_what_it_was_owed_and_the_log_says_so(desk: Desk) -> None:
    with accepting() as receiver:
        sink = await add_sink(desk, receiver.url())
        first = await revoked(desk, "before")
        await change_sink(desk, sink, status="disabled")
        second = await revoked(desk, "meanwhile")
        await change_sink(desk, sink, status="enabled")
        third = await revoked(desk, "after")
        await deliver(desk)
    assert await effect(desk, first) == {"sent": 0, "owed": 0, "dead": 0, "dropped": 2}
    assert await effect(desk, second) == {"sent": 0, "owed": 0, "dead": 0, "dropped": 0}
    assert await effect(desk, third) == {"sent": 2, "owed": 0, "dead": 0, "dropped": 0}
    assert {row["error"] for row in await sent(desk, state="dropped")} == {"The sink was disabled."}
    assert (await desk.events("sink.updated"))[0]["data"] == {
        "sink": sink["id"],
        "fields": ["status"],
        "status": "disabled",
        "dropped": 2,
    }


@pytest.mark.parametrize("how", ["paused", "disabled", "deleted", "reset", "nothing"])
async def test_the_last_look_is_when_the_connection_stands(desk: Desk, how: str) -> None:
    with accepting() as receiver:
        sink = await add_sink(desk, f"http://localhost:{receiver.port}/hook")
        issued = await desk.issue()
        await move(desk, issued, "suspended")

        async def meanwhile(host: str, port: int) -> list[str]:
            """Asked for the address when the attempt is claimed and nothing is connected yet."""
            if how in ("paused", "disabled"):
                await change_sink(desk, sink, status=how)
            elif how == "deleted":
                await desk.http.delete(f"/control/sinks/{sink['id']}", headers=desk.admin)
            elif how == "reset":
                await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
            return ["127.0.0.1"]

        one = deliverer(desk, resolve=meanwhile)
        await one.sweep()
        await one.flights.landed()
        expected = {
            "paused": [("pending", 0)],
            "disabled": [("dropped", 1)],
            "deleted": [("dropped", 1)],
            "reset": [],
            "nothing": [("delivered", 1)],
        }
        assert [(row["state"], row["attempts"]) for row in await sent(desk)] == expected[how]
        assert len(receiver.calls) == (how == "nothing")


async def test_an_attempt_that_fails_while_its_sink_is_paused_is_held(desk: Desk) -> None:
    with receiving() as receiver:
        receiver.answer = lambda path, before: (503 if before == 0 else 202, {})
        receiver.hold.clear()
        sink = await add_sink(desk, receiver.url())
        await move(desk, await desk.issue(), "suspended")
        one = deliverer(desk)
        await one.sweep()
        while not receiver.calls:
            await asyncio.sleep(0.01)
        await change_sink(desk, sink, status="paused")
        receiver.hold.set()
        await one.flights.landed()
        desk.clock.advance(100)
        await deliver(desk)
        assert [row["next_attempt_at"] for row in await sent(desk)] == [None]
        await change_sink(desk, sink, status="enabled")
        await deliver(desk)
    assert [(row["state"], row["attempts"]) for row in await sent(desk)] == [("delivered", 2)]


async def test_two_gateways_send_each_event_once(desk: Desk) -> None:
    other = open_store(desk.settings.database)
    with accepting() as receiver:
        for number in range(5):
            await add_sink(desk, receiver.url(f"/{number}"))
        for number in range(4):
            await revoked(desk, f"tester-{number}")
        both = [deliverer(desk, store=store) for store in (desk.store, other)]
        while sum(await asyncio.gather(*(one.sweep() for one in both))):
            await asyncio.gather(*(one.flights.landed() for one in both))
        ids = [opened(call)[1]["jti"] for call in receiver.calls]
    await other.close()
    assert (len(ids), len(set(ids))) == (40, 40)


async def test_what_a_gateway_held_when_it_was_ended_becomes_due_again(desk: Desk) -> None:
    with accepting() as receiver:
        receiver.hold.clear()
        await add_sink(desk, receiver.url())
        await move(desk, await desk.issue(), "suspended")
        ended = deliverer(desk)
        await ended.sweep()
        while not receiver.calls:
            await asyncio.sleep(0.01)
        await ended.flights.close(grace=0)
        receiver.hold.set()
        await deliver(desk)
        assert len(receiver.calls) == 1  # the claim still holds
        desk.clock.advance(10)
        await deliver(desk)
    first, second = receiver.calls
    assert first.body == second.body
    assert [(row["state"], row["attempts"]) for row in await sent(desk)] == [("delivered", 2)]


async def test_one_that_was_ended_in_its_last_attempt_is_dead(desk: Desk) -> None:
    with receiving() as receiver:
        receiver.hold.clear()
        await add_sink(desk, receiver.url())
        await move(desk, await desk.issue(), "suspended")
        one = deliverer(desk, attempts=1)
        await one.sweep()
        await one.flights.close(grace=0)
    desk.clock.advance(10)
    await deliver(desk, attempts=1)
    (row,) = await sent(desk)
    assert (row["state"], row["error"]) == ("dead", "The gateway was ended during the last attempt.")


@pytest.mark.parametrize("address", ["10.0.0.7", "169.254.169.254", "::1", "fd00::1"])
async def test_the_address_is_judged_again_at_each_attempt(make_desk: DeskMaker, address: str) -> None:
    desk = await make_desk()
    with accepting() as receiver:
        await add_sink(desk, f"http://93.184.216.34:{receiver.port}/")

        async def moved(host: str, port: int) -> list[str]:
            return [address]

        await desk.store.write(lambda tx: tx.execute("UPDATE sinks SET url = 'http://soc.example.test/'"))
        await move(desk, await desk.issue(), "suspended")
        one = deliverer(desk, resolve=moved)
        await one.sweep()
        await one.flights.landed()
    assert receiver.calls == []
    (row,) = await sent(desk)
    assert (row["state"], row["status_code"]) == ("pending", None)
    assert "This URL is not called" in row["error"]


@pytest.mark.sqlite_alone
async def test_an_idle_look_is_one_step_into_an_index(desk: Desk) -> None:
    def plan(tx: Any) -> list[str]:
        sql = "EXPLAIN QUERY PLAN SELECT 1 FROM signals WHERE state = 'pending' AND next_attempt_at <= 1"
        return [row["detail"] for row in tx.fetch_all(sql)]

    (found,) = await desk.store.read(plan)
    assert "USING INDEX signals_due (next_attempt_at<?)" in found


async def test_the_log_is_filtered(desk: Desk) -> None:
    one, other = await add_sink(desk, NOBODY), await add_sink(desk, NOBODY)
    issued = await desk.issue()
    await move(desk, issued, "suspended")
    revocation = (await desk.revoke({"accessor": issued["accessor"]})).json()
    await revoked(desk, "tester-002")
    assert len(await sent(desk)) == 10
    assert {row["sink"] for row in await sent(desk, sink=one["id"])} == {one["id"]}
    assert len(await sent(desk, txn=revocation["txn"], sink=other["id"])) == 2
    assert {row["accessor"] for row in await sent(desk, accessor=issued["accessor"])} == {issued["accessor"]}
    assert await sent(desk, state="dead") == []
    assert json.dumps(await sent(desk)).count(NOBODY) == 0
    odd = await desk.http.get("/control/sinks/deliveries", params={"state": "lost"}, headers=desk.admin)
    assert odd.status_code == 422


async def test_a_reset_clears_sinks_and_what_they_are_owed(desk: Desk) -> None:
    await add_sink(desk, NOBODY)
    await revoked(desk)
    assert (await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)).status_code == 200
    assert await sent(desk) == []
    assert (await desk.http.get("/control/sinks", headers=desk.admin)).json()["data"] == []


async def test_any_order_of_changes_pauses_and_failures_loses_nothing(desk: Desk) -> None:
    """A seeded walk: whatever was owed and never dropped is delivered, and nothing goes to a sink that is paused."""
    chance = random.Random(11)
    with receiving() as receiver:
        receiver.answer = lambda path, before: (chance.choice([202, 202, 503]), {})
        made = [await add_sink(desk, receiver.url(f"/{number}")) for number in range(3)]
        status = ["enabled"] * len(made)
        worker = deliverer(desk, attempts=50, first_retry_seconds=1)
        for number in range(100):
            step = chance.choice(["change", "change", "sweep", "sweep", "wait", "pause", "enable"])
            which = chance.randrange(len(made))
            if step == "change":
                await move(desk, await desk.issue(f"tester-{number:03}"), "suspended")
            elif step == "sweep":
                await worker.sweep()
            elif step == "wait":
                await worker.flights.landed()
                desk.clock.advance(chance.uniform(0, 3))
            else:
                await worker.flights.landed()
                status[which] = "paused" if step == "pause" else "enabled"
                await change_sink(desk, made[which], status=status[which])
            before = [len(receiver.to(f"/{number}")) for number in range(3)]
            if step not in ("sweep", "wait"):
                await worker.sweep()
                await worker.flights.landed()
                after = [len(receiver.to(f"/{number}")) for number in range(3)]
                assert all(was == now for was, now, how in zip(before, after, status, strict=True) if how == "paused")
        for sink in made:
            await change_sink(desk, sink, status="enabled")
        receiver.answer = lambda path, before: (202, {})
        for _ in range(3):
            await deliver(desk, attempts=50)
            desk.clock.advance(4000)
        rows = await sent(desk, limit="10000")
    assert {row["state"] for row in rows} == {"delivered"}
    for number, sink in enumerate(made):
        got = {opened(call)[1]["jti"] for call in receiver.to(f"/{number}")}
        assert got == {row["id"] for row in rows if row["sink"] == sink["id"]}


@pytest.mark.sqlite_alone
async def test_the_oldest_due_signal_is_found_by_index(desk: Desk) -> None:
    await add_sink(desk, NOBODY)

    def plan(tx: Any) -> list[str]:
        sql = (
            "EXPLAIN QUERY PLAN SELECT seq FROM signals WHERE state = 'pending' AND sink = 'a' "
            "AND next_attempt_at <= 1 ORDER BY seq LIMIT 1"
        )
        return [row["detail"] for row in tx.fetch_all(sql)]

    (found,) = await desk.store.read(plan)
    assert found == "SEARCH signals USING INDEX signals_lanes (sink=?)"  # in its order: nothing is sorted
