"""Consistency profiles: how late each replica learns, by its own clock, and that nobody else does."""

from __future__ import annotations

import math
from typing import Any

import pytest

from desk import Desk, DeskMaker, bearer_of
from gateway.faults import consistency, modes
from gateway.faults.consistency import copied_at
from gateway.store import jobs, tokens

pytestmark = pytest.mark.anyio

BOUND = 8.0
STEP = 0.25


async def tell(desk: Desk, status: int = 200, **body: Any) -> Any:
    answer = await desk.http.patch("/control/replicas", json=body, headers=desk.admin)
    assert answer.status_code == status, answer.text
    return answer.json()


async def accepted(desk: Desk, headers: dict[str, str]) -> bool:
    answer = await desk.http.get("/v1/videos", headers=headers)
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


async def lag(desk: Desk, headers: dict[str, str], *, within: float) -> float:
    """Seconds from now to the start of the last accepted request, with one every quarter second."""
    began, last = desk.clock.now(), 0.0
    while desk.clock.now() - began <= within:
        if await accepted(desk, headers):
            last = desk.clock.now() - began
        desk.clock.advance(STEP)
    assert not await accepted(desk, headers)
    return last


@pytest.mark.parametrize("replica", ["r1", "r2", "r3", "east-1"])
async def test_a_bounded_replicas_lag_lies_between_half_its_bound_and_all_of_it(
    make_desk: DeskMaker, replica: str
) -> None:
    desk = await make_desk(replica=replica)
    headers = await desk.bearer()
    await tell(desk, profile="bounded", seconds=BOUND)
    desk.clock.advance(3.3)
    assert await accepted(desk, headers)
    assert (await desk.revoke({"principal": "tester-001"})).status_code == 200
    assert BOUND / 2 < await lag(desk, headers, within=2 * BOUND) <= BOUND


async def test_a_cached_yes_lasts_as_long_as_it_has_left(desk: Desk) -> None:
    await tell(desk, profile="cache-ttl", seconds=BOUND)
    people = [await desk.bearer(f"tester-{number:03}") for number in range(8)]
    for headers in people:  # first used a second after one another
        assert await accepted(desk, headers)
        desk.clock.advance(1.0)
    assert (await desk.revoke({"cohort": "alpha"})).json()["tokens"] == 8
    left = [0.0] * 8
    for tick in range(math.ceil(BOUND / STEP) + 4):
        for number, headers in enumerate(people):
            if await accepted(desk, headers):
                left[number] = tick * STEP
        desk.clock.advance(STEP)
    # What was looked up last is remembered longest; the population's lag is the longest of all.
    assert left == sorted(left)
    assert BOUND / 2 < max(left) <= BOUND
    assert left[0] == 0.0


async def test_what_is_not_remembered_is_looked_up(desk: Desk) -> None:
    await tell(desk, profile="cache-ttl", seconds=BOUND)
    headers = await desk.bearer()
    await desk.revoke({"principal": "tester-001"})
    assert not await accepted(desk, headers)


async def test_expiry_alone_never_hears_of_a_revocation_but_keeps_the_expiry(desk: Desk) -> None:
    await tell(desk, profile="expiry-only", for_seconds=86_400)
    headers = await desk.bearer(expires_in=3600)
    await desk.revoke({"principal": "tester-001"})
    desk.clock.advance(3599)
    assert await accepted(desk, headers)
    desk.clock.advance(1)
    assert not await accepted(desk, headers)


async def test_unknown_and_malformed_tokens_are_refused_in_every_profile(desk: Desk) -> None:
    from gateway.tokens import secret

    for name in consistency.available():
        await tell(desk, profile=name)
        assert not await accepted(desk, {"Authorization": f"Bearer {secret.mint()}"}), name
        assert not await accepted(desk, {"Authorization": "Bearer ldk_short"}), name


