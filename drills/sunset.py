"""The end of an API: simulated clients go on calling until something makes them stop, and it is kept what each saw.

I10 From the announcement on, every answer says when the API ends; it is served until then, but for the brown-outs; and
    never afterwards.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drills.callers import Answer, Bearer, Caller
from drills.clock import ReplayClock
from drills.gateway import GatewayClient
from drills.history import FOREIGN, Exchange
from drills.invariants import Rule, offence_of, symptoms
from drills.oracle import Verdict
from drills.population import Cohort
from drills.scenario import Scenario
from drills.sunset_plan import SunsetPlan

PATH = "/control/sunset"
# Replicas read the schedule every quarter second; what is asked so near to a change may be answered either way.
HEEDED_SECONDS = 0.6
ENDED = 410
# What an answer says the end with: RFC 9745, RFC 8594, and where to read more.
NAMES = ("Deprecation", "Sunset", "Link")
MOST_OF_A_HEADER = 300


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Part):
    """Seconds of the drill."""

    start: float
    end: float
    status: int


class HeaderSeen(_Part):
    """A header that says that the API ends, as a client was sent it last; `answers` counts those that bore it."""

    name: str
    value: str
    answers: int


class ClientSeen(_Part):
    """A simulated client. Seconds of the drill, None where it did not happen: when it first saw the headers, when it
    was first refused, and when it stopped. `after_end` counts its calls after the end; `headers` are those that it was
    sent."""

    accessor: str
    principal: str
    heeds: str
    calls: int = 0
    first_headers: float | None = None
    first_refusal: float | None = None
    stopped: float | None = None
    after_end: int = 0
    headers: list[HeaderSeen] = []


class SunsetSeen(_Part):
    """What was planned, in seconds of the drill, and what clients saw. `headed` are the requests whose answers bore
    both headers, with the right day."""

    announced: float
    ends: float
    brown_outs: list[Span] = []
    headed: list[int] = []
    clients: list[ClientSeen] = []

    @property
    def went_on(self) -> list[ClientSeen]:
        """Clients that called after the end."""
        return [client for client in self.clients if client.after_end]


class Ending:
    """Sets the schedule, and lets the clients call."""

    def __init__(
        self,
        scenario: Scenario,
        members: Sequence[GatewayClient],
        held: Mapping[str, Sequence[Bearer]],
        clock: ReplayClock,
        seed: int,
    ) -> None:
        if scenario.sunset is None:
            raise ValueError("the scenario has no sunset")
        self._plan: SunsetPlan = scenario.sunset
        self._scenario = scenario
        self._members = members
        self._clock = clock
        self._chance = Random(seed)
        self._ends_at: datetime = scenario.time_at(self._plan.ends_at)
        self._end = 0.0
        self._headed: list[int] = []
        self._clients = [
            (cohort, bearer, {"calls": 0, "after_end": 0})
            for cohort in scenario.population.cohorts
            for bearer in held[cohort.id]
        ]
        self._sent: dict[str, dict[str, HeaderSeen]] = {bearer.accessor: {} for _, bearer, _ in self._clients}
        self._seen: dict[str, dict[str, float]] = {bearer.accessor: {} for _, bearer, _ in self._clients}
        self._set = False

    async def announce(self, zero: float) -> None:
        """Put the schedule in force. `zero` is the second at which the replay began."""
        self._end = zero + self._seconds(self._plan.ends_at)
        await self._members[0].order("sunset", "PUT", PATH, json=self.schedule())
        self._set = True

    def schedule(self) -> dict[str, object]:
        """The plan on the replay clock."""
        at, plan = self._scenario.time_at, self._plan
        outs = [
            {"at": at(one.at).isoformat(), "until": at(one.at + one.minutes).isoformat(), "status": one.status}
            for one in plan.brown_outs
        ]
        times = {"announced_at": at(plan.announced_at).isoformat(), "ends_at": at(plan.ends_at).isoformat()}
        return {**times, "brown_outs": outs, "link": plan.link}

    async def run(self) -> None:
        """All clients side by side, each from a moment of its own within the first interval, until cancelled."""
        starts = [self._chance.random() * self._plan.call_every_minutes for _ in self._clients]
        async with asyncio.TaskGroup() as group:
            for n, start in enumerate(starts):
                group.create_task(self._client(n, start))

    async def _client(self, number: int, minute: float) -> None:
        cohort, bearer, counts = self._clients[number]
        seen = self._seen[bearer.accessor]
        while True:
            await self._clock.until(minute)
            member = self._members[(number + counts["calls"]) % len(self._members)]
            answer = await member.list_videos(Caller("client", bearer.principal, bearer))
            exchange = answer.exchange
            counts["calls"] += 1
            counts["after_end"] += exchange.start >= self._end + HEEDED_SECONDS
            self._note_headers(self._sent[bearer.accessor], answer)
            if self._bears_headers(answer):
                self._headed.append(exchange.n)
                seen.setdefault("first_headers", exchange.start)
            if exchange.status in (503, ENDED):
                seen.setdefault("first_refusal", exchange.start)
            if _heeded(cohort, exchange, seen, self._end):
                seen["stopped"] = exchange.end
                return
            minute += self._plan.call_every_minutes

    def _note_headers(self, sent: dict[str, HeaderSeen], answer: Answer) -> None:
        for name in NAMES:
            if (value := answer.headers.get(name.lower())) is not None:
                before = sent[name].answers if name in sent else 0
                sent[name] = HeaderSeen(name=name, value=value[:MOST_OF_A_HEADER], answers=before + 1)

    def _bears_headers(self, answer: Answer) -> bool:
        """Deprecation (RFC 9745) with a date, and Sunset (RFC 8594) with that of the end, to the second."""
        if not answer.headers.get("deprecation", "").startswith("@"):
            return False
        try:
            told = parsedate_to_datetime(answer.headers.get("sunset", ""))
        except ValueError:
            return False
        return abs(told - self._ends_at) < timedelta(seconds=2)

    def seen(self, zero: float) -> SunsetSeen:
        """What there is to judge."""
        outs = [
            Span(start=zero + self._seconds(one.at), end=zero + self._seconds(one.at + one.minutes), status=one.status)
            for one in self._plan.brown_outs
        ]
        return SunsetSeen(
            announced=round(zero + self._seconds(self._plan.announced_at), 6),
            ends=round(zero + self._seconds(self._plan.ends_at), 6),
            brown_outs=outs,
            headed=self._headed,
            clients=[
                ClientSeen(
                    accessor=bearer.accessor,
                    principal=bearer.principal,
                    heeds=cohort.heeds or "nothing",
                    calls=counts["calls"],
                    after_end=counts["after_end"],
                    first_headers=self._seen[bearer.accessor].get("first_headers"),
                    first_refusal=self._seen[bearer.accessor].get("first_refusal"),
                    stopped=self._seen[bearer.accessor].get("stopped"),
                    headers=[*self._sent[bearer.accessor].values()],
                )
                for cohort, bearer, counts in self._clients
            ],
        )

    async def take_back(self) -> None:
        """The API goes on as before. Raises DrillError."""
        if self._set:
            await self._members[0].order("sunset", "DELETE", PATH)
            self._set = False

    def _seconds(self, minute: float) -> float:
        return minute * 60 / self._clock.speed


def _heeded(cohort: Cohort, exchange: Exchange, seen: Mapping[str, float], end: float) -> bool:
    """Whether that makes such a client stop."""
    if cohort.heeds == "headers":
        return "first_headers" in seen
    if cohort.heeds == "brown_outs":
        return exchange.status in (503, ENDED)
    return cohort.heeds == "end" and exchange.status == ENDED and exchange.start >= end - HEEDED_SECONDS


Time = Literal["before", "announced", "brown_out", "ended", "either"]


def judge_sunset(history: Sequence[Exchange], seen: SunsetSeen | None) -> Verdict:
    """Judge a drill in which the API ends."""
    if seen is None:
        return Verdict(verdict="inconclusive", reasons=["the end of the API was never announced"])
    headed = set(seen.headed)
    calls = sorted((each for each in history if each.actor == "client"), key=lambda each: (each.start, each.n))
    offences, times = [], set[Time]()
    for each in calls:
        time, status = _time_of(each, seen)
        times.add(time)
        rule = _broken_rule(each, time, status, headed=each.n in headed)
        if rule is not None:
            since = seen.ends if time == "ended" else seen.announced
            offences.append(offence_of(rule, each, since, invariants=["I10"]))
    if offences:
        return Verdict(verdict="not_contained", reasons=symptoms(offences), offences=offences)
    wanted: dict[Time, str] = {"announced": "between announcement and end", "ended": "after the end"}
    wanted |= {"brown_out": "in a brown-out"} if seen.brown_outs else {}
    missing = [f"no client called {words}" for time, words in wanted.items() if time not in times]
    if missing:
        return Verdict(verdict="inconclusive", reasons=missing)
    words = f"announced, and served to nobody after its end; {len(seen.went_on)} of {len(seen.clients)} clients went on"
    return Verdict(verdict="contained", reasons=[f"{words} calling"])


def _time_of(each: Exchange, seen: SunsetSeen) -> tuple[Time, int]:
    """What a call must be answered, by when it was asked; near a change it may be either."""
    edges = [seen.announced, seen.ends, *(edge for one in seen.brown_outs for edge in (one.start, one.end))]
    if any(edge - HEEDED_SECONDS < each.end and each.start < edge + HEEDED_SECONDS for edge in edges):
        return "either", 0
    if each.start >= seen.ends:
        return "ended", ENDED
    for one in seen.brown_outs:
        if one.start <= each.start < one.end:
            return "brown_out", one.status
    return ("announced" if each.start >= seen.announced else "before"), 200


def _broken_rule(each: Exchange, time: Time, status: int, *, headed: bool) -> Rule | None:
    if time == "either" or each.status is None or each.code in FOREIGN:
        return None
    if time == "ended" and each.status != ENDED:
        return "served_after_end"
    if time == "brown_out" and each.status != status:
        return "brown_out_missed"
    if time in ("before", "announced") and each.outcome != "accepted":
        return "refused_too_soon"
    return "not_announced" if time == "announced" and not headed else None
