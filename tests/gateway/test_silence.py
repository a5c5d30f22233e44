"""A silent worker is found out by watching its leases; what any clock shows decides nothing."""

import pytest

from desk import Desk, DeskMaker
from gateway.jobs import Job, lifecycle
from gateway.jobs.silence import Silence
from gateway.store.leases import Lease

pytestmark = pytest.mark.anyio

HOUR = 3600.0


class Stopwatch:
    """Monotonic time that the test moves."""

    def __init__(self) -> None:
        self.shown = 100.0

    def __call__(self) -> float:
        return self.shown


def looks(silence: Silence, watch: Stopwatch, *leases: Lease, times: int, every: float = 0.5) -> list[Lease]:
    found: list[Lease] = []
    for _ in range(times):
        watch.shown += every
        found = silence.look(leases)
    return found


def test_a_lease_that_stays_as_it_was_is_found_and_one_that_changes_is_not() -> None:
    watch = Stopwatch()
    silence = Silence(5.0, at_most=1.0, clock=watch)
    stays = Lease("video_a", 1, 50.0)
    for beat in range(11):
        assert looks(silence, watch, stays, Lease("video_b", 1, 50.0 + beat), times=1) == (
            [stays] if beat == 10 else []
        )


def test_the_first_look_at_a_lease_knows_nothing_of_before() -> None:
    watch = Stopwatch()
    silence = Silence(5.0, at_most=1.0, clock=watch)
    assert looks(silence, watch, times=100) == []
    assert looks(silence, watch, Lease("video_a", 1, 50.0), times=10) == []
    assert looks(silence, watch, Lease("video_a", 2, 50.0), times=10) == []  # another attempt is another lease


def test_a_watcher_that_slept_itself_gives_the_others_time() -> None:
    watch = Stopwatch()
    silence = Silence(5.0, at_most=1.0, clock=watch)
    held = Lease("video_a", 1, 50.0)
    looks(silence, watch, held, times=2)
    assert looks(silence, watch, held, times=1, every=HOUR) == []
    assert looks(silence, watch, Lease("video_a", 1, 51.0), times=10) == []


async def beat(desk: Desk, job: Job) -> None:
    held = lifecycle.Held(job.id, job.attempt, job.accessor, 0, None, None, moved=False)
    await lifecycle.beat(desk.store, "w1", [held], now=desk.clock.now(), lease_seconds=5)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 10 * HOUR])
async def test_a_clock_that_is_set_takes_no_job_from_a_worker_that_lives(desk: Desk, jump: float) -> None:
    watch = Stopwatch()
    desk.silence = Silence(5.0, at_most=1.0, clock=watch)
    await desk.create(await desk.bearer())
    job = await desk.claimed("w1")
    for seconds in (0.5, jump, 0.5, -jump, *[0.5] * 20):
        watch.shown += 0.5
        desk.clock.jump(seconds)
        await beat(desk, job)
        assert await desk.claim("w2") is None
    assert await desk.complete(job)


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_a_silent_workers_job_waits_no_longer_after_a_clock_was_set(desk: Desk, jump: float) -> None:
    watch = Stopwatch()
    desk.silence = Silence(5.0, at_most=1.0, clock=watch)
    await desk.create(await desk.bearer())
    await desk.claimed("w1")
    desk.clock.jump(jump)
    taken = []
    for _ in range(11):
        watch.shown += 0.5
        taken.append(await desk.claim("w2"))
    assert taken[:9] == [None] * 9
    assert any(taken)


async def test_a_worker_whose_clock_is_ahead_uses_up_nobodys_attempts(make_desk: DeskMaker) -> None:
    desk = await make_desk(max_attempts=1)
    watch = Stopwatch()
    desk.silence = Silence(5.0, at_most=1.0, clock=watch)
    headers = await desk.bearer()
    video = await desk.create(headers)
    job = await desk.claimed("w1")
    desk.clock.jump(HOUR)
    assert await desk.claim("ahead") is None
    shown = (await desk.http.get(f"/v1/videos/{video['id']}", headers=headers)).json()
    assert shown["status"] == "in_progress"
    desk.clock.jump(-HOUR)
    assert await desk.complete(job)


async def test_a_heartbeat_that_comes_late_keeps_what_nobody_has_taken(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    job = await desk.claimed("w1")
    desk.clock.advance(6)
    await lifecycle.look_for_silent(desk.store, desk.silence)
    await beat(desk, job)
    assert await desk.claim("w2") is None
    assert await desk.complete(job)


async def test_jobs_that_ended_before_they_began_leave_the_estimate_alone(desk: Desk) -> None:
    headers = await desk.bearer()
    await desk.create(headers)
    job = await desk.claimed()
    desk.clock.jump(-HOUR)
    assert await desk.complete(job)
    await desk.create(headers)
    answer = await desk.http.post("/v1/videos", json={"prompt": "a dog"}, headers=headers)
    assert int(answer.headers["leakdrill-eta-ms"]) > 0
