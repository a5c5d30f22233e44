"""One exercise in progress: prepare, play, contain, watch, put back.

Everything it learns is kept in plain attributes, so that a journal can be written at any moment.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from drills.audit import Chain, check_chain
from drills.callers import Bearer
from drills.clock import ReplayClock
from drills.contingency import Condition, Seen
from drills.cut import Cut
from drills.deeds import Deeds
from drills.errors import DrillError, NotSteady
from drills.evidence import JobTrace, trace_jobs
from drills.fleet import Fleet
from drills.gateway import GatewayClient
from drills.history import History
from drills.holders import Holders
from drills.journal import Action, Check, Played, Preview, Sample
from drills.msel import When
from drills.notices import NoticeCall, Reporter
from drills.onlookers import Onlookers
from drills.oracle import RevokeCall
from drills.population import Cohort
from drills.probes import ProbeKit
from drills.progress import DrillEvent, EventKind
from drills.replies import Status
from drills.response import Response
from drills.revoking import as_listed, by_notice
from drills.rollback import ROLLBACK_SECONDS, Rollback
from drills.scenario import MselLine, Scenario
from drills.signing import ReporterKey
from drills.steady import checked_after, checked_before
from drills.sunset import Ending, SunsetSeen
from drills.traffic import Crowd, plan_arrivals

CONDITION_SECONDS = 0.1


@dataclass
class Exercise:
    """Plays one scenario. Call `run()`, then `put_back()` whatever happened."""

    scenario: Scenario
    fleet: Fleet
    history: History
    clock: ReplayClock
    seed: int
    on_event: Callable[[DrillEvent], None] | None = None
    on_leak: Callable[[list[str]], None] | None = None
    tells: bool = False
    response: Response | None = None
    key: ReporterKey | None = None

    phase: str = "normal"
    leaked: list[Bearer] = field(default_factory=list)
    bystanders: list[Bearer] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    fired: dict[str, float] = field(default_factory=dict)
    jobs: list[JobTrace] | None = None
    chain: Chain | None = None
    replay_zero: float | None = None
    seen: Status | None = None
    crowd: Crowd | None = None
    deeds: Deeds | None = None
    sunset: SunsetSeen | None = None
    rollback: Rollback = field(init=False)
    _cut: Cut | None = None
    _ending: Ending | None = None
    _holders: Holders | None = None
    _fresh: Bearer | None = None
    _first_seq: int = 0
    _exposed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.rollback = Rollback(self.did)

    @property
    def client(self) -> GatewayClient:
        """The first gateway, which the operator uses."""
        return self.fleet.first

    @property
    def doomed(self) -> set[str]:
        """Accessors that must be dead after the cut: the leaked tokens, and what they minted."""
        return {bearer.accessor for bearer in (*self.leaked, *self._minted)}

    @property
    def revoke(self) -> RevokeCall | None:
        """The revocation, once it was sent."""
        return self._cut.revoke if self._cut else None

    @property
    def preview(self) -> Preview | None:
        """What the gateway said it would touch, as it was asked last."""
        return self._cut.preview if self._cut else None

    @property
    def notices(self) -> list[NoticeCall]:
        """The notices that were sent, in order."""
        return self.deeds.reporter.calls if self.deeds else []

    @property
    def _minted(self) -> list[Bearer]:
        return [*(self._cut.kit.minted if self._cut else []), *(self.deeds.minted if self.deeds else [])]

    async def run(self) -> None:
        """The whole exercise. Raises NotSteady, or DrillError when a step cannot be done."""
        await self._prepare()
        await self._play()
        await self._read_events()

    def played(self) -> list[Played]:
        """The inject log in the order of the plan."""
        lines = self.scenario.lines()
        return [
            Played(line=line.id, minute=self.scenario.minute(line), fired=self.fired.get(line.id)) for line in lines
        ]

    async def _prepare(self) -> None:
        """Issue tokens and see that the gateway works for somebody who has nothing to do with the leak."""
        await self._set_up()
        self._tell("step", "Issuing tokens")
        held: dict[str, list[Bearer]] = {}
        for cohort in self.scenario.population.cohorts:
            own = [await self._issue(cohort, n) for n in range(1, cohort.issue + 1)]
            held[cohort.id] = own
            if not cohort.short_lived:
                (self.leaked if cohort.leaked else self.bystanders).extend(own)
        leak = f"{len(self.leaked)} tokens to leak, " if self.leaked else ""
        self.did("issue", True, f"{leak}{len(self.bystanders)} {'bystanders' if leak else 'tokens'}")
        issued = await self.client.events(0, "token.issued")
        first = next(iter(held.values()))[0].accessor
        self._first_seq = max((event.seq for event in issued if event.accessor == first), default=0)
        for check in self.scenario.steady_state:
            if check.when == "before":
                self._tell("step", f"Checking the steady state: {check.id}")
                found = await checked_before(check, self.client, self.bystanders, self.history, self.clock.sleep)
                self.checks.append(found)
                if not found.ok:
                    raise NotSteady(f"steady state not met: {check.id}: {found.detail}")
        reporter = Reporter(self.client, self.key, self.seed)
        self.deeds = Deeds(self.scenario, self.fleet, self.history, held, reporter, self.did)
        await self.deeds.set_up(self.clock.speed)
        await self._prepare_plot(self.deeds, held)
        traffic, bearers = self.scenario.population.traffic, self.leaked or self.bystanders
        arrivals = plan_arrivals(traffic, len(bearers), self.scenario.clock.minutes, self.seed)
        self.crowd = Crowd(arrivals, bearers, self.fleet.members, self.clock, traffic.at_once)

    async def _prepare_plot(self, deeds: Deeds, held: dict[str, list[Bearer]]) -> None:
        """Whoever has a part in this plot, and in no other."""
        if self.scenario.scenario.plot == "leak":
            surfaces = self.scenario.containment.surfaces
            kit = ProbeKit(self.fleet.members, self.leaked[-1], self.history, self.clock.sleep, surfaces)
            onlookers = Onlookers(self.fleet.members, self.bystanders)
            self._cut = Cut(
                self.scenario, self.fleet, self.history, self.clock, kit, onlookers, self.leaked,
                self.response,
                issue=self._issue, did=self.did, tell=self._tell, fire=self._fire, reporter=deeds.reporter,
            )  # fmt: skip
        elif self.scenario.scenario.plot == "sunset":
            self._ending = Ending(self.scenario, self.fleet.members, held, self.clock, self.seed)
        else:
            self._holders = Holders(self.fleet.members, self.bystanders, self.history, self.clock)
            await self._holders.begin()

    async def _set_up(self) -> None:
        """Tell the replicas what the scenario says, where the drill may; then see what they are."""
        topology = self.scenario.topology
        if self.tells and topology.orders():
            self._tell("step", "Telling the replicas")
            told = await self.fleet.tell(topology, self._longest_seconds())
            self.did("tell_replicas", True, f"{told} of {topology.replicas} told: {topology.told}")
        status = await self.client.check_admin()
        await self.fleet.look(status)
        self.seen = status

    async def _issue(self, cohort: Cohort, number: int) -> Bearer:
        mints = cohort.leaked and bool({"mint", "child_token"} & set(self.scenario.containment.surfaces))
        return await self.client.issue(
            f"{cohort.principal}-{number:03d}",
            cohort.cohort or cohort.id,
            label=cohort.label,
            expires_in=cohort.expires_in_seconds,
            mints=mints,
        )

    async def _play(self) -> None:
        """Run the MSEL, the visitors, the containment and the onlookers side by side until the replay ends."""
        await self._set_phase("normal")
        start = self.scenario.clock.start.isoformat()
        await self.client.set_clock(start, self.clock.speed, running=True)
        self.clock.begin()
        self.replay_zero = self.history.now()
        self.did("set_clock", True, f"{start}, {self.clock.speed:g} times real time")
        endless: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None]) -> None:
                endless.append(group.create_task(work))

            spawn(self._watch_queue())
            for line in self.scenario.msel:
                if line.when is not None:
                    spawn(self._run_contingent(line, line.when))
            done = {group.create_task(self._run_msel(spawn)), group.create_task(self._run_plot(spawn))}
            await asyncio.wait(done)
            await self.clock.until(self.scenario.clock.minutes)
            for task in endless:
                task.cancel()
        if self._cut:
            self.checks += self._cut.checks
        elif self.scenario.scenario.plot != "sunset":
            self._fresh = await self.client.issue("controller-001", "controllers")
            self.checks += await checked_after(self.scenario, self.fleet.members, self._fresh, self.history)

    async def _run_plot(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """What this plot is about, beside the MSEL."""
        if self._cut and self.deeds:
            spawn(self._keep_looking(self._cut.onlookers))
            spawn(self.deeds.keep_using_minted(self.clock.sleep))
            await self._cut.run(self._exposed)
            return
        if self._ending and self.replay_zero is not None:
            await self._ending.announce(self.replay_zero)
            self.did("sunset", True, "the end of the API is scheduled")
            spawn(self._ending.run())
        if self._holders:
            spawn(self._holders.watch())
            spawn(self._keep_looking(Onlookers(self.fleet.members, self.bystanders)))
        if self.crowd:
            spawn(self.crowd.run(spawn))

    async def _run_msel(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Fire every timed line at its minute; `access_ended` belongs to the containment."""
        for minute, line in self.scenario.timed():
            if line.inject == "access_ended":
                continue
            await self.clock.until(minute)
            if line.inject == "leak_posted":
                await self._set_phase("exposed")
            self._fire(line)
            if line.inject == "leak_posted":
                if self.on_leak:
                    self.on_leak([bearer.token for bearer in self.leaked])
                self._exposed.set()
                if self.crowd:
                    spawn(self.crowd.run(spawn))
            elif self.deeds:
                await self.deeds.do(line)

    async def _keep_looking(self, onlookers: Onlookers) -> None:
        """Let each bystander make a harmless request now and then, before and after."""
        while True:
            await onlookers.look()
            await self.clock.sleep(max(1.5, self._replay_seconds() / 60))

    async def _run_contingent(self, line: MselLine, when: When) -> None:
        """Fire a line as soon as its condition holds; often it never does."""
        condition = Condition(when)
        while not condition.holds(self._seen_so_far()):
            await self.clock.sleep(CONDITION_SECONDS)
        self._fire(line)
        if self.deeds:
            await self.deeds.do(line)

    def _seen_so_far(self) -> Seen:
        exchanges, minute = self.history.exchanges, self.clock.minutes()
        return Seen(self.history.now(), minute, exchanges, self.revoke, self.doomed, self.notices)

    async def _watch_queue(self) -> None:
        """Look at /status about once a second (less often in a long replay)."""
        every = max(1.0, self._replay_seconds() / 900)
        while True:
            status = await self.client.status()
            if status:
                self.samples.append(
                    Sample(at=self.history.now(), waiting=status.queue.waiting, running=status.queue.running)
                )
                self._note_phase(status)
                self._tell("queue", f"{status.queue.waiting} waiting, {status.queue.running} running")
            await self.clock.sleep(every)

    async def _read_events(self) -> None:
        """Fetch the gateway's own record: whether it holds together, and the revoked tokens' jobs."""
        if self._ending and self.replay_zero is not None:
            self.sunset = self._ending.seen(self.replay_zero)
        acknowledged = self.revoke is not None and self.revoke.outcome == "acknowledged"
        if self._cut and self.response is None and not acknowledged:
            return
        try:
            events = await self.client.events(self._first_seq)
        except DrillError as error:
            self.did("read_events", False, str(error))
            return
        self.chain = check_chain(events)
        if self.revoke is None:
            return
        if self.response is not None and self._cut is not None:
            stop_within = self.scenario.inflight.stop_within_seconds
            self._cut.revoke, self.jobs = as_listed(self.revoke, events, self.doomed, stop_within)
            return
        if self._cut:
            self._cut.revoke = self.revoke if self.revoke.id else by_notice(self.revoke, events)
        if self.revoke.id:
            watched = self.doomed | set(self.revoke.accessors)
            self.jobs = trace_jobs(events, self.revoke.id, watched, self.scenario.inflight.stop_within_seconds)

    async def put_back(self, taken_by: str | None = None) -> None:
        """Roll back as the scenario says, each step whatever became of the others. What all tokens share is left alone
        where another drill has the gateway: `taken_by` says which."""
        self.history.lift_limit()
        step = self.rollback.step
        if taken_by is not None:
            self.rollback.leave(f"clock, phase and whatever was told to the gateway are left alone: {taken_by}")
        else:
            # First what lies, so that the rest is done by gateways that do as they say.
            await step("what the replicas were told", self._take_back)
            if self._ending:
                await step("the planned end of the API", self._ending.take_back)
            if self.deeds:
                await step("broadcast line, outages, sinks and latency profile", self.deeds.take_back)
            if self._cut:
                await step("the mint freeze", self._cut.thaw)
        if "revoke_issued" in self.scenario.rollback:
            await step("the tokens that the drill issued", self._revoke_issued)
        if "stop_clock" in self.scenario.rollback and taken_by is None:
            await step("the replay clock", self._stop_clock)

    async def _take_back(self) -> None:
        if told := await self.fleet.take_back():
            self.did("take_back", True, f"{told} replicas are right again")

    async def _stop_clock(self) -> None:
        if self.replay_zero is not None:
            await self.client.set_clock(self.clock.time().isoformat(), self.clock.speed, running=False)
            self.did("stop_clock", True, self.clock.time().isoformat(timespec="seconds"))

    async def _revoke_issued(self) -> None:
        # A gateway that was told to lie may have answered that tokens are gone which are not.
        gone = set(self.revoke.accessors) if self.revoke and not self.fleet.lied else set()
        fresh = [each for each in (self._fresh, self._cut.fresh if self._cut else None) if each]
        held = (*self.leaked, *self._minted, *self.bystanders, *fresh)
        left = [bearer for bearer in held if bearer.accessor not in gone]
        contained = self.revoke is not None and self.revoke.outcome == "acknowledged"
        await self.rollback.revoke(self.client, left, contained=contained)

    def _longest_seconds(self) -> float:
        """How long the exercise may last, the putting back included."""
        return self._replay_seconds() + self.scenario.limits.overtime_seconds + 3 * ROLLBACK_SECONDS

    def _replay_seconds(self) -> float:
        return self.scenario.clock.minutes * 60 / self.clock.speed

    async def _set_phase(self, phase: str) -> None:
        await self.client.set_phase(phase)
        self.phase = phase
        self.did("set_phase", True, phase)
        self._tell("phase", f"Phase {phase}")

    def _note_phase(self, status: Status) -> None:
        if status.phase != self.phase:
            self.phase = status.phase
            self._tell("phase", f"Phase {status.phase}")

    def _fire(self, line: MselLine) -> None:
        self.fired[line.id] = self.history.now()
        self._tell("inject", line.text, inject=line.id)
        if self.deeds:
            self.deeds.tell_pages(line)

    def did(self, name: str, ok: bool, detail: str) -> None:
        self.actions.append(Action(name=name, at=self.history.now(), ok=ok, detail=detail))

    def _tell(self, kind: EventKind, text: str, inject: str | None = None) -> None:
        if self.on_event is None:
            return
        last = self.samples[-1] if self.samples else None
        self.on_event(
            DrillEvent(
                kind=kind,
                text=text,
                elapsed=self.history.now(),
                replay_time=self.clock.time() if self.replay_zero is not None else None,
                phase=self.phase,
                arrived=self.crowd.counts.arrived if self.crowd else 0,
                accepted=self.history.count("accepted"),
                refused=self.history.count("refused"),
                dropped=self.crowd.counts.dropped if self.crowd else 0,
                waiting=last.waiting if last else None,
                running=last.running if last else None,
                inject=inject,
            )
        )
