"""The reporter for drills: what it keeps, how long it tries, and what its outage sends late."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import FrozenClock
from gateway.commands.courier import LONGEST_WAIT_SECONDS, Outage, Refused, Surroundings, backoff, deliver
from gateway.commands.spool import Spool
from gateway.errors import OperatorError

Answer = Callable[[int], httpx.Response]


class Far:
    """A receiver that answers as it is told, and remembers what arrived and when."""

    def __init__(self, clock: FrozenClock, answer: Answer) -> None:
        self.clock = clock
        self.answer = answer
        self.seen: list[tuple[bytes, float]] = []

    def post(self, body: bytes) -> httpx.Response:
        self.seen.append((body, self.clock.now()))
        return self.answer(len(self.seen))

    @property
    def bodies(self) -> list[bytes]:
        return [body for body, _ in self.seen]

    @property
    def moments(self) -> list[float]:
        return [at for _, at in self.seen]


def taken(_number: int) -> httpx.Response:
    return httpx.Response(200, json=[])


def away(_number: int) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


def run(
    spool: Spool, answer: Answer, *, for_seconds: float = 0, outage: Outage | None = None, seed: int = 1
) -> tuple[Far, list[httpx.Response], list[str]]:
    clock = FrozenClock(0)
    far, told = Far(clock, answer), list[str]()
    around = Surroundings(clock, clock.advance, random.Random(seed))
    answers = deliver(spool, far.post, around, for_seconds=for_seconds, outage=outage, told=told.append)
    return far, answers, told


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path)
    for number in range(4):
        made.add(b"%d" % number)
    return made


def test_what_was_found_goes_out_oldest_first_and_is_forgotten_once_taken(spool: Spool) -> None:
    far, answers, told = run(spool, taken)
    assert far.bodies == [b"0", b"1", b"2", b"3"]
    assert (len(answers), told, len(spool)) == (4, [], 0)


def test_after_an_outage_all_of_it_comes_late_and_the_last_batch_twice(spool: Spool) -> None:
    far, answers, told = run(spool, taken, outage=Outage(600, 2))
    assert far.seen == [(b"0", 0), (b"1", 0), (b"1", 600), (b"2", 600), (b"3", 600)]
    assert (len(answers), len(spool)) == (5, 0)
    assert told == ["down for 600 s; 3 batches wait, of which the first may have arrived"]


def test_a_receiver_that_is_away_is_asked_again_with_growing_pauses(spool: Spool) -> None:
    def answer(number: int) -> httpx.Response:
        return taken(number) if number > 8 else away(number) if number % 2 else httpx.Response(503)

    far, answers, told = run(spool, answer, for_seconds=100)
    assert far.bodies == [b"0"] * 9 + [b"1", b"2", b"3"]
    waits = [after - before for before, after in zip(far.moments[:9], far.moments[1:9], strict=False)]
    for number, wait in enumerate(waits):
        expected = min(LONGEST_WAIT_SECONDS, 0.5 * 2**number)
        assert 0.75 * expected <= wait <= 1.25 * expected
    assert (len(told), len(answers)) == (8, 4)
    again = Spool(spool.path.parent / "again")
    again.add(b"0")
    assert run(again, answer, for_seconds=100)[0].moments[:9] == far.moments[:9], "one seed, one story"


@pytest.mark.parametrize("for_seconds", [0, 0.1, 7, 60])
def test_it_gives_up_when_its_time_is_over_and_keeps_everything(spool: Spool, for_seconds: float) -> None:
    clock = FrozenClock(0)
    around = Surroundings(clock, clock.advance, random.Random(1))
    with pytest.raises(OperatorError, match="not taken after"):
        deliver(spool, Far(clock, away).post, around, for_seconds=for_seconds, told=lambda _: None)
    assert clock.now() == pytest.approx(for_seconds)
    assert len(spool) == 4


def test_a_receiver_that_says_when_is_waited_for(spool: Spool) -> None:
    def answer(number: int) -> httpx.Response:
        return taken(number) if number > 1 else httpx.Response(503, headers={"Retry-After": "20"})

    far, _, _ = run(spool, answer, for_seconds=60)
    assert far.moments[:2] == [0, 20]


@pytest.mark.parametrize("asked", ["soon", "", "-1", "1e3", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_is_left_out(spool: Spool, asked: str) -> None:
    def answer(number: int) -> httpx.Response:
        return taken(number) if number > 1 else httpx.Response(503, headers=[("Retry-After", asked)])

    far, _, _ = run(spool, answer, for_seconds=60)
    assert far.moments[1] < 1


@pytest.mark.parametrize("status", [400, 401, 413, 422])
def test_what_is_refused_stays_with_what_is_behind_it(spool: Spool, status: int) -> None:
    with pytest.raises(Refused) as refused:
        run(spool, lambda number: taken(number) if number == 1 else httpx.Response(status), for_seconds=60)
    assert refused.value.answer.status_code == status
    assert len(spool) == 3
    oldest = spool.oldest()
    assert oldest is not None
    assert oldest.body == b"1"


def test_whoever_is_stopped_at_any_point_sends_the_rest_and_repeats_one_batch_at_most(tmp_path: Path) -> None:
    for stopped_at in range(1, 5):
        spool = Spool(tmp_path / str(stopped_at))
        for number in range(4):
            spool.add(b"%d" % number)
        arrived: list[bytes] = []

        def answer(number: int, stopped_at: int = stopped_at) -> httpx.Response:
            if number == stopped_at:  # it has arrived, and its answer is never read
                raise KeyboardInterrupt
            return taken(number)

        clock = FrozenClock(0)
        far = Far(clock, answer)
        with pytest.raises(KeyboardInterrupt):
            deliver(
                spool,
                far.post,
                Surroundings(clock, clock.advance, random.Random(1)),
                for_seconds=0,
                told=lambda _: None,
            )
        arrived += far.bodies
        resumed, _, _ = run(Spool(tmp_path / str(stopped_at)), taken)
        arrived += resumed.bodies
        twice = b"%d" % (stopped_at - 1)
        assert sorted(arrived) == sorted([b"0", b"1", b"2", b"3", twice])


def test_the_spool_is_the_owners_alone_and_holds_no_half_file(spool: Spool) -> None:
    files = list(spool.path.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    (spool.path / f".{os.getpid()}").write_bytes(b"hal")
    assert len(spool) == 4
    assert run(spool, taken)[0].bodies == [b"0", b"1", b"2", b"3"]


def test_two_reporters_on_one_spool_lose_nothing(tmp_path: Path) -> None:
    """One has a batch in hand while the other sends it, and then finds another in its place."""
    first, second = Spool(tmp_path), Spool(tmp_path)
    first.add(b"a")
    held = first.oldest()
    assert held is not None
    run(second, taken)
    second.add(b"b")
    first.remove(held)
    assert [len(first), len(second)] == [1, 1]


def test_a_spool_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "disclosure-spool").write_text("in the way")
    with pytest.raises(OperatorError, match="cannot keep a batch"):
        Spool(tmp_path).add(b"x")


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_a_pause_is_never_longer_than_it_may_be(failures: int, seed: int) -> None:
    assert 0 < backoff(failures, random.Random(seed)) <= 1.25 * LONGEST_WAIT_SECONDS