@pytest.mark.parametrize("profile", ["bounded", "cache-ttl", "expiry-only"])
async def test_every_surface_lags_and_a_late_job_is_rendered(desk: Desk, profile: str) -> None:
    issued = await desk.issue(tier="unlimited")
    headers = bearer_of(issued)
    done = (await desk.create(headers))["id"]
    await desk.finished()
    link = (await desk.http.post(f"/v1/videos/{done}/link", headers=headers)).json()["url"]
    await tell(desk, profile=profile, seconds=None if profile == "expiry-only" else BOUND)
    assert await accepted(desk, headers)
    waiting = await desk.create(headers)
    revoked = (await desk.revoke({"principal": "tester-001"})).json()
    # The transaction is what it always is; only who looks learns late.
    assert revoked["jobs"]["queued"] == 1
    assert (await desk.http.get(f"/v1/videos/{waiting['id']}", headers=headers)).json()["status"] == "failed"
    assert (await desk.http.get(f"/v1/videos/{done}/content", headers=headers)).status_code == 200
    assert (await desk.http.get(link)).status_code == 200
    late = await desk.create(headers)
    job = await desk.claimed()
    assert job.id == late["id"]
    assert await desk.complete(job)
    if profile == "expiry-only":
        return
    desk.clock.advance(BOUND + 1)
    assert (await desk.http.get(f"/v1/videos/{late['id']}", headers=headers)).status_code == 401
    assert (await desk.http.get(link)).status_code == 401
    desk.context.sight.forget()


async def test_a_late_restore_lags_as_a_revocation_does(desk: Desk) -> None:
    issued = await desk.issue()
    path = f"/control/tokens/{issued['accessor']}"
    assert (await desk.http.patch(path, json={"state": "suspended"}, headers=desk.admin)).status_code == 200
    desk.clock.advance(60)
    await tell(desk, profile="bounded", seconds=BOUND)
    assert (await desk.http.patch(path, json={"state": "active"}, headers=desk.admin)).status_code == 200
    assert not await accepted(desk, bearer_of(issued))
    desk.clock.advance(BOUND)
    assert await accepted(desk, bearer_of(issued))


async def test_a_child_lags_with_its_parent(desk: Desk) -> None:
    parent = await desk.bearer(scopes=["videos:read", "tokens:mint"])
    child = bearer_of((await desk.http.post("/v1/tokens", json={}, headers=parent)).json())
    await tell(desk, profile="bounded", seconds=BOUND)
    await desk.revoke({"principal": "tester-001"})
    assert await accepted(desk, child)
    desk.clock.advance(BOUND)
    assert not await accepted(desk, child)


async def test_the_bound_is_divided_by_the_replays_speed(desk: Desk) -> None:
    body = {"time": "2024-11-26T08:30:00-05:00", "speed": 10}
    assert (await desk.http.put("/control/clock", json=body, headers=desk.admin)).status_code == 200
    headers = await desk.bearer()
    await tell(desk, profile="bounded", seconds=10 * BOUND)
    await desk.revoke({"principal": "tester-001"})
    assert BOUND / 2 < await lag(desk, headers, within=2 * BOUND) <= BOUND


async def test_a_mistakes_time_is_divided_too_but_can_always_be_seen(desk: Desk) -> None:
    for speed, lives in ((10, 6.0), (600, 2.0)):
        body = {"time": "2024-11-26T08:30:00-05:00", "speed": speed}
        assert (await desk.http.put("/control/clock", json=body, headers=desk.admin)).status_code == 200
        await tell(desk, defects=["local-evict-only"])
        headers = await desk.bearer(f"tester-{speed}")
        assert await accepted(desk, headers)
        # Revoked by another gateway: this one is not told.
        await desk.store.write(
            lambda tx, speed=speed: tokens.revoke(  # type: ignore[misc]
                tx,
                tokens.TokenFilter(principal=f"tester-{speed}"),
                revocation="rev_1",
                reason="drill",
                at=desk.clock.now(),
                finish=False,
            )
        )
        desk.clock.advance(lives - 0.01)
        assert await accepted(desk, headers)
        desk.clock.advance(0.01)
        assert not await accepted(desk, headers)


async def test_two_replicas_on_one_database_keep_to_their_own(make_desk: DeskMaker) -> None:
    strict, late = await make_desk(replica="r1"), await make_desk(replica="r2")
    headers = await strict.bearer()
    told = await tell(strict, replica="r2", profile="cache-ttl", seconds=BOUND)
    assert [one["name"] for one in told["data"]] == ["r2"]
    late.context.sight.forget()  # or a quarter second later by itself
    assert await accepted(strict, headers)
    assert await accepted(late, headers)
    assert (await strict.revoke({"principal": "tester-001"})).status_code == 200
    assert not await accepted(strict, headers)
    assert await accepted(late, headers)
    late.clock.advance(BOUND)
    assert not await accepted(late, headers)
    status = (await strict.http.get("/status")).json()
    assert status["consistency"] == "r1 strict, r2 cache-ttl 8 s"
    assert set(status["replicas"]) == {"r1", "r2"}


