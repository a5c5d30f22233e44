"""`leakdrill top`: what two scrapes say together, and how it is written."""

from __future__ import annotations

import pytest

from desk import Desk
from gateway.commands import figures
from gateway.commands.top import Shown, block, duration
from gateway.errors import OperatorError
from scraping import answer

pytestmark = pytest.mark.anyio
WHERE = "http://gateway.test/metrics"


async def look(desk: Desk, at: float) -> figures.Samples:
    return figures.read((await answer(desk)).text, at=at, where=WHERE)


async def test_rates_and_quantiles_are_of_what_went_on_between_two_looks(desk: Desk) -> None:
    headers, free = await desk.bearer(), await desk.bearer("tester-002", tier="free")
    await desk.create(headers)
    desk.clock.advance(500)  # before the first look, and so in no quantile
    await desk.finished()
    before = await look(desk, 10)
    for _ in range(4):
        await desk.create(headers)
    await desk.create(free)
    desk.clock.advance(2)
    for _ in range(2):
        job = await desk.claimed()
        desk.clock.advance(0.2)
        await desk.complete(job)
    await desk.http.get("/v1/videos")
    now = await look(desk, 14)

    stands, went = figures.standing(now), figures.rates(before, now)
    assert (stands.replica, stands.database_up, stands.errs_on_purpose) == ("r1", True, False)
    assert {tier: n for tier, n in stands.waiting.items() if n} == {"standard": 2, "free": 1}
    assert (stands.completed, stands.late_accepts, stands.tokens["active"]) == (3, 0, 2)
    assert stands.oldest_waiting_seconds == pytest.approx(2.4)
    assert went.seconds == 4
    assert went.jobs["accepted"] == 5 / 4
    assert (went.jobs["started"], went.jobs["completed"], went.jobs["failed"]) == (0.5, 0.5, 0)
    assert went.wait.p99 is not None
    assert 1 < went.wait.p99 <= 2.5
    assert went.run.p50 is not None
    assert 0.1 < went.run.p50 <= 0.25
    assert went.errors == {"invalid_api_key": 0.25}
    assert {name: rate for name, rate in went.bearers.items() if rate} == {"accepted": 5 / 4, "missing": 0.25}
    assert sum(went.requests.values()) == 7 / 4  # the first look is one of them

    text = "\n".join(block(Shown("http://gateway.test", stands, went)))
    assert "waiting 3 (free 1, standard 2)  oldest 2.4 s  in progress 0 of 0 slots" in text
    assert "jobs/s    accepted 1.2  started 0.5  completed 0.5" in text
    assert "late accepts 0" in text
    assert "nan" not in text.lower()


async def test_what_is_not_known_is_a_dash_and_no_number(desk: Desk) -> None:
    await desk.create(await desk.bearer())
    before = await look(desk, 1)
    await desk.store.write(lambda tx: tx.execute("DROP TABLE signals"))
    now = await look(desk, 2)
    for went in (figures.rates(before, now), figures.rates(now, before)):
        assert went.jobs == {}
        assert went.wait == figures.Quantiles(None, None, None)
    lines = block(Shown("http://gateway.test", figures.standing(now), figures.rates(before, now)))
    assert "DATABASE AWAY" in lines[0]
    assert "waiting -  oldest -  in progress - of - slots, - workers  stalled -" in lines[1]


def test_a_counter_that_began_anew_counts_from_nothing() -> None:
    def samples(at: float, value: int) -> figures.Samples:
        text = (
            'leakdrill_build_info{replica="r1",version="1"} 1\n'
            f'leakdrill_http_requests_total{{replica="r1",method="GET",route="/x",status="2xx"}} {value}\n'
        )
        return figures.read(text, at=at, where=WHERE)

    assert figures.rates(samples(0, 100), samples(2, 6)).requests == {"2xx": 3}
    assert figures.rates(samples(0, 4), samples(2, 6)).requests == {"2xx": 1}


def test_quantiles_lie_evenly_within_a_bucket_and_never_beyond_the_last_bound() -> None:
    def quantiles(counts: dict[str, int]) -> figures.Quantiles:
        name = 'leakdrill_http_request_duration_seconds_bucket{replica="r1",method="GET",route="/x",status="2xx",'
        rows = "".join(f'{name}le="{bound}"}} {count}\n' for bound, count in counts.items())
        head = 'leakdrill_build_info{replica="r1",version="1"} 1\n'
        empty = figures.read(head, at=0, where=WHERE)
        return figures.rates(empty, figures.read(head + rows, at=1, where=WHERE)).latency

    assert quantiles({"1.0": 50, "2.0": 100, "+Inf": 100}) == figures.Quantiles(1.0, 1.9, 1.98)
    assert quantiles({"1.0": 0, "2.0": 10, "+Inf": 100}) == figures.Quantiles(2.0, 2.0, 2.0)
    assert quantiles({"1.0": 0, "2.0": 0, "+Inf": 0}) == figures.Quantiles(None, None, None)


@pytest.mark.parametrize("text", ["<html>", "up 1\n", "", "leakdrill_jobs{state=} x\n", 'a{b="c\nd\n'])
def test_what_is_no_scrape_of_a_gateway_is_said_so(text: str) -> None:
    with pytest.raises(OperatorError, match=r"gateway\.test"):
        figures.read(text, at=0, where=WHERE)


def test_what_a_gateway_calls_itself_does_not_move_the_cursor() -> None:
    text = 'leakdrill_build_info{replica="r1\x1b[2J",version="1"} 1\n'
    lines = block(Shown("http://gateway.test", figures.standing(figures.read(text, at=0, where=WHERE)), None))
    assert "\x1b" not in "".join(lines)
    assert "r1?[2J" in lines[0]


def test_durations() -> None:
    written = {None: "-", 0: "0 ms", 0.0123: "12 ms", 1: "1.0 s", 119: "119.0 s", 3600: "60 min"}
    assert {seconds: duration(seconds) for seconds in written} == written
