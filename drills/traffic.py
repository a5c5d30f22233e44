"""Visitors of the public page: an open loop of seeded arrivals.

Arrivals are planned before the first one comes, and come whether or not earlier ones were answered. When too many are
on their way at once, a newcomer is dropped and counted.
"""

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import Any

from drills.callers import Answer, Bearer, Caller
from drills.clock import ReplayClock
from drills.gateway import GatewayClient
from drills.population import Clip, CurvePoint, Traffic

POLL_SECONDS = (0.5, 3.0)
LONGEST_VISIT_POLLS = 400


@dataclass(frozen=True)
class Arrival:
    """One visitor: when (replay minutes), with which of the leaked tokens, for what, and with how much patience."""

    n: int
    minute: float
    token: int
    clip: Clip
    prompt: str
    gives_up_after: int | None
    cancels: bool
    downloads: bool

    @property
    def who(self) -> str:
        return f"visitor-{self.n:03d}"


def plan_arrivals(traffic: Traffic, tokens: int, minutes: float, seed: int) -> list[Arrival]:
    """The same seed plans the same visitors.

    Args:
        tokens: how many leaked tokens there are to share out.
        minutes: length of the replay; later points of the curve are left out.
        seed: for `random.Random`.
    """
    chance = random.Random(seed)
    times = sorted(_draw_minute(chance, traffic.curve, minutes) for _ in range(traffic.arrivals))
    return [_arrival(chance, n, minute, tokens, traffic) for n, minute in enumerate(times, start=1)]


def _arrival(chance: random.Random, n: int, minute: float, tokens: int, traffic: Traffic) -> Arrival:
    gives_up = chance.random() < traffic.give_up
    return Arrival(
        n=n,
        minute=round(minute, 4),
        token=chance.randrange(tokens),
        clip=chance.choices(traffic.clips, weights=[clip.weight for clip in traffic.clips])[0],
        prompt=chance.choice(traffic.prompts),
        gives_up_after=chance.randint(1, 6) if gives_up else None,
        cancels=chance.random() < 0.5,
        downloads=chance.random() < traffic.download,
    )


def _draw_minute(chance: random.Random, curve: Sequence[CurvePoint], minutes: float) -> float:
    """A minute drawn by rejection: candidates are kept in proportion to the curve's weight there."""
    top = max(point.weight for point in curve)
    while True:
        minute = chance.uniform(curve[0].at, min(curve[-1].at, minutes))
        if chance.random() * top < weight_at(curve, minute):
            return minute


def weight_at(curve: Sequence[CurvePoint], minute: float) -> float:
    """The curve's weight at a replay minute; 0 outside it."""
    for left, right in pairwise(curve):
        if left.at <= minute <= right.at:
            share = (minute - left.at) / (right.at - left.at)
            return left.weight + share * (right.weight - left.weight)
    return 0.0


@dataclass
class CrowdCounts:
    """Visitors by how their visit went so far."""

    planned: int = 0
    arrived: int = 0
    dropped: int = 0
    finished: int = 0
    gave_up: int = 0
    turned_away: int = 0
    stopped: int = 0


class Crowd:
    """Lets the arrivals come and follows each through its visit. Requests go to the replicas in turn."""

    def __init__(
        self,
        arrivals: Sequence[Arrival],
        bearers: Sequence[Bearer],
        clients: Sequence[GatewayClient],
        clock: ReplayClock,
        at_once: int,
    ) -> None:
        self._arrivals = arrivals
        self._bearers = bearers
        self._clients = cycle(clients)
        self._clock = clock
        self._at_once = at_once
        self._here = 0
        self.counts = CrowdCounts(planned=len(arrivals))

    async def run(self, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Hand each visit to `spawn` at its minute, without waiting for it."""
        for arrival in self._arrivals:
            await self._clock.until(arrival.minute)
            self.counts.arrived += 1
            if self._here >= self._at_once:
                self.counts.dropped += 1
                continue
            self._here += 1
            spawn(self._visit(arrival))

    async def _visit(self, arrival: Arrival) -> None:
        try:
            await self._stay(arrival, Caller("visitor", arrival.who, self._bearers[arrival.token]))
        finally:
            self._here -= 1

    async def _stay(self, arrival: Arrival, caller: Caller) -> None:
        """Submit, poll as told, fetch the clip; or be refused, or lose patience."""
        answer = await next(self._clients).submit(caller, arrival.clip, arrival.prompt)
        video = answer.exchange.job
        if not answer.accepted or video is None:
            self.counts.turned_away += 1
            return
        for polls in range(1, LONGEST_VISIT_POLLS):
            await self._clock.sleep(answer.poll_after(*POLL_SECONDS))
            if polls == arrival.gives_up_after:
                await self._leave(arrival, caller, video)
                return
            answer = await next(self._clients).poll(caller, video)
            if answer.exchange.outcome == "refused" or _ended(answer) == "failed":
                self.counts.stopped += 1
                return
            if _ended(answer) == "completed":
                if arrival.downloads:
                    await next(self._clients).download(caller, video)
                self.counts.finished += 1
                return
        self.counts.gave_up += 1

    async def _leave(self, arrival: Arrival, caller: Caller, video: str) -> None:
        self.counts.gave_up += 1
        if arrival.cancels:
            await next(self._clients).cancel(caller, video)


def _ended(answer: Answer) -> str | None:
    """completed or failed; None while the video is under way or unknown."""
    status = answer.body.get("status")
    return status if status in ("completed", "failed") else None
