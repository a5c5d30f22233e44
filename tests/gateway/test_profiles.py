"""Latency profiles: their files, the durations drawn from them, and the one in force."""

import asyncio
import statistics
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from desk import Desk, DeskMaker
from gateway.clock import SystemClock
from gateway.errors import OperatorError
from gateway.faults import latency
from gateway.faults.profiles import Load, draw, expected_seconds, load_folder, parse
from gateway.jobs import lifecycle
from gateway.jobs.holding import Hold
from gateway.jobs.rendering import Renderer
from gateway.jobs.worker import WorkerProcess
from gateway.settings import Settings
from gateway.store import jobs
from gateway.store.jobs import RenderRequest

SHIPPED = latency.available("")
SIMULATED = sorted(set(SHIPPED) - {"instant"})


def request(**changes: Any) -> RenderRequest:
    fields: dict[str, Any] = {"model": "standard", "variant": "standard", "size": "1280x720", "seconds": 4}
    return RenderRequest(prompt="rain", fps=30, seed=1, **{**fields, **changes})


def drawn(name: str, count: int = 5000, seed: int = 7, load: Load = Load(), **changes: Any) -> list[float]:  # noqa: B008
    wanted = request(**changes)
    return [draw(SHIPPED[name], seed, f"video_{number:032x}", wanted, load) for number in range(count)]


def test_the_profiles_that_ship() -> None:
    assert set(SHIPPED) == {"instant", "turbo", "standard", "reported-2024"}
    assert all(profile.source and profile.description for profile in SHIPPED.values())
    assert [name for name, profile in SHIPPED.items() if profile.instant] == ["instant"]
    assert set(drawn("instant", 50)) == {0.0}


@pytest.mark.parametrize("name", ["turbo", "standard"])
def test_median_and_99th_percentile_are_those_of_the_file(name: str) -> None:
    found = sorted(drawn(name))
    profile = SHIPPED[name]
    median = profile.fixed.median + 4 * profile.per_second.median
    p99 = profile.fixed.p99 + 4 * profile.per_second.p99
    assert statistics.median(found) == pytest.approx(median, rel=0.05)
    assert found[int(len(found) * 0.99)] == pytest.approx(p99, rel=0.12)
    assert expected_seconds(profile, request(), Load()) == pytest.approx(median)
    assert found[-1] < 2 * p99  # no job holds its slot for hours


def test_the_reported_profile_waits_ten_minutes_for_a_minute_of_video() -> None:
    for seconds in (1, 4, 10, 12):
        for variant in ("standard", "turbo"):
            for size in ("480x480", "1920x1080"):
                assert min(drawn("reported-2024", 500, seconds=seconds, variant=variant, size=size)) >= 10 * seconds
    assert statistics.median(drawn("reported-2024", seconds=12)) == pytest.approx(20 + 11 * 12, rel=0.05)


def test_the_same_seed_and_job_draw_the_same_and_others_differ() -> None:
    assert drawn("standard", 20) == drawn("standard", 20)
    assert drawn("standard", 20) != drawn("standard", 20, seed=8)
    assert len(set(drawn("standard", 200))) > 195  # the few beyond the middle 99.8 % share their bounds


@pytest.mark.parametrize("name", SIMULATED)
def test_durations_grow_with_load_up_to_the_cap(name: str) -> None:
    profile, wanted = SHIPPED[name], request(seconds=12)
    waiting = [Load(waiting=count, running=1, slots=1) for count in range(0, 400, 5)]
    running = [Load(running=count, slots=8) for count in range(9)]
    for loads in (waiting, running):
        for job in (f"video_{number:032x}" for number in range(20)):
            times = [draw(profile, 7, job, wanted, load) for load in loads]
            assert times == sorted(times)
        medians = [expected_seconds(profile, wanted, load) for load in loads]
        assert medians[0] < medians[-1]
    free = expected_seconds(profile, wanted, Load())
    capped = [expected_seconds(profile, wanted, load) for load in waiting[-2:]]
    assert capped == [pytest.approx(free * profile.load.cap)] * 2


