"""The way back from a false alarm: who comes back when, what is looked at, and what ends a ramp."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk import START, Desk, DeskMaker, bearer_of
from gateway.clock import FrozenClock
from gateway.revocations import restoring
from gateway.revocations.ramp import Ramps
from gateway.revocations.restoring import batch_size
from gateway.revocations.service import Selector
from gateway.store import open_store
from gateway.tokens import TokenState
from gateway.tokens import service as token_service
from tampering import raw, refusing

pytestmark = pytest.mark.anyio

MINTING = ["videos:read", "videos:write", "tokens:mint"]


async def move(desk: Desk, issued: dict[str, Any], state: str) -> None:
    path = f"/control/tokens/{issued['accessor']}"
    assert (await desk.http.patch(path, json={"state": state}, headers=desk.admin)).status_code == 200


async def suspended(desk: Desk, number: int, state: str = "suspended", **more: Any) -> list[dict[str, Any]]:
    """So many tokens of cohort alpha that were suspended."""
    issued = [await desk.issue(f"a{one}", **more) for one in range(number)]
    for one in issued:
        await move(desk, one, state)
    return issued


async def post(desk: Desk, selector: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"selector": selector, "reason": "false alarm", **more}
    return await desk.http.post("/control/restorations", json=body, headers=desk.admin)


async def restore(desk: Desk, selector: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await post(desk, selector, **more)
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def shown(desk: Desk, id: str) -> dict[str, Any]:
    answer = await desk.http.get(f"/control/restorations/{id}", headers=desk.admin)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def accepted(desk: Desk, issued: list[dict[str, Any]]) -> list[int]:
    """Which of them may create, by place."""
    found = []
    for place, one in enumerate(issued):
        answer = await desk.http.post("/v1/videos", json={}, headers=bearer_of(one))
        assert answer.status_code in (400, 401, 403), answer.text
        found += [place] if answer.status_code == 400 else []
    return found


async def kinds(desk: Desk) -> list[str]:
    return [event["kind"] for event in await desk.events("restoration.")]


@pytest.mark.parametrize("state", ["suspended", "quarantined"])
async def test_one_token_is_back_and_was_looked_at_when_the_call_answers(desk: Desk, state: str) -> None:
    (issued,) = await suspended(desk, 1, state)
    done = await restore(desk, {"accessor": issued["accessor"]})
    assert (done["state"], done["over_seconds"], done["batch"], done["next_at"]) == ("done", 0, 1, None)
    assert done["counts"] == {"waiting": 0, "restored": 1, "already": 0, "final": 0, "failed": 0}
    (batch,) = done["batches"]
    assert (batch["number"], batch["tokens"], batch["verified"], batch["at"]) == (1, 1, True, desk.clock.now())
    assert await accepted(desk, [issued]) == [0]
    assert await kinds(desk) == [
        "restoration.started",
        "restoration.batch",
        "restoration.verified",
        "restoration.done",
    ]
    moved = (await desk.events("token.state_changed"))[-1]
    assert moved["data"] == {"from": state, "to": "active", "restoration": done["id"]}


@pytest.mark.parametrize("selector", ["token", "accessor", "principal", "label", "fingerprint", "issued_before", "all"])
async def test_the_selectors_are_those_of_a_revocation(desk: Desk, selector: str) -> None:
    (issued,) = await suspended(desk, 1, labels=["wave-1"])
    desk.clock.advance(1)
    chosen = {
        "token": issued["token"],
        "accessor": issued["accessor"],
        "principal": "a0",
        "label": "wave-1",
        "fingerprint": hashlib.sha256(issued["token"].encode()).hexdigest(),
        "issued_before": desk.clock.now(),
        "all": True,
    }
    more = {"confirm": "all"} if selector == "all" else {}
    done = await restore(desk, {selector: chosen[selector]}, **more)
    assert (done["state"], done["counts"]["restored"]) == ("done", 1)
    assert issued["token"] not in str(done)
    assert issued["token"] not in str(await desk.events())


async def test_many_come_back_in_batches_and_never_more_than_one_at_a_time(desk: Desk) -> None:
    issued = await suspended(desk, 10)
    begun = await restore(desk, {"cohort": "alpha"}, over_seconds=4)
    assert (begun["state"], begun["batch"], begun["next_at"]) == ("running", 3, desk.clock.now() + 1)
    seen = [len(await accepted(desk, issued))]
    for _ in range(4):
        desk.clock.advance(0.5)
        await desk.context.ramps.step()
        seen.append(len(await accepted(desk, issued)))
        desk.clock.advance(0.5)
        await desk.context.ramps.step()
        await desk.context.ramps.step()
        seen.append(len(await accepted(desk, issued)))
    assert seen == [3, 3, 6, 6, 9, 9, 10, 10, 10]
    done = await shown(desk, begun["id"])
    assert (done["state"], done["counts"]["restored"]) == ("done", 10)
    assert [(one["tokens"], one["verified"]) for one in done["batches"]] == [(3, True)] * 3 + [(1, True)]
    assert [one["at"] - begun["requested_at"] for one in done["batches"]] == [0, 1, 2, 3]
    assert (await kinds(desk))[1::2] == ["restoration.batch"] * 4 + ["restoration.done"]


async def test_jobs_are_claimed_as_their_tokens_come_back(desk: Desk) -> None:
    issued = [await desk.issue(f"a{number}") for number in range(4)]
    for one in issued:
        for _ in range(2):
            await desk.create(bearer_of(one))
        await move(desk, one, "suspended")
    assert await desk.claim() is None
    begun = await restore(desk, {"cohort": "alpha"}, over_seconds=20, batch=1)
    for passed in range(4):
        back = [one["accessor"] for one in (await shown(desk, begun["id"]))["items"] if one["outcome"] == "restored"]
        assert len(back) == passed + 1
        claimed = [await desk.claimed() for _ in range(2)]
        assert {job.accessor for job in claimed} == {back[-1]}
        assert await desk.claim() is None, "no other token's jobs are claimable yet"
        for job in claimed:
            assert await desk.complete(job)
        desk.clock.advance(5)
        await desk.context.ramps.step()


async def test_a_ramp_that_was_interrupted_does_not_catch_up(desk: Desk) -> None:
    issued = await suspended(desk, 6)
    begun = await restore(desk, {"cohort": "alpha"}, over_seconds=6, batch=1)
    desk.clock.advance(3600)
    await desk.context.ramps.step()
    assert len(await accepted(desk, issued)) == 2
    assert (await shown(desk, begun["id"]))["next_at"] == desk.clock.now() + 1


async def test_two_gateways_on_one_database_share_a_ramp(desk: Desk) -> None:
    issued = await suspended(desk, 6)
    await restore(desk, {"cohort": "alpha"}, over_seconds=6, batch=2)
    other = open_store(desk.settings.database)
    gateways = [desk.context.ramps, Ramps(other, desk.clock, 100)]
    for expected in (4, 6, 6):
        desk.clock.advance(2)
        await asyncio.gather(*(one.step() for one in gateways for _ in range(3)))
        assert len(await accepted(desk, issued)) == expected
    await other.close()
    assert (await kinds(desk)).count("restoration.batch") == 3
    assert (await kinds(desk)).count("restoration.verified") == 3
    assert (await kinds(desk))[-1] == "restoration.done"


async def test_a_gateway_that_ended_before_it_looked_leaves_that_to_the_next(desk: Desk) -> None:
    await suspended(desk, 2)
    with refusing(desk, "UPDATE", "restoration_batches"):
        answer = await post(desk, {"cohort": "alpha"}, over_seconds=2, batch=1)
        assert answer.status_code in (500, 503)
    desk.clock.advance(10)
    begun = await restore(desk, {"cohort": "alpha"}, over_seconds=2, batch=1)
    assert len(await desk.events("restoration.started")) == 1, "the same one goes on"
    assert [(one["number"], one["verified"]) for one in begun["batches"]] == [(1, True), (2, True)]
    assert begun["state"] == "done"


async def test_revoked_and_expired_are_final_and_active_ones_need_nothing(desk: Desk) -> None:
    back, revoked, expired = await suspended(desk, 3, expires_in=1000)
    active = await desk.issue("a9")
    await desk.revoke({"accessor": revoked["accessor"]})
    raw(desk, "UPDATE tokens SET expires_at = 1 WHERE accessor = :it", it=expired["accessor"])
    done = await restore(desk, {"cohort": "alpha"}, over_seconds=0)
    outcomes = {item["accessor"]: item["outcome"] for item in done["items"]}
    assert outcomes == {
        back["accessor"]: "restored",
        revoked["accessor"]: "final",
        expired["accessor"]: "final",
        active["accessor"]: "already",
    }
    again = await restore(desk, {"cohort": "alpha"})
    assert (again["state"], again["counts"]["already"], again["batches"]) == ("done", 2, [])
    assert len(await desk.events("token.state_changed")) == 3 + 1
    assert (await desk.http.get("/v1/videos", headers=bearer_of(revoked))).status_code == 401


async def test_to_quarantined_moves_up_only(desk: Desk) -> None:
    (one,) = await suspended(desk, 1)
    active, held = await desk.issue("a8"), await desk.issue("a9")
    await move(desk, held, "quarantined")
    done = await restore(desk, {"cohort": "alpha"}, to="quarantined", over_seconds=0)
    assert (done["state"], done["counts"]["restored"], done["counts"]["already"]) == ("done", 1, 2)
    seen = [(await desk.http.get("/v1/videos", headers=bearer_of(each))).status_code for each in (one, active, held)]
    assert seen == [200] * 3
    assert await accepted(desk, [one, active, held]) == [1]


async def test_a_child_of_a_suspended_parent_does_not_verify_and_halts_the_ramp(desk: Desk) -> None:
    parent = await desk.issue("parent", "beta", scopes=MINTING)
    body = {"labels": ["child"]}
    child = (await desk.http.post("/v1/tokens", json=body, headers=bearer_of(parent))).json()
    other = await desk.issue("other", labels=["child"])
    for one in (child, other, parent):
        await move(desk, one, "suspended")
    done = await restore(desk, {"label": "child"}, over_seconds=0)
    assert done["state"] == "halted"
    why = f"the token that minted it, {parent['accessor']}, is suspended"
    assert done["batches"][0]["not_verified"] == [{"accessor": child["accessor"], "why": why}]
    assert why in done["because"]
    outcomes = {item["accessor"]: (item["outcome"], item["verified"]) for item in done["items"]}
    assert outcomes == {child["accessor"]: ("restored", False), other["accessor"]: ("restored", True)}
    assert (await desk.events("restoration.halted"))[0]["data"]["because"] == done["because"]
    assert (await restore(desk, {"cohort": "beta"}, over_seconds=0))["state"] == "done"
    assert (await desk.http.get("/v1/videos", headers=bearer_of(child))).status_code == 200


async def test_parents_come_back_before_what_they_minted(desk: Desk) -> None:
    parents = [await desk.issue(f"p{number}", scopes=MINTING) for number in range(3)]
    children = [(await desk.http.post("/v1/tokens", json={}, headers=bearer_of(one))).json() for one in parents]
    for one in (*children, *parents):
        await move(desk, one, "suspended")
    done = await restore(desk, {"cohort": "alpha"}, over_seconds=0, batch=2)
    assert (done["state"], len(done["batches"])) == ("done", 3)
    assert {one["accessor"] for one in done["items"][:3]} == {one["accessor"] for one in parents}


async def test_a_row_that_does_not_change_halts_the_ramp(desk: Desk) -> None:
    stuck, after = await suspended(desk, 2)
    raw(desk, "UPDATE tokens SET created_at = 1 WHERE accessor = :it", it=stuck["accessor"])
    with refusing(desk, "UPDATE", "tokens", f"old.accessor = '{stuck['accessor']}'", silently=True):
        done = await restore(desk, {"cohort": "alpha"}, over_seconds=10)
    assert (done["state"], done["counts"]["failed"], done["counts"]["waiting"]) == ("halted", 1, 1)
    assert "its row did not change" in done["because"]
    assert await accepted(desk, [stuck, after]) == []
    assert (await restore(desk, {"cohort": "alpha"}, over_seconds=0))["state"] == "done"
    assert await accepted(desk, [stuck, after]) == [0, 1]


async def test_a_token_that_ends_during_the_ramp_is_final(desk: Desk) -> None:
    first, second = await suspended(desk, 2)
    begun = await restore(desk, {"cohort": "alpha"}, over_seconds=2, batch=1)
    waiting = next(one["accessor"] for one in begun["items"] if one["outcome"] == "waiting")
    assert waiting in (first["accessor"], second["accessor"])
    await desk.revoke({"accessor": waiting})
    desk.clock.advance(1)
    await desk.context.ramps.step()
    done = await shown(desk, begun["id"])
    assert (done["state"], done["counts"]["final"], done["counts"]["restored"]) == ("done", 1, 1)


@pytest.mark.parametrize("failure", ["overloaded", "rate_limit_exceeded", "insufficient_quota"])
async def test_a_restored_token_that_is_told_to_wait_halts_the_ramp(desk: Desk, failure: str) -> None:
    issued = {one["accessor"]: one for one in await suspended(desk, 3)}
    bystander = await desk.bearer("bystander", "beta")
    begun = await restore(desk, {"cohort": "alpha"}, over_seconds=3)
    back = next(one for one in begun["items"] if one["outcome"] == "restored")
    rule = {"failure": failure, "surface": ["list"]}
    answer = await desk.http.post("/control/faults", json=rule, headers=desk.admin)
    assert answer.status_code == 201, answer.text
    assert (await desk.http.get("/v1/videos", headers=bystander)).status_code in (429, 503)
    desk.clock.advance(1)
    await desk.context.ramps.step()
    assert (await shown(desk, begun["id"]))["counts"]["restored"] == 2, "a bystander's refusals do not count"
    answer = await desk.http.get("/v1/videos", headers=bearer_of(issued[back["accessor"]]))
    assert answer.status_code in (429, 503)
    desk.clock.advance(1)
    await desk.context.ramps.step()
    done = await shown(desk, begun["id"])
    if failure == "insufficient_quota":
        assert done["state"] == "done"
    else:
        assert (done["state"], done["counts"]["waiting"]) == ("halted", 1)
        assert done["because"] == f"overload: restored token {back['accessor']} was told {answer.status_code} {failure}"


async def test_a_full_line_halts_the_ramp_after_its_first_batch(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_limit=2)
    issued = await suspended(desk, 3)
    bystander = await desk.bearer("bystander", "beta")
    for _ in range(2):
        await desk.create(bystander)
    begun = await restore(desk, {"cohort": "alpha"}, over_seconds=3)
    assert begun["counts"]["restored"] == 1
    assert (begun["state"], begun["because"]) == ("halted", "overload: 2 videos are waiting, which is the limit")
    await desk.finished()
    done = await restore(desk, {"cohort": "alpha"}, over_seconds=0)
    assert (done["state"], done["counts"]["already"], len(await accepted(desk, issued))) == ("done", 1, 3)


async def test_a_ramp_can_be_stopped_and_begun_again(desk: Desk) -> None:
    await suspended(desk, 4)
    begun = await restore(desk, {"cohort": "alpha"}, over_seconds=4)
    for _ in range(2):
        answer = await desk.http.post(f"/control/restorations/{begun['id']}/stop", headers=desk.admin)
        assert (answer.json()["state"], answer.json()["because"]) == ("stopped", "stopped by admin")
    desk.clock.advance(10)
    await desk.context.ramps.step()
    assert (await shown(desk, begun["id"]))["counts"]["waiting"] == 3
    assert (await kinds(desk)).count("restoration.stopped") == 1
    again = await restore(desk, {"cohort": "alpha"}, over_seconds=0)
    assert (again["id"] != begun["id"], again["state"], again["counts"]["already"]) == (True, "done", 1)
    answer = await desk.http.post(f"/control/restorations/{again['id']}/stop", headers=desk.admin)
    assert answer.json()["state"] == "done"


async def test_one_ramp_at_a_time_and_the_same_call_again_is_the_same_ramp(desk: Desk) -> None:
    await suspended(desk, 2)
    begun = await restore(desk, {"cohort": "alpha"})
    assert (await restore(desk, {"cohort": "alpha"}))["id"] == begun["id"]
    for other in ({"selector": {"principal": "a1"}}, {"selector": {"cohort": "alpha"}, "to": "quarantined"}):
        answer = await desk.http.post("/control/restorations", json={"reason": "x", **other}, headers=desk.admin)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "restoration_running")
        assert begun["id"] in answer.json()["error"]["message"]


@pytest.mark.parametrize("thaw", [True, False])
async def test_a_mint_freeze_is_lifted_at_the_end_and_only_when_asked_for(desk: Desk, thaw: bool) -> None:
    await suspended(desk, 2)
    await desk.http.put("/control/mint", json={"frozen": True}, headers=desk.admin)
    await restore(desk, {"cohort": "alpha"}, over_seconds=2, thaw_mint=thaw)
    assert (await desk.http.get("/control/mint", headers=desk.admin)).json()["frozen"] is True
    desk.clock.advance(1)
    await desk.context.ramps.step()
    assert (await kinds(desk))[-1] == "restoration.done"
    assert (await desk.http.get("/control/mint", headers=desk.admin)).json()["frozen"] is not thaw


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"selector": {"cohort": "nobody"}}, 404, "token_not_found"),
        ({"selector": {"all": True}}, 400, "confirmation_required"),
        ({"selector": {"cohort": "alpha"}, "to": "suspended"}, 422, "invalid_value"),
        ({"selector": {"cohort": "alpha"}, "to": "revoked"}, 422, "invalid_value"),
        ({"selector": {"cohort": "alpha"}, "over_seconds": -1}, 422, "invalid_value"),
        ({"selector": {"cohort": "alpha"}, "over_seconds": "30"}, 422, "invalid_value"),
        ({"selector": {"cohort": "alpha"}, "batch": 0}, 422, "invalid_value"),
        ({"selector": {"cohort": "alpha"}, "reason": ""}, 422, "invalid_value"),
        ({"selector": {"cohort": "alpha", "principal": "a0"}}, 422, "invalid_value"),
        ({"selector": {"token": "ldk_0"}}, 400, "invalid_value"),
    ],
)
async def test_what_cannot_be_restored(desk: Desk, body: dict[str, Any], status: int, code: str) -> None:
    issued = await suspended(desk, 1)
    answer = await desk.http.post("/control/restorations", json={"reason": "x", **body}, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert await accepted(desk, issued) == []
    assert await kinds(desk) == []


async def test_a_restoration_that_is_not_there(desk: Desk) -> None:
    for method, path in (("GET", "/control/restorations/rst_0"), ("POST", "/control/restorations/rst_0/stop")):
        answer = await desk.http.request(method, path, headers=desk.admin)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "restoration_not_found")


async def test_a_reset_forgets_a_ramp(desk: Desk) -> None:
    await suspended(desk, 2)
    await restore(desk, {"cohort": "alpha"})
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    desk.clock.advance(60)
    await desk.context.ramps.step()
    assert (await kinds(desk))[-1] == "restoration.verified"


@given(
    number=st.integers(1, 12),
    over=st.floats(0, 20),
    batch=st.none() | st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 1), st.floats(0, 7)), min_size=1, max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_no_more_than_a_batch_comes_back_within_its_pace(
    number: int, over: float, batch: int | None, steps: list[tuple[int, float]]
) -> None:
    """Two gateways that step when they like, at any moments: what came back never runs ahead of the ramp."""

    async def played(data: Path) -> None:
        clock = FrozenClock(START)
        stores = [open_store(data / "leakdrill.db") for _ in range(2)]
        gateways = [Ramps(store, clock, 100) for store in stores]
        try:
            for one in range(number):
                _, token = await token_service.issue(
                    stores[0], b"key", token_service.NewToken(f"a{one}", "alpha"), now=START, actor="admin"
                )
                await token_service.change_state(
                    stores[0], token.accessor, TokenState.SUSPENDED, now=START, actor="admin"
                )
            wanted = restoring.Wanted(Selector(cohort="alpha"), "false alarm", over_seconds=over, batch=batch)
            id = await restoring.start(stores[0], b"key", wanted, actor="admin", clock=clock)
            for which, passed in steps:
                await gateways[which].step()
                clock.advance(passed)
            while (progress := await restoring.show(stores[1], id)).restoration.state == "running":
                await gateways[1].step()
                clock.advance(1)
        finally:
            for store in stores:
                await store.close()
        plan, moments = progress.restoration, [one.at for one in progress.batches]
        assert plan.state == "done"
        assert sum(one.tokens for one in progress.batches) == number
        assert max(one.tokens for one in progress.batches) <= plan.size
        assert all(after >= before + plan.interval for before, after in pairwise(moments))

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(played(Path(directory)))


@pytest.mark.parametrize(
    ("number", "over", "batch", "size"),
    [(300, 30, None, 10), (301, 30, None, 11), (5, 30, None, 1), (300, 0, None, 300), (1, 0, None, 1), (300, 30, 7, 7),
     (10, 0.5, None, 10), (0, 30, None, 1)],
)  # fmt: skip
def test_a_batch_a_second_unless_told(number: int, over: float, batch: int | None, size: int) -> None:
    assert batch_size(number, over, batch) == size
