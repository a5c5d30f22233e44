"""Credits: what a video costs, who pays, and that the ledger balances whatever happens to a job."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk import START, Desk, DeskMaker, bearer_of
from gateway.app import create_app
from gateway.clock import FrozenClock
from gateway.jobs import Job, lifecycle
from gateway.settings import Settings, prepare_data
from gateway.store import open_store
from gateway.tokens.keys import load_keyring
from tampering import raw, refusing, statements

pytestmark = pytest.mark.anyio

MINTING = ["videos:read", "videos:write", "tokens:mint"]
SMALL = {"size": "480x480", "seconds": "1"}  # one credit


async def account(desk: Desk, issued: dict[str, Any]) -> dict[str, Any]:
    answer = await desk.http.get(f"/control/tokens/{issued['accessor']}", headers=desk.admin)
    found: dict[str, Any] = answer.json()["credits"]
    return found


async def figures(desk: Desk, issued: dict[str, Any]) -> tuple[int, int, int, int]:
    """Reserved, spent, released and available."""
    found = await account(desk, issued)
    return found["reserved"], found["spent"], found["released"], found["available"]


async def ledger(desk: Desk) -> dict[str, Any]:
    answer = await desk.http.get("/control/credits", headers=desk.admin)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def submit(desk: Desk, issued: dict[str, Any], **fields: Any) -> httpx.Response:
    body = {"prompt": "rain", **SMALL, **fields}
    return await desk.http.post("/v1/videos", json=body, headers=bearer_of(issued))


@pytest.mark.parametrize(
    ("size", "seconds", "credits"),
    [
        ("480x480", "1", 1),
        ("854x480", "4", 4),
        ("720x720", "4", 8),
        ("720x1280", "4", 8),
        ("1024x1024", "3", 15),
        ("1024x1792", "12", 60),
        ("1920x1080", "12", 84),
    ],
)
async def test_a_video_costs_by_seconds_and_size(desk: Desk, size: str, seconds: str, credits: int) -> None:
    issued = await desk.issue(credits=100)
    assert (await submit(desk, issued, size=size, seconds=seconds)).status_code == 200
    assert await figures(desk, issued) == (credits, 0, 0, 100 - credits)
    assert (await desk.events("job.queued"))[-1]["data"]["credits"] == credits
    await desk.finished()
    assert await figures(desk, issued) == (0, credits, 0, 100 - credits)


async def test_an_extension_costs_what_it_adds(desk: Desk) -> None:
    issued = await desk.issue(credits=100)
    id = (await submit(desk, issued, seconds="10")).json()["id"]
    await desk.finished()
    body = {"prompt": "more", "video": {"id": id}, "seconds": "3"}
    answer = await desk.http.post("/v1/videos/extensions", json=body, headers=bearer_of(issued))
    assert answer.status_code == 200, answer.text
    assert await figures(desk, issued) == (3, 10, 0, 87)


async def test_without_credits_a_token_is_unmetered(desk: Desk) -> None:
    issued = await desk.issue()
    assert issued["account"] is None
    assert not await account(desk, issued)
    assert (await submit(desk, issued)).status_code == 200
    assert await ledger(desk) == {"balanced": True, "unbalanced": [], "data": []}
    assert "credits" not in (await desk.events("job.queued"))[-1]["data"]
    (done,) = [(await desk.revoke({"all": True}, confirm="all")).json()]
    assert done["credits_released"] == 0


async def test_too_few_credits_are_told_as_the_vendor_tells_them(desk: Desk) -> None:
    issued = await desk.issue(credits=7)
    before = await desk.events()
    answer = await submit(desk, issued, size="1280x720", seconds="4")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert "costs 8 credits" in error["message"]
    assert "7 left" in error["message"]
    assert await desk.events() == before
    assert await figures(desk, issued) == (0, 0, 0, 7)
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).json()["data"] == []
    assert (await submit(desk, issued, seconds="7")).status_code == 200
    assert (await submit(desk, issued)).status_code == 429


async def test_a_budget_of_nothing_reads_and_makes_nothing(desk: Desk) -> None:
    issued = await desk.issue(credits=0)
    assert (await desk.http.get("/v1/videos", headers=bearer_of(issued))).status_code == 200
    assert (await submit(desk, issued)).status_code == 429


@pytest.mark.parametrize("credits", [-1, 1.5, "10", True, 10**13])
async def test_what_cannot_be_granted(desk: Desk, credits: Any) -> None:
    body = {"principal": "a", "cohort": "b", "credits": credits}
    answer = await desk.http.post("/control/tokens", json=body, headers=desk.admin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_value")


async def test_submits_at_once_do_not_overdraw(desk: Desk) -> None:
    issued = await desk.issue(credits=5)
    answers = await asyncio.gather(*(submit(desk, issued) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 15
    assert await figures(desk, issued) == (5, 0, 0, 0)
    assert (await ledger(desk))["balanced"] is True


async def test_a_replayed_request_reserves_nothing(desk: Desk) -> None:
    issued = await desk.issue(credits=1)
    headers = {**bearer_of(issued), "Idempotency-Key": "once"}
    body = {"prompt": "rain", **SMALL}
    first = await desk.http.post("/v1/videos", json=body, headers=headers)
    again = await desk.http.post("/v1/videos", json=body, headers=headers)
    assert (first.status_code, again.status_code, again.json()["id"]) == (200, 200, first.json()["id"])
    assert await figures(desk, issued) == (1, 0, 0, 0)


@pytest.mark.parametrize("way", ["cancel", "delete", "fail", "worker lost", "revoke"])
async def test_what_ends_without_a_clip_is_given_back(desk: Desk, way: str) -> None:
    issued = await desk.issue(credits=3)
    headers = bearer_of(issued)
    id = (await submit(desk, issued, seconds="3")).json()["id"]
    if way == "cancel":
        await desk.http.post(f"/v1/videos/{id}/cancel", headers=headers)
        await desk.http.post(f"/v1/videos/{id}/cancel", headers=headers)
    elif way == "delete":
        await desk.http.delete(f"/v1/videos/{id}", headers=headers)
    elif way == "fail":
        job = await desk.claimed()
        for _ in range(2):
            await lifecycle.fail(desk.store, job, worker="w1", code="x", message="x", now=desk.clock.now())
    elif way == "worker lost":
        for _ in range(desk.settings.max_attempts):
            await desk.claimed()
            desk.clock.advance(6)
            assert (await figures(desk, issued))[0] == 3, "a job that is handed on stays paid for"
        assert await desk.claim() is None
    else:
        done = (await desk.revoke({"principal": "tester-001"})).json()
        assert done["credits_released"] == 3
        assert (await desk.revoke({"principal": "tester-001"})).json()["credits_released"] == 0
    assert await figures(desk, issued) == (0, 0, 3, 3)
    assert (await ledger(desk))["balanced"] is True


async def test_a_finished_video_that_is_deleted_stays_paid_for(desk: Desk) -> None:
    issued = await desk.issue(credits=3)
    id = (await submit(desk, issued)).json()["id"]
    await desk.finished()
    await desk.http.delete(f"/v1/videos/{id}", headers=bearer_of(issued))
    assert await figures(desk, issued) == (0, 1, 0, 2)
    assert (await ledger(desk))["balanced"] is True


async def test_a_child_draws_on_its_parents_account(desk: Desk) -> None:
    parent = await desk.issue(credits=3, scopes=MINTING)
    child = (await desk.http.post("/v1/tokens", json={"scopes": MINTING}, headers=bearer_of(parent))).json()
    grandchild = (await desk.http.post("/v1/tokens", json={}, headers=bearer_of(child))).json()
    assert child["account"] == grandchild["account"] == parent["accessor"]
    for one in (parent, child, grandchild):
        assert (await submit(desk, one)).status_code == 200
        assert (await account(desk, one))["account"] == parent["accessor"]
    assert (await submit(desk, grandchild)).status_code == 429
    done = (await desk.revoke({"accessor": child["accessor"]})).json()
    assert done["credits_released"] == 2
    assert await figures(desk, parent) == (1, 0, 2, 2)
    assert [one["principal"] for one in (await ledger(desk))["data"]] == ["tester-001"]


@pytest.mark.sqlite_alone
async def test_a_revocation_gives_back_with_one_statement_however_many_jobs_there_are(desk: Desk) -> None:
    issued = [await desk.issue(f"a{number}", credits=50, tier="unlimited") for number in range(2)]
    other = await desk.issue("b", "beta", credits=50)
    for one in (*issued, other):
        for _ in range(20):
            await submit(desk, one)
    with statements(desk, "writer") as seen:
        done = (await desk.revoke({"cohort": "alpha"})).json()
    updates = [sql for sql in seen if sql.startswith("UPDATE credit_accounts")]
    assert (done["credits_released"], len(updates)) == (40, 1)
    assert await figures(desk, other) == (20, 0, 0, 30)
    assert (await ledger(desk))["balanced"] is True


async def test_the_ledger_names_what_does_not_balance(desk: Desk) -> None:
    good, wrong, stray = [await desk.issue(f"a{number}", credits=5) for number in range(3)]
    for one in (good, wrong, stray):
        await submit(desk, one)
    raw(desk, "UPDATE credit_accounts SET spent = 1 WHERE id = :it", it=wrong["accessor"])
    raw(desk, "UPDATE jobs SET account = NULL, credits = NULL WHERE accessor = :it", it=stray["accessor"])
    found = await ledger(desk)
    assert found["balanced"] is False
    assert sorted(found["unbalanced"]) == sorted([wrong["accessor"], stray["accessor"]])
    shown = {one["account"]: one for one in found["data"]}
    assert (shown[wrong["accessor"]]["spent"], shown[wrong["accessor"]]["jobs"]["spent"]) == (1, 0)
    assert (shown[stray["accessor"]]["reserved"], shown[stray["accessor"]]["jobs"]["strays"]) == (1, 1)
    assert shown[good["accessor"]]["balanced"] is True


async def test_where_the_event_cannot_be_written_nothing_is_reserved(desk: Desk) -> None:
    issued = await desk.issue(credits=5)
    with refusing(desk, "INSERT", "events"):
        assert (await submit(desk, issued)).status_code in (500, 503)
    assert await figures(desk, issued) == (0, 0, 0, 5)


async def test_a_reset_forgets_accounts(desk: Desk) -> None:
    issued = await desk.issue(credits=5)
    await submit(desk, issued)
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert (await ledger(desk))["data"] == []


@pytest.mark.sqlite_alone
async def test_an_unmetered_poll_and_create_cost_no_further_statement(make_desk: DeskMaker) -> None:
    desk = await make_desk()
    issued = await desk.issue()
    with statements(desk, "reader", "writer") as seen:
        id = (await submit(desk, issued)).json()["id"]
        await desk.http.get(f"/v1/videos/{id}", headers=bearer_of(issued))
    assert [sql for sql in seen if "credit" in sql] == []


POLICIES: list[dict[str, str]] = [
    {},
    {"queued": "keep"},
    {"running": "finish"},
    {"running": "finish_withhold"},
    {"queued": "keep", "running": "finish_withhold", "transfers": "finish"},
]
STEPS = st.one_of(
    st.tuples(st.just("submit"), st.integers(0, 3), st.integers(1, 4)),
    st.tuples(st.just("claim"), st.just(0), st.just(0)),
    st.tuples(st.sampled_from(("complete", "fail", "release")), st.integers(0, 5), st.just(0)),
    st.tuples(st.sampled_from(("cancel", "delete")), st.integers(0, 3), st.integers(0, 5)),
    st.tuples(st.just("revoke"), st.integers(0, 3), st.integers(0, len(POLICIES) - 1)),
    st.tuples(st.just("take over"), st.just(0), st.just(0)),
    st.tuples(st.just("replay"), st.integers(0, 3), st.integers(1, 4)),
)


@dataclass
class Play:
    """A gateway, four tokens of two accounts, and the attempts that workers hold or once held."""

    desk: Desk
    people: list[dict[str, Any]] = field(default_factory=list)
    videos: dict[int, list[str]] = field(default_factory=dict)
    attempts: list[Job] = field(default_factory=list)

    async def take(self, what: str, who: int, how: int) -> None:
        """One step; those that have nothing to act on do nothing."""
        desk, person = self.desk, self.people[who % len(self.people)]
        mine = self.videos.setdefault(who, [])
        if what == "submit":
            answer = await submit(desk, person, seconds=str(how))
            mine += [answer.json()["id"]] if answer.status_code == 200 else []
        elif what == "replay":
            headers = {**bearer_of(person), "Idempotency-Key": str(how)}
            await desk.http.post("/v1/videos", json={"prompt": "rain", **SMALL}, headers=headers)
        elif what == "claim" and (job := await desk.claim()) is not None:
            self.attempts.append(job)
        elif what == "take over":
            desk.clock.advance(6)
        elif what == "revoke":
            selector = {"accessor": person["accessor"]}
            await desk.revoke(selector, in_flight=POLICIES[how])
        elif what in ("cancel", "delete") and mine:
            path = f"/v1/videos/{mine[how % len(mine)]}"
            method, path = ("POST", f"{path}/cancel") if what == "cancel" else ("DELETE", path)
            await desk.http.request(method, path, headers=bearer_of(person))
        elif what in ("complete", "fail", "release") and self.attempts:
            await self._end(what, self.attempts[who % len(self.attempts)])

    async def _end(self, what: str, job: Job) -> None:
        now = self.desk.clock.now()
        if what == "complete":
            await self.desk.complete(job)
        elif what == "fail":
            await lifecycle.fail(self.desk.store, job, worker="w1", code="x", message="x", now=now)
        else:
            await lifecycle.release(self.desk.store, job, worker="w1", now=now)


async def begun(data: Path) -> Play:
    own = Settings(data=data, estimate_seconds=0)
    prepare_data(own)
    keys, store, clock = load_keyring(own), open_store(own.database), FrozenClock(START)
    app = create_app(own, store=store, clock=clock, keys=keys)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test")
    desk = Desk(http, store, clock, own, keys, app.state.context)
    parent, other = await desk.issue("a", credits=9, scopes=MINTING), await desk.issue("b", credits=5)
    child = (await desk.http.post("/v1/tokens", json={}, headers=bearer_of(parent))).json()
    return Play(desk, [parent, child, other, await desk.issue("c")])


@given(steps=st.lists(STEPS, min_size=4, max_size=24))
@settings(max_examples=60, deadline=None)
def test_the_ledger_balances_after_each_step(steps: list[tuple[str, int, int]]) -> None:
    async def played(data: Path) -> None:
        play = await begun(data)
        try:
            for step in steps:
                await play.take(*step)
                found = await ledger(play.desk)
                assert found["balanced"], (step, found)
                for one in found["data"]:
                    assert min(one["reserved"], one["spent"], one["released"], one["available"]) >= 0
                    assert one["granted"] == one["reserved"] + one["spent"] + one["available"]
        finally:
            await play.desk.http.aclose()
            await play.desk.store.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(played(Path(directory)))
