"""Arrivals: planned by a seed, and let in without waiting for answers."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from drills.callers import Bearer
from drills.clock import ReplayClock
from drills.gateway import GatewayClient
from drills.history import History
from drills.population import CurvePoint
from drills.scenario import load_scenario
from drills.testing import MemoryGateway, run_virtual
from drills.traffic import Crowd, CrowdCounts, plan_arrivals, weight_at

SMALL = Path(__file__).with_name("small.yaml")
TRAFFIC = load_scenario(SMALL).population.traffic


def test_same_seed_plans_the_same_visitors() -> None:
    traffic = load_scenario("november-2024").population.traffic
    first, again = (plan_arrivals(traffic, 12, 225, seed=5) for _ in range(2))
    assert first == again
    assert first != plan_arrivals(traffic, 12, 225, seed=6)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), tokens=st.integers(1, 40))
def test_arrivals_are_ordered_complete_and_within_bounds(seed: int, tokens: int) -> None:
    arrivals = plan_arrivals(TRAFFIC, tokens, 30, seed)
    assert len(arrivals) == TRAFFIC.arrivals
    assert [each.minute for each in arrivals] == sorted(each.minute for each in arrivals)
    assert all(0 <= each.minute <= 30 and 0 <= each.token < tokens for each in arrivals)


def test_the_curve_grows_towards_noon_and_visitors_come_after_it() -> None:
    arrivals = plan_arrivals(load_scenario("november-2024").population.traffic, 12, 225, seed=20241126)
    first_hour = [each for each in arrivals if each.minute < 60]
    last_hour = [each for each in arrivals if 150 <= each.minute < 210]
    assert len(first_hour) < len(last_hour)
    assert any(each.minute > 210 for each in arrivals)


def test_weight_runs_straight_between_points_and_is_nothing_outside() -> None:
    curve = [CurvePoint(at=10, weight=2), CurvePoint(at=20, weight=4)]
    assert [weight_at(curve, minute) for minute in (5, 10, 15, 20, 25)] == [0, 2, 3, 4, 0]


def crowd_counts(at_once: int, latency: float) -> CrowdCounts:
    """Twelve visitors within 30 replay minutes at 300 times real time (6 s), each request taking `latency` seconds."""

    async def play() -> CrowdCounts:
        scenario = load_scenario(SMALL)
        loop = asyncio.get_running_loop()
        history = History(loop.time, 1000)
        client = GatewayClient("http://memory", "admin", history, timeout=60, transport=MemoryGateway(latency=latency))
        bearers: list[Bearer] = [await client.issue(f"tester-{n:03d}", "alpha") for n in range(3)]
        clock = ReplayClock(scenario.clock.start, 300, loop.time)
        crowd = Crowd(plan_arrivals(scenario.population.traffic, 3, 30, 7), bearers, [client], clock, at_once)
        clock.begin()
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None]) -> None:
                group.create_task(work)

            await crowd.run(spawn)
        await client.aclose()
        return crowd.counts

    return run_virtual(play())


def test_visitors_finish_or_give_up_and_none_is_lost() -> None:
    counts = crowd_counts(at_once=50, latency=0.01)
    assert (counts.planned, counts.arrived, counts.dropped) == (12, 12, 0)
    assert counts.finished + counts.gave_up == 12


def test_slow_answers_do_not_hold_arrivals_back_but_drop_them() -> None:
    counts = crowd_counts(at_once=2, latency=20)
    assert counts.arrived == 12
    assert counts.dropped == 10
