"""The replay clock, on a clock of ours."""

import asyncio
from datetime import UTC, datetime

from drills.clock import ReplayClock
from drills.testing import run_virtual

START = datetime(2024, 11, 26, 13, 30, tzinfo=UTC)


def test_replay_time_stands_until_it_begins_and_then_runs_by_its_speed() -> None:
    now = [100.0]
    clock = ReplayClock(START, 140, lambda: now[0])
    now[0] = 130.0
    assert clock.time() == START
    clock.begin()
    now[0] = 220.0
    assert clock.minutes() == 210
    assert clock.time().isoformat() == "2024-11-26T17:00:00+00:00"
    assert clock.seconds_to(217) == 3
    assert clock.seconds_to(10) == 0


def test_until_sleeps_for_the_real_seconds_that_are_left() -> None:
    async def wait() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        clock = ReplayClock(START, 60, loop.time)
        clock.begin()
        await clock.until(10, ahead=4)
        early = loop.time()
        await clock.until(10)
        return early, loop.time()

    early, due = run_virtual(wait())
    assert (round(early, 6), round(due, 6)) == (6.0, 10.0)