def test_longer_larger_and_slower_variants_take_longer() -> None:
    profile, idle = SHIPPED["standard"], Load()
    usual = expected_seconds(profile, request(), idle)
    assert expected_seconds(profile, request(seconds=8), idle) > usual
    assert expected_seconds(profile, request(size="1920x1080"), idle) > usual
    assert expected_seconds(profile, request(variant="turbo"), idle) < usual
    # Only what an extension adds is rendered.
    assert expected_seconds(profile, request(seconds=12, added_seconds=4), idle) == usual


GOOD = "name: mine\ndescription: d\nsource: s\nfixed: {median: 1, p99: 2}\nper_second: {median: 1, p99: 2}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD + "speed: 3\n", "speed: .*known keys are name, description"),
        (GOOD + "load: {per_job: 3}\n", "load.per_job: "),
        (GOOD.replace("p99: 2}\nper", "p99: 0.5}\nper"), "fixed: p99 must not be below the median"),
        (GOOD.replace("name: mine\n", ""), "name: Field required"),
        ("- a list\n", "the file: "),
        ("name: [\n", "not valid YAML"),
        (GOOD.replace("source: s\n", ""), "source: Field required"),
    ],
)
def test_a_bad_profile_is_refused_with_the_file_and_the_key(text: str, told: str) -> None:
    with pytest.raises(OperatorError, match=rf"^mine.yaml: .*{told}"):
        parse(text, "mine.yaml")


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD)
    assert latency.available(str(tmp_path))["mine"].fixed.median == 1
    assert set(latency.available(str(tmp_path))) == {"mine", *SHIPPED}
    (tmp_path / "other.yaml").write_text(GOOD)
    with pytest.raises(OperatorError, match="name it 'other', like its file"):
        load_folder(tmp_path)


@pytest.mark.anyio
async def test_a_bad_folder_stops_the_gateway_from_starting(make_desk: DeskMaker, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD + "colour: red\n")
    with pytest.raises(OperatorError, match="colour"):
        await make_desk(profiles_dir=str(tmp_path))


async def put(desk: Desk, **body: Any) -> dict[str, Any]:
    answer = await desk.http.put("/control/profile", json=body, headers=desk.admin)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shown(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = (await desk.http.get("/control/profile", headers=desk.admin)).json()
    return found


@pytest.mark.anyio
async def test_instant_is_the_default_and_status_names_any_other(desk: Desk) -> None:
    found = await shown(desk)
    assert (found["name"], found["speed"], found["then"], found["remaining_seconds"]) == ("instant", 1, None, None)
    assert {one["name"] for one in found["available"]} == set(SHIPPED)
    assert (await desk.http.get("/status")).json()["profile"] is None
    assert (await put(desk, name="standard", speed=30, seed=5))["name"] == "standard"
    assert (await desk.http.get("/status")).json()["profile"] == "standard"
    assert (await desk.http.get("/control/state", headers=desk.admin)).json()["profile"] == "standard"
    (event,) = await desk.events("profile.")
    assert event["data"] == {"name": "standard", "speed": 30, "seed": 5, "until": None}


@pytest.mark.anyio
async def test_a_timed_profile_steps_back_by_itself(desk: Desk) -> None:
    await put(desk, name="turbo")
    await put(desk, name="standard", for_seconds=100)
    found = await put(desk, name="reported-2024", for_seconds=600)  # over another timed one
    assert (found["name"], found["then"], found["remaining_seconds"]) == ("reported-2024", "turbo", 600)
    desk.clock.advance(599)
    assert (await shown(desk))["remaining_seconds"] == 1
    desk.clock.advance(1)
    found = await shown(desk)
    assert (found["name"], found["until"], found["then"]) == ("turbo", None, None)
    assert (await desk.http.get("/status")).json()["profile"] == "turbo"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"name": "fast"}, 400, "there are instant, reported-2024, standard, turbo"),
        ({"name": "turbo", "speed": 0}, 422, "speed"),
        ({"name": "turbo", "for_seconds": -1}, 422, "for_seconds"),
        ({"name": "turbo", "colour": "red"}, 422, "colour"),
        ({}, 422, "name"),
    ],
)
async def test_a_bad_order_is_refused(desk: Desk, body: dict[str, Any], status: int, told: str) -> None:
    answer = await desk.http.put("/control/profile", json=body, headers=desk.admin)
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]
    assert (await desk.http.put("/control/profile", json={"name": "turbo"})).status_code == 401
    assert (await shown(desk))["name"] == "instant"


