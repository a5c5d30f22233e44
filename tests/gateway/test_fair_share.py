"""What one leaked token that sends 90 % of the load does to the wait of the others, in each order of service.

Simulated time on the real store: who sends when follows from a seed, a slot is busy for RENDER_SECONDS, and each
submit, claim and completion is that of a gateway or a worker. The others alone load the slots to LOAD of what these can
render. Beside the leaked token they send the same at the same times, and all together is seven times what can be
rendered.
"""

import heapq
import statistics
from functools import partial

import pytest

from arrivals import LEAKED, SHARE, Arrival, at_random, in_rounds, names, with_leaked
from desk import Desk, DeskMaker
from gateway.jobs import lifecycle, service
from gateway.jobs.line import Line
from gateway.store import tokens
from gateway.store.jobs import Job, RenderRequest
from gateway.store.tokens import Token

pytestmark = pytest.mark.anyio

REQUEST = RenderRequest("rain", "standard", "standard", "1280x720", 4, 30, 1)
RENDER_SECONDS = 4.0
CLASS, LOAD = 30, 0.75
MOST_IN_FAIR, LEAST_IN_FIFO = 1.2, 3.0  # times the median wait without the leaked token


class House:
    """A waiting line and so many slots."""

    def __init__(self, desk: Desk, order: str, slots: int) -> None:
        self.desk, self.line, self.free = desk, Line(3600, fair=order == "fair"), slots
        self.ends: list[tuple[float, int, Job]] = []

    async def waits(self, sent: list[Arrival]) -> list[float]:
        """Seconds from submit to start of each video of the class, once the last of them has started."""
        bearers = await self._issue()
        left = sum(one.who != LEAKED for one in sent)
        coming, found, owner = list(reversed(sent)), [], {}
        while left:
            if self.ends and (not coming or self.ends[0][0] <= coming[-1].at):
                now, _, job = heapq.heappop(self.ends)
                await self._end(job, now)
            else:
                one = coming.pop()
                now = one.at
                owner[await self._submit(bearers[one.who], now)] = one
            while self.free and (started := await self._claim(now)) is not None:
                one = owner[started.id]
                if one.who != LEAKED:
                    left -= 1
                    found.append(now - one.at)
        return found

    async def _issue(self) -> dict[str, Token]:
        found = {}
        for who in (LEAKED, *names(CLASS)):
            issued = await self.desk.issue(who)
            token = await self.desk.store.read(partial(tokens.by_accessor, accessor=issued["accessor"]))
            assert token is not None
            found[who] = token
        return found

    async def _submit(self, token: Token, now: float) -> str:
        made = await service.submit(self.desk.store, self.line, token, REQUEST, now=now, queue_limit=100_000)
        return made.job.id

    async def _claim(self, now: float) -> Job | None:
        job = await lifecycle.claim(self.desk.store, worker="w1", now=now, lease_seconds=60, max_attempts=3)
        if job is not None:
            self.free -= 1
            heapq.heappush(self.ends, (now + RENDER_SECONDS, job.seq, job))
        return job

    async def _end(self, job: Job, now: float) -> None:
        await lifecycle.complete(self.desk.store, job, worker="w1", file="f", size=1, now=now, keep_seconds=86_400)
        self.free += 1


async def medians(make_desk: DeskMaker, order: str, slots: int, sent: list[Arrival], seconds: float) -> list[float]:
    """The class's median wait in seconds: alone, and beside the leaked token."""
    found = []
    for arrivals in (sent, with_leaked(1, sent, seconds)):
        desk = await make_desk(queue_order=order)
        await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
        found.append(statistics.median(await House(desk, order, slots).waits(arrivals)))
    return found


async def test_a_leaked_token_hardly_lengthens_the_wait_of_a_class_in_fair_order_and_ruins_it_in_fifo(
    make_desk: DeskMaker,
) -> None:
    slots, rounds = 2, 2
    round_seconds = CLASS * RENDER_SECONDS / slots / LOAD
    sent = in_rounds(1, tokens=CLASS, rounds=rounds, round_seconds=round_seconds)
    seconds = rounds * round_seconds
    everybody = with_leaked(1, sent, seconds)
    assert 1 - len(sent) / len(everybody) == pytest.approx(SHARE, abs=0.01)
    alone, beside = await medians(make_desk, "fair", slots, sent, seconds)
    assert 1 <= beside / alone <= MOST_IN_FAIR, (alone, beside)
    alone, beside = await medians(make_desk, "fifo", slots, sent, seconds)
    assert beside / alone >= LEAST_IN_FIFO, (alone, beside)


async def test_who_would_hardly_have_waited_waits_for_a_render_or_two_more(make_desk: DeskMaker) -> None:
    """No ratio holds where nobody waits; what a leaked token adds is the render that is under way, and one a turn."""
    per_second = LOAD / RENDER_SECONDS
    seconds = 60 / per_second
    sent = at_random(1, tokens=CLASS, per_second=per_second, seconds=seconds)
    alone, beside = await medians(make_desk, "fair", 1, sent, seconds)
    assert alone < 2 * RENDER_SECONDS
    assert 0 <= beside - alone <= 2 * RENDER_SECONDS, (alone, beside)