async def test_a_mode_ends_by_itself_and_says_so(desk: Desk) -> None:
    headers = await desk.bearer()
    told = await tell(desk, profile="expiry-only", for_seconds=30)
    assert told["data"][0]["until"] == desk.clock.now() + 30
    await desk.revoke({"principal": "tester-001"})
    answer = await desk.http.get("/v1/videos", headers=headers)
    assert (answer.status_code, answer.headers["leakdrill-errs"]) == (200, "expiry-only")
    desk.clock.advance(30)
    desk.context.sight.forget()
    await desk.context.sight.heed(desk.store)
    answer = await desk.http.get("/v1/videos", headers=headers)
    assert (answer.status_code, "leakdrill-errs" in answer.headers) == (401, False)
    told_of = await desk.events("replica.told")
    assert [event["data"]["consistency"] for event in told_of] == ["expiry-only", "strict"]
    assert told_of[-1]["actor"] == "gateway"


async def test_a_reset_makes_everything_right(desk: Desk) -> None:
    await tell(desk, profile="expiry-only", defects=["link-outlives"])
    assert (await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)).status_code == 200
    status = (await desk.http.get("/status")).json()
    assert (status["consistency"], status["defects"]) == ("strict", [])


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"profile": "eventual"}, 400, "profile"),
        ({"profile": "strict", "seconds": 5}, 400, "seconds"),
        ({"seconds": 5}, 400, "profile"),
        ({"profile": "bounded", "seconds": 0}, 422, "seconds"),
        ({"profile": "bounded", "seconds": 1e9}, 422, "seconds"),
        ({"profile": "bounded", "for_seconds": 1e6}, 422, "for_seconds"),
        ({"replica": "r9", "profile": "strict"}, 404, "replica"),
        ({"defects": ["sliding"]}, 400, "defects"),
        ({"defects": ["sliding-ttl", "evict-fails"]}, 400, "defects"),
        ({"profile": "cache-ttl", "defects": ["sliding-ttl"]}, 400, "defects"),
        ({"consistency": "bounded"}, 422, "consistency"),
    ],
)
async def test_what_cannot_be_told_is_refused_and_changes_nothing(
    desk: Desk, body: dict[str, Any], status: int, param: str
) -> None:
    refused = await tell(desk, status, **body)
    assert refused["error"]["param"] == param
    assert await desk.store.read(lambda tx: modes.present(tx, "r1", desk.clock.now())) == modes.RIGHT
    assert await desk.events("replica.told") == []


async def test_telling_is_the_admins(desk: Desk) -> None:
    for call in (desk.http.get, desk.http.patch):
        assert (await call("/control/replicas")).status_code == 401


async def test_the_profiles_say_what_they_are_modelled_on(desk: Desk) -> None:
    found = (await desk.http.get("/control/replicas", headers=desk.admin)).json()
    profiles = found["profiles"]
    assert {one["kind"] for one in profiles} == set(consistency.Kind)
    assert all(len(one["source"]) > 20 for one in profiles)
    assert all((one["seconds"] is None) == (one["kind"] in ("strict", "expiry-only")) for one in profiles)


def test_a_copy_is_never_fresher_nor_older_than_its_bound_allows() -> None:
    for replica in ("r1", "r2", "r3"):
        behind = [1000 + tick / 7 - copied_at(1000 + tick / 7, BOUND, replica) for tick in range(1000)]
        assert min(behind) >= 0.6 * BOUND - 1e-6
        assert max(behind) <= 0.85 * BOUND + 1e-6
    assert len({copied_at(1000.0, BOUND, replica) for replica in ("r1", "r2", "r3")}) == 3


async def test_a_worker_is_strict_whatever_a_replica_sees(desk: Desk) -> None:
    headers = await desk.bearer()
    await tell(desk, profile="expiry-only")
    await desk.create(headers)
    token = await desk.store.read(lambda tx: tokens.find(tx, tokens.TokenFilter(), 1))
    # Put in line by a strict gateway, and left there by a revocation on the side: nobody spared it.
    await desk.revoke({"principal": "tester-001"}, in_flight={"queued": "cancel"})
    request = jobs.RenderRequest("x", "m", "standard", "480x480", 1, 10, 1)
    id = jobs.id_at(desk.clock.now())
    await desk.store.write(
        lambda tx: jobs.insert(tx, id=id, accessor=token[0].accessor, request=request, at=desk.clock.now())
    )
    assert await desk.claim() is None