@pytest.mark.anyio
async def test_a_reset_takes_the_profile_away(desk: Desk) -> None:
    await put(desk, name="turbo")
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert (await shown(desk))["name"] == "instant"


@pytest.mark.anyio
async def test_estimates_come_from_the_profile_until_a_job_has_finished_under_it(make_desk: DeskMaker) -> None:
    desk = await make_desk(estimate_seconds=0)
    headers = await desk.bearer()
    await desk.create(headers)
    await desk.finished()
    desk.clock.advance(1)

    async def eta() -> float:
        return float((await desk.http.get("/status")).json()["eta_ms"]) / 1000

    await put(desk, name="standard", speed=10)
    assert await eta() == pytest.approx(4.5, rel=0.05)  # 45 s for a 4 s clip, at ten times the speed
    await desk.create(headers)
    job = await desk.claimed()
    desk.clock.advance(30)
    await desk.complete(job)
    assert await eta() == pytest.approx(30)


@pytest.mark.anyio
async def test_what_is_left_of_a_running_job_follows_its_own_hold_whatever_profile_comes(make_desk: DeskMaker) -> None:
    desk = await make_desk(estimate_seconds=0)
    headers = await desk.bearer()

    async def hold(id: str) -> float | None:
        job = await desk.store.read(lambda tx: jobs.get(tx, id))
        assert job is not None
        return job.hold

    async def left(id: str) -> float:
        answer = await desk.http.get(f"/v1/videos/{id}", headers=headers)
        assert answer.json()["status"] == "in_progress"
        return float(answer.headers["leakdrill-eta-ms"]) / 1000

    await put(desk, name="standard", seed=7)
    held = (await desk.create(headers, seconds="4"))["id"]
    job = await desk.claimed("w1")
    own = await hold(held)
    assert own is not None
    assert own > 5
    assert await left(held) == pytest.approx(own, abs=0.002)
    told = lifecycle.Held(held, job.attempt, job.accessor, 25, None, None, moved=True)
    await lifecycle.beat(desk.store, "w1", [told], now=desk.clock.now(), lease_seconds=5)
    for name, speed in (("reported-2024", 1), ("standard", 100), ("instant", 1)):
        await put(desk, name=name, speed=speed)
        assert await left(held) == pytest.approx(own * 0.75, abs=0.002), name

    # One that began under `instant` has no simulated time to wait for, whatever comes.
    plain = (await desk.create(headers, seconds="4"))["id"]
    assert (await desk.claimed("w1")).id == plain
    before = await left(plain)
    await put(desk, name="reported-2024")
    assert await left(plain) == before

    # Who takes a job over draws anew, and the former attempt's time is forgotten.
    await put(desk, name="instant")
    await desk.claim("w2")
    desk.clock.advance(6)
    assert (await desk.claimed("w2")).id == held
    assert (await hold(held), await hold(plain)) == (None, None)


