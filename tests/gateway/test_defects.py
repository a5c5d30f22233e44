"""Seeded defects: with each its symptom shows, without it none does; and none can be left on unnoticed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from desk import Desk, DeskMaker, bearer_of
from gateway.errors import APIError, StoreUnavailable
from gateway.faults import modes, sight
from gateway.faults.defects import DEFECTS, Defect
from gateway.notices import service as notices
from gateway.notices.reading import Notice
from gateway.outbound import Policy
from gateway.webhooks.delivery import Deliverer
from gateway.webhooks.sending import Sender
from receiver import receiving

pytestmark = pytest.mark.anyio


@dataclass
class World:
    """Two gateways on one database, r1 and r2. `ill` is the one that errs; a revocation is posted to either."""

    r1: Desk
    r2: Desk

    def advance(self, seconds: float) -> None:
        for desk in (self.r1, self.r2):
            desk.clock.advance(seconds)

    async def err(self, defect: Defect | None, *replicas: str) -> None:
        for replica in replicas or ("r1",):
            if defect is not None:
                mode = modes.Wanted(replica=replica, defects=[defect], for_seconds=86_400)
                await modes.tell(self.r1.store, mode, now=self.r1.clock.now(), actor="test")
        for desk in (self.r1, self.r2):
            desk.context.sight.forget()

    async def told(self) -> None:
        """Both gateways do what they do in the background, once."""
        for desk in (self.r1, self.r2):
            await desk.context.sight.heed(desk.store)


@pytest.fixture
async def world(make_desk: DeskMaker) -> World:
    return World(
        await make_desk(replica="r1", allow_private_targets="loopback"),
        await make_desk(replica="r2", allow_private_targets="loopback"),
    )


async def works(desk: Desk, headers: dict[str, str], path: str = "/v1/videos") -> bool:
    answer = await desk.http.get(path, headers=headers)
    assert answer.status_code in (200, 401, 503), answer.text
    return answer.status_code == 200


async def revoke(desk: Desk, **selector: Any) -> dict[str, Any]:
    answer = await desk.revoke(selector)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


async def local_evict_only(world: World, defect: Defect | None) -> bool:
    await world.err(defect, "r1", "r2")
    headers = await world.r1.bearer()
    assert await works(world.r1, headers)
    assert await works(world.r2, headers)
    await revoke(world.r1, principal="tester-001")
    assert not await works(world.r1, headers)
    lived = await works(world.r2, headers)
    world.advance(60)
    assert not await works(world.r2, headers)
    return lived


async def recache_race(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    assert await works(world.r1, headers)
    world.advance(5)
    assert await works(world.r1, headers)  # which starts a refresh
    world.advance(0.1)
    await revoke(world.r2, principal="tester-001")
    world.advance(0.1)
    assert not await works(world.r1, headers)
    world.advance(0.2)
    return await works(world.r1, headers)


async def evict_before_write(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    assert await works(world.r1, headers)
    going = asyncio.create_task(revoke(world.r1, principal="tester-001"))
    while not going.done():
        await works(world.r1, headers)
        await asyncio.sleep(0)
    world.advance(3600)
    return await works(world.r1, headers)


async def sliding_ttl(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    assert await works(world.r1, headers)
    await revoke(world.r1, principal="tester-001")
    for _ in range(10):
        world.advance(50)
        await works(world.r1, headers)
    lived = await works(world.r1, headers)
    world.advance(60)
    assert not await works(world.r1, headers)  # who pauses is checked
    return lived


async def evict_fails(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    assert await works(world.r1, headers)
    assert (await revoke(world.r1, principal="tester-001"))["items"][0]["outcome"] == "revoked"
    world.advance(700)
    lived = await works(world.r1, headers)
    world.advance(20)
    assert not await works(world.r1, headers)
    return lived


async def first_worker_wins(world: World, defect: Defect | None) -> bool:
    await world.err(defect, "r1", "r2")
    headers = await world.r1.bearer()
    assert await works(world.r1, headers)
    assert await works(world.r2, headers)
    await revoke(world.r1, principal="tester-001")
    await world.told()  # r1 asks first, and takes the note
    assert not await works(world.r1, headers)
    world.advance(600)
    return await works(world.r2, headers)


async def store_error_ignored(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers, stranger = await world.r1.bearer(), await world.r1.bearer("tester-002")
    assert await works(world.r1, headers)
    await revoke(world.r1, principal="tester-001")
    world.advance(86_000)
    lived = await works(world.r1, headers)
    assert await works(world.r1, stranger) is (defect is None)  # what it does not remember, it cannot look up
    return lived


async def fail_open(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    await revoke(world.r1, principal="tester-001")
    return await works(world.r1, headers)


async def same_second_survives(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    old = await world.r1.bearer()
    world.advance(1.0 - world.r1.clock.now() % 1 + 0.2)
    minted = await world.r1.bearer("tester-002")
    world.advance(0.3)
    await revoke(world.r1, cohort="alpha")
    assert not await works(world.r1, old)
    return await works(world.r1, minted)


async def skew_revives(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    old = await world.r1.bearer("tester-002")
    world.advance(61)
    headers = await world.r1.bearer()
    world.advance(59)
    await revoke(world.r1, cohort="alpha")
    assert not await works(world.r1, old)
    world.advance(3600)
    return await works(world.r1, headers)


async def legacy_path_unchecked(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    done = (await world.r1.create(headers))["id"]
    await world.r1.finished()
    await revoke(world.r1, principal="tester-001")
    assert not await works(world.r1, headers, f"/v1/videos/{done}")
    return await works(world.r1, headers, f"/v1/videos/{done}/content")


async def over_revocation(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    meant, beside = await world.r1.issue(), await world.r1.bearer("tester-002")
    elsewhere = await world.r1.bearer("tester-003", "beta")
    await revoke(world.r1, accessor=meant["accessor"])
    assert not await works(world.r1, bearer_of(meant))
    assert await works(world.r1, elsewhere)
    return not await works(world.r1, beside)


async def clean_up_takes_live(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    meant, bystander = await world.r1.issue(), await world.r1.bearer("tester-002", "beta")
    temporary = await world.r1.bearer("tester-003", "beta", expires_in=3600)
    await revoke(world.r1, accessor=meant["accessor"])
    assert await works(world.r2, temporary)
    return not await works(world.r2, bystander)


async def console_differs(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    for name, selector in (("tester-001", "token"), ("tester-002", "accessor")):
        issued = await world.r1.issue(name)
        await world.r1.create(bearer_of(issued))
        await revoke(world.r1, **{selector: issued[selector]})
        assert not await works(world.r1, bearer_of(issued))
        going_on = await world.r1.claim() is not None
        assert selector == "accessor" or not going_on
    return going_on


async def bulk_hangs(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    await world.r1.bearer("tester-002")
    alone = await world.r1.bearer("tester-003", "beta")
    await revoke(world.r1, principal="tester-003")
    assert not await works(world.r1, alone)
    # Long enough for any revocation of two tokens; what hangs is still there a hundred seconds later.
    going = asyncio.create_task(revoke(world.r1, cohort="alpha"))
    done, _ = await asyncio.wait({going}, timeout=5.0)
    going.cancel()
    return not done and await works(world.r1, headers)


async def child_survives(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    parent = await world.r1.issue(scopes=["videos:read", "tokens:mint"])
    child = bearer_of((await world.r1.http.post("/v1/tokens", json={}, headers=bearer_of(parent))).json())
    await revoke(world.r1, accessor=parent["accessor"])
    assert not await works(world.r1, bearer_of(parent))
    return await works(world.r1, child)


async def link_outlives(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    done = (await world.r1.create(headers))["id"]
    await world.r1.finished()
    link = (await world.r1.http.post(f"/v1/videos/{done}/link", headers=headers)).json()["url"]
    await revoke(world.r1, principal="tester-001")
    assert not await works(world.r1, headers)
    return await works(world.r1, {}, link)


async def stream_unchecked(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    issued = await world.r1.issue()
    transfer = world.r1.context.transfers.begin(issued["accessor"], "video_1", "GET", "download", lambda: True)
    await revoke(world.r1, principal="tester-001")
    await world.r1.context.transfers._watch._look()
    await world.r1.context.transfers.end(transfer, whole=not transfer.cut)
    return not transfer.cut


async def hook_keeps_firing(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    headers = await world.r1.bearer()
    with receiving() as receiver:
        body = {"name": "mine", "url": receiver.url("/hook"), "event_types": ["video.completed"]}
        made = await world.r1.http.post("/v1/webhook_endpoints", json=body, headers=headers)
        assert made.status_code == 200, made.text
        await world.r1.create(headers)
        await world.r1.finished()
        await revoke(world.r1, principal="tester-001")
        deliverer = Deliverer(world.r1.store, world.r1.clock, Sender("loopback", 5.0), Policy())
        while await deliverer.sweep():
            await deliverer.flights.landed()
        return bool(receiver.to("/hook"))


async def restore_stampede(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    people = [await world.r1.issue(f"tester-{number}") for number in range(6)]
    for one in people:
        path = f"/control/tokens/{one['accessor']}"
        assert (await world.r1.http.patch(path, json={"state": "suspended"}, headers=world.r1.admin)).status_code == 200
    body = {"selector": {"cohort": "alpha"}, "reason": "false alarm", "over_seconds": 30, "batch": 2}
    begun = await world.r1.http.post("/control/restorations", json=body, headers=world.r1.admin)
    assert begun.status_code in (200, 201, 202), begun.text
    await world.r1.context.ramps.step()
    back = [await works(world.r1, bearer_of(one)) for one in people]
    assert sum(back) in (2, 6)
    return all(back)


async def alert_lost(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    issued = await world.r1.issue()
    assert await disclose(world.r1, issued) == [True]
    shown = (await world.r1.http.get(f"/control/tokens/{issued['accessor']}", headers=world.r1.admin)).json()
    return bool(shown["state"] == "active")


async def alert_twice(world: World, defect: Defect | None) -> bool:
    await world.err(defect)
    issued = await world.r1.issue()
    path = f"/control/tokens/{issued['accessor']}"
    assert await disclose(world.r1, issued) == [True]
    again = await world.r1.http.patch(path, json={"state": "active"}, headers=world.r1.admin)
    assert again.status_code == 200
    await disclose(world.r1, issued)
    shown = (await world.r1.http.get(path, headers=world.r1.admin)).json()
    told = len(await world.r1.events("disclosure.matched"))
    assert told == (1 if defect is None else 4)
    return bool(shown["state"] == "quarantined")


async def disclose(desk: Desk, issued: dict[str, Any]) -> list[bool]:
    """A notice as `/disclosures/github` takes it, once its signature holds."""
    notice = Notice(issued["token"], "leakdrill_access_token", "https://example.test/a", "content")
    key = desk.keys.tokens
    return await notices.receive(desk.store, key, [notice], reporter="github:k1", policy="quarantine", clock=desk.clock)


Symptom = Callable[[World, Defect | None], Awaitable[bool]]
SYMPTOMS: dict[Defect, Symptom] = {
    Defect.LOCAL_EVICT_ONLY: local_evict_only,
    Defect.RECACHE_RACE: recache_race,
    Defect.EVICT_BEFORE_WRITE: evict_before_write,
    Defect.SLIDING_TTL: sliding_ttl,
    Defect.EVICT_FAILS: evict_fails,
    Defect.FIRST_WORKER_WINS: first_worker_wins,
    Defect.STORE_ERROR_IGNORED: store_error_ignored,
    Defect.FAIL_OPEN: fail_open,
    Defect.SAME_SECOND_SURVIVES: same_second_survives,
    Defect.SKEW_REVIVES: skew_revives,
    Defect.LEGACY_PATH_UNCHECKED: legacy_path_unchecked,
    Defect.OVER_REVOCATION: over_revocation,
    Defect.CLEAN_UP_TAKES_LIVE: clean_up_takes_live,
    Defect.CONSOLE_DIFFERS: console_differs,
    Defect.BULK_HANGS: bulk_hangs,
    Defect.CHILD_SURVIVES: child_survives,
    Defect.LINK_OUTLIVES: link_outlives,
    Defect.STREAM_UNCHECKED: stream_unchecked,
    Defect.HOOK_KEEPS_FIRING: hook_keeps_firing,
    Defect.RESTORE_STAMPEDE: restore_stampede,
    Defect.ALERT_LOST: alert_lost,
    Defect.ALERT_TWICE: alert_twice,
}


def test_every_defect_has_a_symptom_and_a_description() -> None:
    assert set(SYMPTOMS) == set(Defect) == set(DEFECTS)
    for what in DEFECTS.values():
        assert min(len(what.does), len(what.symptom)) > 20
        assert what.reference


@pytest.mark.parametrize("defect", Defect)
async def test_its_symptom_shows_with_the_defect(world: World, defect: Defect) -> None:
    assert await SYMPTOMS[defect](world, defect)


@pytest.mark.parametrize("defect", Defect)
async def test_it_does_not_show_without(world: World, defect: Defect) -> None:
    assert not await SYMPTOMS[defect](world, None)


async def test_a_gateway_beside_a_defective_one_is_sound(world: World) -> None:
    await world.err(Defect.EVICT_FAILS, "r2")
    headers = await world.r1.bearer()
    assert await works(world.r1, headers)
    assert await works(world.r2, headers)
    await revoke(world.r1, principal="tester-001")
    assert not await works(world.r1, headers)
    assert await works(world.r2, headers)


async def test_nobody_can_overlook_a_defect(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "leakdrill.gateway")
    body = {"replica": "r2", "defects": ["sliding-ttl", "link-outlives"], "for_seconds": 600}
    told = await world.r1.http.patch("/control/replicas", json=body, headers=world.r1.admin)
    assert told.status_code == 200, told.text
    world.r2.context.sight.forget()
    for desk in (world.r1, world.r2):
        status = (await desk.http.get("/status")).json()
        assert status["defects"] == ["link-outlives@r2", "sliding-ttl@r2"]
    answer = await world.r2.http.get("/v1/videos", headers=await world.r2.bearer())
    assert answer.headers["leakdrill-errs"] == "strict,link-outlives,sliding-ttl"
    assert "leakdrill-errs" not in (await world.r1.http.get("/status")).headers
    assert "action=errs_on_purpose replica=r2 mode=strict,link-outlives,sliding-ttl" in caplog.text
    event = (await world.r1.events("replica.told"))[0]
    assert event["data"]["defects"] == ["link-outlives", "sliding-ttl"]
    world.advance(600)
    await world.told()
    assert (await world.r1.http.get("/status")).json()["defects"] == []


async def test_an_empty_list_takes_them_away_and_a_profile_leaves_them(world: World) -> None:
    async def tell(**body: Any) -> dict[str, Any]:
        answer = await world.r1.http.patch("/control/replicas", json={"replica": "r1", **body}, headers=world.r1.admin)
        assert answer.status_code == 200, answer.text
        one: dict[str, Any] = answer.json()["data"][0]
        return one

    assert (await tell(defects=["link-outlives"]))["defects"] == ["link-outlives"]
    assert (await tell(profile="bounded"))["defects"] == ["link-outlives"]
    assert (await tell(defects=[]))["consistency"] == "bounded"
    assert (await tell(profile="strict"))["until"] is None


async def test_a_store_that_cannot_be_read_is_told_as_that(world: World) -> None:
    await world.err(Defect.STORE_ERROR_IGNORED)
    headers, other = await world.r1.bearer(), await world.r1.bearer("tester-002")
    await revoke(world.r1, principal="tester-002")
    answer = await world.r1.http.get("/v1/videos", headers=headers)
    assert answer.status_code == StoreUnavailable.status
    assert issubclass(StoreUnavailable, APIError)
    assert not await works(world.r2, other)


def test_the_seconds_that_a_bulk_revocation_hangs_are_longer_than_clients_wait() -> None:
    assert sight.HANG_SECONDS >= 120
