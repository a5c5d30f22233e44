import pytest

from desk import Desk, DeskMaker
from gateway.jobs import lifecycle

pytestmark = pytest.mark.anyio


async def test_first_come_first_served(desk: Desk) -> None:
    headers = [await desk.bearer("a1"), await desk.bearer("a2")]
    made = [(await desk.create(headers[number % 2]))["id"] for number in range(4)]
    assert [(await desk.claimed()).id for _ in made] == made
    assert await desk.claim() is None


async def test_a_silent_workers_job_is_taken_over_and_its_late_end_refused(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    first = await desk.claimed("w1")
    desk.clock.advance(4.9)
    assert await desk.claim("w2") is None
    desk.clock.advance(0.2)
    second = await desk.claimed("w2")
    assert (second.id, second.attempt, second.worker) == (first.id, 2, "w2")
    assert await desk.complete(first) is False
    assert not await lifecycle.fail(desk.store, first, worker="w1", code="x", message="x", now=desk.clock.now())
    assert not await lifecycle.release(desk.store, first, worker="w1", now=desk.clock.now())
    assert await desk.complete(second) is True
    kinds = [event["kind"] for event in await desk.events("job.")]
    assert kinds == ["job.queued", "job.started", "job.reclaimed", "job.completed"]


async def test_heartbeats_keep_the_lease(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    job = await desk.claimed("w1")
    for _ in range(5):
        desk.clock.advance(3)
        held = lifecycle.Held(job.id, job.attempt, job.accessor, 10, None, None, moved=False)
        await lifecycle.beat(desk.store, "w1", [held], now=desk.clock.now(), lease_seconds=5)
        assert await desk.claim("w2") is None
    assert await desk.events("job.progressed") == []


async def test_only_progress_that_moved_is_an_event(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    job = await desk.claimed("w1")
    held = lifecycle.Held(job.id, job.attempt, job.accessor, 10, 3, 30, moved=True)
    await lifecycle.beat(desk.store, "w1", [held], now=desk.clock.now(), lease_seconds=5)
    stolen = lifecycle.Held(job.id, job.attempt + 1, job.accessor, 90, 3, 30, moved=True)
    await lifecycle.beat(desk.store, "w1", [stolen], now=desk.clock.now(), lease_seconds=5)
    assert [event["data"] for event in await desk.events("job.progressed")] == [
        {"progress": 10, "step": 3, "steps": 30}
    ]


async def test_attempts_are_counted_and_end(make_desk: DeskMaker) -> None:
    desk = await make_desk(max_attempts=2)
    headers = await desk.bearer()
    video = await desk.create(headers)
    for attempt in (1, 2):
        assert (await desk.claimed()).attempt == attempt
        desk.clock.advance(6)
    assert await desk.claim() is None
    shown = (await desk.http.get(f"/v1/videos/{video['id']}", headers=headers)).json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "worker_lost")


async def test_a_released_job_keeps_its_place(desk: Desk) -> None:
    headers = await desk.bearer()
    made = [(await desk.create(headers))["id"] for _ in range(3)]
    first = await desk.claimed()
    assert await lifecycle.release(desk.store, first, worker="w1", now=desk.clock.now())
    assert (await desk.claimed()).id == made[0]


async def test_lost_names_what_is_no_longer_held(desk: Desk) -> None:
    headers = await desk.bearer()
    for _ in range(3):
        await desk.create(headers)
    jobs = [await desk.claimed() for _ in range(3)]
    await desk.http.post(f"/v1/videos/{jobs[0].id}/cancel", headers=headers)
    await desk.http.delete(f"/v1/videos/{jobs[1].id}", headers=headers)
    pairs = [(job.id, job.attempt) for job in jobs]
    assert await lifecycle.lost(desk.store, pairs) == pairs[:2]
    assert await lifecycle.lost(desk.store, [(jobs[2].id, 7)]) == [(jobs[2].id, 7)]