@pytest.mark.anyio
async def test_a_hold_passes_or_is_ended() -> None:
    over = Hold(0)
    assert (over.passed, over.progress(40), await over.pass_by()) == (1.0, 40, True)
    over.end()
    assert await over.pass_by()  # nothing was left to end

    brief = Hold(0.05)
    assert brief.progress(100) < 99
    assert await brief.pass_by()
    assert (brief.progress(100), brief.progress(10), brief.step(8)) == (99, 10, 8)

    long = Hold(3600)
    assert (long.progress(100), long.step(8)) == (0, 1)
    asyncio.get_running_loop().call_soon(long.end)
    assert not await asyncio.wait_for(long.pass_by(), 5)


@pytest.fixture
def cached(settings: Settings) -> Settings:
    return settings.model_copy(update={"render": "cached", "guard_seconds": 0.02, "heartbeat_seconds": 0.05})


async def until(state: Any, within: float = 20.0) -> Any:
    """The first true value of the coroutine function `state`."""
    async with asyncio.timeout(within):
        while not (value := await state()):
            await asyncio.sleep(0.01)
        return value


class Running:
    """A worker in this process, over a desk's store."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        renderer = Renderer(settings, desk.keys.marks)
        self.worker = WorkerProcess(settings, desk.store, SystemClock(), renderer, slots=2)

    async def __aenter__(self) -> WorkerProcess:
        self.task = asyncio.create_task(self.worker.run())
        return self.worker

    async def __aexit__(self, *_: object) -> None:
        self.worker.stop()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(self.task, 20)


SMALL = {"size": "480x480", "seconds": 1, "fps": 2}


def asking(desk: Desk, video: dict[str, Any], headers: dict[str, str]) -> Any:
    """A coroutine function: the video as it is now, and the step that comes with it."""

    async def now() -> dict[str, Any]:
        answer = await desk.http.get(f"/v1/videos/{video['id']}", headers=headers)
        return {**answer.json(), "step": answer.headers.get("leakdrill-step")}

    return now


@pytest.mark.anyio
async def test_a_slot_is_held_for_simulated_time_at_least(desk: Desk, cached: Settings) -> None:
    headers = await desk.bearer()
    await put(desk, name="standard", speed=15, seed=3)  # about 18 s for a small second of video, so 1.2 s
    video = await desk.create(headers, **SMALL)
    now = asking(desk, video, headers)
    async with Running(desk, cached):
        done = await until(lambda: _when(now, lambda seen: seen["status"] == "completed"))
    assert done["progress"] == 100
    job_events = await desk.events("job.")
    started, ended = (next(e["at"] for e in job_events if e["kind"] == f"job.{k}") for k in ("started", "completed"))
    expected = draw(SHIPPED["standard"], 3, video["id"], request(size="480x480", seconds=1), Load(running=1, slots=2))
    # The two clocks of a machine differ a little; how much later the end is noted is up to the machine.
    assert ended - started > expected / 15 - 0.1


@pytest.mark.anyio
async def test_simulated_time_shows_as_it_passes(desk: Desk, cached: Settings) -> None:
    headers = await desk.bearer()
    await put(desk, name="standard", speed=1, seed=3)  # about 18 s; what is wanted is seen long before
    video = await desk.create(headers, **SMALL)
    now = asking(desk, video, headers)

    async def moves() -> list[dict[str, Any]] | None:
        seen = [event["data"] for event in await desk.events("job.progressed")]
        return seen if len({one["progress"] for one in seen}) > 4 else None

    async with Running(desk, cached):
        first = await until(lambda: _when(now, lambda seen: 0 < seen["progress"] < 99))
        assert first["status"] == "in_progress"
        told = await until(moves)
    for name in ("progress", "step"):
        values = [one[name] for one in told if one[name]]
        assert values == sorted(values)


async def _when(read: Any, good: Any) -> Any:
    seen = await read()
    return seen if good(seen) else None


@pytest.mark.anyio
async def test_a_revocation_ends_a_hold_at_once_and_leaves_no_file(desk: Desk, cached: Settings) -> None:
    issued = await desk.issue()
    headers = {"Authorization": f"Bearer {issued['token']}"}
    await put(desk, name="reported-2024")
    video = await desk.create(headers, **SMALL)
    async with Running(desk, cached) as worker:
        await until(lambda: _truth(any(render.holding for render in worker._renders.values())))
        assert list(cached.media.glob(f"{video['id']}*"))
        assert (await desk.revoke({"accessor": issued["accessor"]})).json()["jobs"]["running"] == 1
        await asyncio.wait_for(until(lambda: _truth(not worker._renders)), 0.25)
        assert not list(cached.media.glob(f"*{video['id']}*"))
    ended = await desk.store.read(lambda tx: jobs.get(tx, video["id"]))
    assert ended is not None
    assert (ended.status, ended.error_code) == ("failed", "access_revoked")


async def _truth(value: bool) -> bool:
    return value


@pytest.mark.anyio
async def test_a_worker_that_stops_gives_back_what_it_merely_holds(desk: Desk, cached: Settings) -> None:
    headers = await desk.bearer()
    await put(desk, name="reported-2024")
    video = await desk.create(headers, **SMALL)
    async with Running(desk, cached) as worker:
        await until(lambda: _truth(any(render.holding for render in worker._renders.values())))
    answer = await desk.http.get(f"/v1/videos/{video['id']}", headers=headers)
    assert answer.json()["status"] == "queued"
    assert [event["kind"] for event in await desk.events("job.released")] == ["job.released"]
    assert not list(cached.media.glob(f"*{video['id']}*"))


@pytest.mark.anyio
async def test_a_job_bound_to_fail_fails_after_its_time_and_renders_nothing(
    make_desk: DeskMaker, cached: Settings
) -> None:
    desk = await make_desk(fault_header=True)
    headers = await desk.bearer()
    await put(desk, name="turbo", speed=10)
    video = await desk.create({**headers, "leakdrill-fault": "moderation_blocked"}, **SMALL)

    async def now() -> dict[str, Any]:
        found: dict[str, Any] = (await desk.http.get(f"/v1/videos/{video['id']}", headers=headers)).json()
        return found

    async with Running(desk, cached):
        done = await until(lambda: _when(now, lambda seen: seen["status"] in ("completed", "failed")))
    assert (done["status"], done["error"]["code"]) == ("failed", "moderation_blocked")
    assert "moderation" in done["error"]["message"]
    assert not (cached.data / "cache").exists()
    (started,), (failed,) = await desk.events("job.started"), await desk.events("job.failed")
    assert failed["at"] - started["at"] > 0.2


@pytest.mark.anyio
async def test_a_revocation_wins_over_a_fate(make_desk: DeskMaker) -> None:
    desk = await make_desk(fault_header=True)
    issued = await desk.issue()
    headers = {"Authorization": f"Bearer {issued['token']}", "leakdrill-fault": "moderation_blocked"}
    video = await desk.create(headers)
    job = await desk.claimed()
    assert job.fate == "moderation_blocked"
    await desk.revoke({"accessor": issued["accessor"]})
    late = await lifecycle.fail(
        desk.store, job, worker="w1", code="moderation_blocked", message="", now=desk.clock.now()
    )
    assert not late
    ended = await desk.store.read(lambda tx: jobs.get(tx, video["id"]))
    assert ended is not None
    assert ended.error_code == "access_revoked"


def test_threads_are_not_kept_by_holds() -> None:
    """A hold waits on the event loop: no thread sleeps for it."""
    before = threading.active_count()

    async def many() -> int:
        holds = [Hold(3600) for _ in range(200)]
        waiting = [asyncio.create_task(hold.pass_by()) for hold in holds]
        await asyncio.sleep(0)
        during = threading.active_count()
        for hold in holds:
            hold.end()
        assert await asyncio.gather(*waiting) == [False] * 200
        return during

    assert asyncio.run(many()) == before
