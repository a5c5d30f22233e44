"""Injects that do something to the gateway: notices, restorations, outages, minting; and what is set up for them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from drills.callers import Bearer, Caller, bearer_in
from drills.errors import DrillError
from drills.fleet import Fleet
from drills.history import History
from drills.msel import MADE_UP, MselLine, Return
from drills.notices import Reporter
from drills.scenario import Scenario
from drills.sinks import SinkReceiver, Told
from drills.surfaces import CHILD_SECONDS

MINTED_SECONDS = 0.7
# The scenario whose lines are the plan of injects that an instructor has on the private page.
ON_THE_PAGES = "november-2024"


class RestoreCall(BaseModel):
    """A restoration as it was asked for. Seconds on the history's clock; `accessors` are the tokens of its cohort."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    line: str
    start: float
    end: float
    taken: bool
    status: int | None
    cohort: str
    accessors: list[str]
    over_seconds: float
    batch: int


@dataclass
class Deeds:
    """What a scenario's lines do. `held` are the tokens by the id of their cohort; `did` notes an action."""

    scenario: Scenario
    fleet: Fleet
    history: History
    held: Mapping[str, Sequence[Bearer]]
    reporter: Reporter
    did: Callable[[str, bool, str], None]

    restores: list[RestoreCall] = field(default_factory=list)
    minted: list[Bearer] = field(default_factory=list)
    _sinks: list[SinkReceiver] = field(default_factory=list)
    _outages: list[str] = field(default_factory=list)
    _profile: Mapping[str, object] | None = None
    _telling: list[asyncio.Task[bool]] = field(default_factory=list)
    _line_before: str | None = None

    @property
    def told(self) -> list[Told]:
        """What the sinks were sent, in order of arrival."""
        return sorted((each for sink in self._sinks for each in sink.told), key=lambda each: (each.at, each.sink))

    async def set_up(self, speed: float) -> None:
        """Sinks and the latency profile. `speed` is replay seconds per second: simulated times are replay times."""
        topology, first = self.scenario.topology, self.fleet.first
        if self.scenario.scenario.id == ON_THE_PAGES:
            self._line_before = (await first.order("inject", "GET", "/control/state")).body.get("broadcast")
        for number in range(1, topology.sinks + 1):
            sink = SinkReceiver(number, self.history)
            self._sinks.append(sink)
            listens = await sink.open(first)
            self.did("sink", listens, "a sink listens" if listens else "the gateway does not call 127.0.0.1")
        if topology.profile is not None:
            before = (await first.order("profile", "GET", "/control/profile")).body
            self._profile = {name: before[name] for name in ("name", "speed", "seed") if name in before}
            body = {"name": topology.profile, "speed": min(speed, 100_000.0), "seed": self.scenario.seed % 2**31}
            await first.order("profile", "PUT", "/control/profile", json=body)
            self.did("profile", True, f"{topology.profile}, {speed:g} times as fast")

    def tell_pages(self, line: MselLine) -> None:
        """Puts a line of the pages' plan on every page, beside whatever the drill does: nothing waits for it."""
        if self.scenario.scenario.id == ON_THE_PAGES:
            self._telling.append(asyncio.ensure_future(self._tell_pages(line.id, line.text)))

    async def _tell_pages(self, id: str, words: str) -> bool:
        """As an inject that is fired; where that cannot be, or was done in an exercise before, as a broadcast."""
        first, body = self.fleet.first, {"state": "fired", "line": words}
        if (await first.ask("inject", "PUT", f"/control/injects/{id}", json=body)).accepted:
            return True
        return (await first.ask("inject", "PUT", "/control/broadcast", json={"text": words})).accepted

    async def _untell(self) -> None:
        """The line that was on the pages before is there again."""
        told = await asyncio.gather(*self._telling)
        self.did("inject", all(told), f"{sum(told)} of {len(told)} lines were put on every page")
        await self.fleet.first.order("inject", "PUT", "/control/broadcast", json={"text": self._line_before})

    async def do(self, line: MselLine) -> None:
        """What the line does; nothing where it is only words."""
        if line.notice is not None:
            bearers = [] if line.notice.about in MADE_UP else self.held[line.notice.about]
            call, _ = await self.reporter.post(line.id, line.notice, bearers)
            self.did("notice", call.outcome == "taken", f"{call.named} named, {call.outcome}, status {call.status}")
        elif line.restore is not None:
            await self._restore(line.id, line.restore)
        elif line.outage is not None:
            body = {"failure": "overloaded", "surface": ["any"], "for_seconds": line.outage.seconds}
            answer = await self.fleet.first.order("outage", "POST", "/control/faults", json=body)
            self._outages.append(str(answer.body.get("id", "")))
            self.did("outage", True, f"503 for everybody, {line.outage.seconds:g} s at the most")
        elif line.mint is not None:
            await self._mint(line.mint.each, line.mint.depth)

    async def _restore(self, line: str, wanted: Return) -> None:
        cohort = next(each for each in self.scenario.population.cohorts if each.id == wanted.cohort)
        body = {
            "selector": {"cohort": cohort.cohort or cohort.id},
            "reason": "false alarm",
            "over_seconds": wanted.over_seconds,
            "batch": wanted.batch,
        }
        answer = await self.fleet.first.ask("restore", "POST", "/control/restorations", json=body)
        self.restores.append(
            RestoreCall(
                line=line,
                start=answer.exchange.start,
                end=answer.exchange.end,
                taken=answer.accepted,
                status=answer.exchange.status,
                cohort=wanted.cohort,
                accessors=[bearer.accessor for bearer in self.held[wanted.cohort]],
                over_seconds=wanted.over_seconds,
                batch=wanted.batch,
            )
        )
        words = f"{wanted.cohort}, {wanted.batch} at a time over {wanted.over_seconds:g} s"
        self.did("restore", answer.accepted, f"{words}, status {answer.exchange.status}")

    async def _mint(self, each: int, depth: int) -> None:
        """Generation by generation, each token of one minting the next."""
        parents = [bearer for name, bearers in self.held.items() if self._leaks(name) for bearer in bearers]
        refused = 0
        for _ in range(depth):
            children = []
            for parent in parents:
                for _ in range(each):
                    child = await self._one_child(parent)
                    children += [child] if child else []
                    refused += child is None
            self.minted += children
            parents = children
        self.did("insider_mint", refused == 0, f"{len(self.minted)} tokens minted, {refused} not")

    async def _one_child(self, parent: Bearer) -> Bearer | None:
        body = {"expires_in": CHILD_SECONDS, "scopes": ["videos:read", "videos:write", "tokens:mint"]}
        answer = await self.fleet.first.send(
            Caller("probe", "insider", parent), "mint", "POST", "/v1/tokens", json=body
        )
        return bearer_in(answer, parent.principal, parent.cohort, parent.label) if answer.accepted else None

    def _leaks(self, name: str) -> bool:
        return any(cohort.leaked and cohort.id == name for cohort in self.scenario.population.cohorts)

    async def keep_using_minted(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """What was minted is in use, on each replica in turn, and tried on after the cut; until cancelled."""
        number = 0
        while True:
            for place, bearer in enumerate(self.minted):
                member = self.fleet.members[(number + place) % len(self.fleet.members)]
                await member.send(Caller("probe", "insider", bearer), "child_token", "GET", "/v1/videos?limit=1")
            number += 1
            await sleep(MINTED_SECONDS)

    async def take_back(self) -> None:
        """Everything is as it was: the old line, no outage, no sink, the old profile. Each is tried; the first failure
        raises."""
        first, failures = self.fleet.first, list[DrillError]()
        if self._telling:
            await _try(failures, self._untell())
        if self._profile is not None:
            await _try(failures, first.order("profile", "PUT", "/control/profile", json=self._profile))
        for id in self._outages:
            answer = await first.ask("outage", "DELETE", f"/control/faults/{id}")
            if not answer.accepted and answer.exchange.status != 404:  # it may have ended by itself
                failures.append(DrillError(f"the outage {id} could not be ended: {answer.exchange.status}"))
        for sink in self._sinks:
            await _try(failures, sink.take_back(first))
            await sink.aclose()
        if failures:
            raise failures[0]


async def _try(failures: list[DrillError], work: Awaitable[object]) -> None:
    try:
        await work
    except DrillError as error:
        failures.append(error)
