"""One exercise in progress: prepare, play, contain, watch, put back.

Everything it learns is kept in plain attributes, so that a journal can be written at any moment.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from drills.clock import ReplayClock
from drills.errors import DrillError, NotSteady
from drills.evidence import JobTrace, trace_jobs
from drills.gateway import Answer, Bearer, Caller, GatewayClient
from drills.history import History
from drills.journal import Action, Check, Played, Preview, Sample
from drills.oracle import RevokeCall
from drills.probes import ProbeKit, finish_one
from drills.progress import DrillEvent, EventKind
from drills.replies import RevocationReply, Status
from drills.scenario import MselLine, Scenario
from drills.traffic import Crowd, plan_arrivals

WARM_UP_SECONDS = 4.0
WITNESSES = 16
PREVIEW_SECONDS = 0.4
PROBE_CLIP_SECONDS = 60.0
FRESH_LOOK_SECONDS = 1.0
ROLLBACK_SECONDS = 10.0


@dataclass
class Exercise:
    """Plays one scenario. Call `run()`, then `put_back()` whatever happened."""

    scenario: Scenario
    client: GatewayClient
    history: History
    clock: ReplayClock
    seed: int
    on_event: Callable[[DrillEvent], None] | None = None
    on_leak: Callable[[list[str]], None] | None = None

    phase: str = "normal"
    leaked: list[Bearer] = field(default_factory=list)
    bystanders: list[Bearer] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    fired: dict[str, float] = field(default_factory=dict)
    preview: Preview | None = None
    revoke: RevokeCall | None = None
    jobs: list[JobTrace] | None = None
    replay_zero: float | None = None
    dirty: bool = False
    crowd: Crowd | None = None
    _kit: ProbeKit | None = None
    _fresh: Bearer | None = None
    _first_seq: int = 0
    _exposed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """The whole exercise. Raises NotSteady, or DrillError when a step cannot be done."""
        await self._prepare()
        await self._play()
        await self._read_jobs()

    def played(self) -> list[Played]:
        """The inject log in the order of the plan."""
        lines = self.scenario.lines()
        return [
            Played(line=line.id, minute=self.scenario.minute(line), fired=self.fired.get(line.id)) for line in lines
        ]

    # before

    async def _prepare(self) -> None:
        """Issue tokens and see that the gateway works for somebody who has nothing to do with the leak."""
        self._tell("step", "Issuing tokens")
        for cohort in self.scenario.population.cohorts:
            held = self.leaked if cohort.leaked else self.bystanders
            for n in range(1, cohort.issue + 1):
                held.append(await self.client.issue(f"{cohort.principal}-{n:03d}", cohort.id))
        self._did("issue", True, f"{len(self.leaked)} tokens to leak, {len(self.bystanders)} bystanders")
        issued = await self.client.events(0, "token.issued")
        self._first_seq = max((event.seq for event in issued if event.accessor == self.leaked[0].accessor), default=0)
        for check in self.scenario.steady_state:
            if check.when == "before":
                await self._check_before(check.id, check.probe, check.within_seconds)
        self._kit = ProbeKit(self.client, self.leaked[-1], self.history, self.clock.sleep)
        arrivals = plan_arrivals(
            self.scenario.population.traffic, len(self.leaked), self.scenario.clock.minutes, self.seed
        )
        at_once = self.scenario.population.traffic.at_once
        self.crowd = Crowd(arrivals, self.leaked, self.client, self.clock, at_once)

    async def _check_before(self, id: str, probe: str, within: float) -> None:
        self._tell("step", f"Checking the steady state: {id}")
        if probe == "ready":
            await self.client.ready()
            ok, detail = True, "/readyz says ready"
        else:
            caller = Caller("bystander", self.bystanders[0].principal, self.bystanders[0])
            video = await finish_one(self.client, caller, within, self.history, self.clock.sleep)
            ok = video is not None
            detail = "a bystander's clip was made and fetched" if ok else f"no clip within {within:g} s"
        self.checks.append(Check(id=id, ok=ok, at=self.history.now(), detail=detail))
        if not ok:
            raise NotSteady(f"steady state not met: {id}: {detail}")

    # during

    async def _play(self) -> None:
        """Run the MSEL, the visitors, the containment and the onlookers side by side until the replay ends."""
        await self._set_phase("normal")
        start = self.scenario.clock.start.isoformat()
        await self.client.set_clock(start, self.clock.speed, running=True)
        self.clock.begin()
        self.replay_zero = self.history.now()
        self._did("set_clock", True, f"{start}, {self.clock.speed:g} times real time")
        endless: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None]) -> None:
                endless.append(group.create_task(work))

            spawn(self._watch_queue())
            spawn(self._watch_bystanders())
            msel = group.create_task(self._run_msel(spawn))
            containment = group.create_task(self._contain())
            await asyncio.wait({msel, containment})
            await self.clock.until(self.scenario.clock.minutes)
            for task in endless:
                task.cancel()

    async def _run_msel(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Fire every line at its minute; `access_ended` belongs to the containment."""
        for line in self.scenario.lines():
            if line.inject == "access_ended":
                continue
            await self.clock.until(self.scenario.minute(line))
            if line.inject == "leak_posted":
                await self._set_phase("exposed")
            self._fire(line)
            if line.inject == "leak_posted":
                if self.on_leak:
                    self.on_leak([bearer.token for bearer in self.leaked])
                self._exposed.set()
                if self.crowd:
                    spawn(self.crowd.run(spawn))

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

    async def _watch_bystanders(self) -> None:
        """Let each bystander make a harmless request now and then, before and after."""
        every = max(1.5, self._replay_seconds() / 60)
        while True:
            await self._look_as_bystanders()
            await self.clock.sleep(every)

    async def _look_as_bystanders(self) -> None:
        for bearer in self.bystanders:
            await self.client.list_videos(Caller("bystander", bearer.principal, bearer))

    # containment

    async def _contain(self) -> None:
        """Warm every surface up, revoke at the scripted minute, and watch what is still accepted."""
        line = self.scenario.line_of("access_ended")
        minute = self.scenario.minute(line)
        kit = self._kit
        if kit is None:
            raise DrillError("nothing is prepared")
        await self._exposed.wait()
        made = await kit.make_clip(PROBE_CLIP_SECONDS)
        self._did("probe_clip", made, "a clip to probe with" if made else f"no clip in {PROBE_CLIP_SECONDS:g} s")
        await self.clock.until(minute, ahead=WARM_UP_SECONDS)
        await kit.baseline()
        await self._keep_work_under_way(kit, minute)
        await self.clock.until(minute)
        self._fire(line)
        watch = asyncio.ensure_future(kit.watch(self.scenario.containment.probe_every_seconds))
        try:
            self.revoke = await self._revoke()
            kit.announce_cut()
            await self._watch_after()
        finally:
            watch.cancel()
            await asyncio.wait({watch})
        if not watch.cancelled():
            watch.result()

    async def _keep_work_under_way(self, kit: ProbeKit, minute: float) -> None:
        """Until the minute comes, submit long jobs whenever the leaked tokens have too few, so that both kinds are cut.

        Each running job may end and start another before the revocation lands, so one more than that has to wait.
        """
        added = 0
        while added < WITNESSES:
            found = await self.client.preview(self.scenario.containment.selector)
            if found:
                self.preview = Preview(tokens=found.tokens, queued=found.jobs.queued, running=found.jobs.running)
            if found and 0 < found.jobs.running < found.jobs.queued:
                if not self.clock.seconds_to(minute):
                    return
                await self.clock.sleep(min(PREVIEW_SECONDS, self.clock.seconds_to(minute)))
                continue
            added += 1
            await kit.add_witness()
            await self.clock.sleep(PREVIEW_SECONDS / 2)

    async def _revoke(self) -> RevokeCall:
        plan = self.scenario.containment
        answer = await self.client.revoke(
            plan.selector.model_dump(exclude_defaults=True), plan.reason, plan.timeout_seconds
        )
        call = read_revoke(answer)
        self._did("revoke", call.outcome == "acknowledged", f"{call.outcome}, status {call.status}")
        self._tell("revocation", f"Revocation {call.outcome}: {call.tokens} tokens")
        return call

    async def _watch_after(self) -> None:
        """Go on looking with an uninvolved token issued after the cut: it must be accepted."""
        end = self.history.now() + self.scenario.containment.after_watch_seconds
        fresh = None
        try:
            self._fresh = await self.client.issue("controller-001", "controllers")
            fresh = Caller("fresh", self._fresh.principal, self._fresh)
        except DrillError as error:
            self._did("issue_fresh", False, str(error))
        while self.history.now() < end:
            await self._look_as_bystanders()
            answer = await self.client.list_videos(fresh) if fresh else None
            await self.clock.sleep(FRESH_LOOK_SECONDS)
        for check in self.scenario.steady_state:
            if check.when == "after":
                ok = bool(answer and answer.accepted)
                detail = "a token issued after the cut is accepted" if ok else "a new token is not accepted"
                self.checks.append(Check(id=check.id, ok=ok, at=self.history.now(), detail=detail))

    # after

    async def _read_jobs(self) -> None:
        """Fetch the gateway's own record of the revoked tokens' jobs."""
        if self.revoke is None or self.revoke.id is None:
            return
        try:
            events = await self.client.events(self._first_seq, "job.")
            events += await self.client.events(self._first_seq, "revocation.")
        except DrillError as error:
            self._did("read_events", False, str(error))
            return
        watched = {bearer.accessor for bearer in self.leaked} | set(self.revoke.accessors)
        self.jobs = trace_jobs(events, self.revoke.id, watched, self.scenario.inflight.stop_within_seconds)

    async def put_back(self) -> None:
        """Roll back as the scenario says: no token of this drill stays accepted, the clock stands."""
        self.history.lift_limit()
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                if "revoke_issued" in self.scenario.rollback:
                    await self._revoke_issued()
                if "stop_clock" in self.scenario.rollback and self.replay_zero is not None:
                    await self.client.set_clock(self.clock.time().isoformat(), self.clock.speed, running=False)
                    self._did("stop_clock", True, self.clock.time().isoformat(timespec="seconds"))
        except (DrillError, TimeoutError) as error:
            self.dirty = True
            self._did("rollback", False, str(error) or f"not done in {ROLLBACK_SECONDS:g} s")

    async def _revoke_issued(self) -> None:
        gone = set(self.revoke.accessors) if self.revoke else set()
        fresh = [self._fresh] if self._fresh else []
        left = [bearer for bearer in (*self.leaked, *self.bystanders, *fresh) if bearer.accessor not in gone]
        answers = [
            await self.client.revoke({"accessor": bearer.accessor}, "end of the exercise", ROLLBACK_SECONDS)
            for bearer in left
        ]
        failed = sum(not answer.accepted for answer in answers)
        self.dirty = self.dirty or failed > 0
        self._did("revoke_issued", failed == 0, f"{len(left) - failed} of {len(left)} tokens left over are revoked")

    # small parts

    def _replay_seconds(self) -> float:
        return self.scenario.clock.minutes * 60 / self.clock.speed

    async def _set_phase(self, phase: str) -> None:
        await self.client.set_phase(phase)
        self.phase = phase
        self._did("set_phase", True, phase)
        self._tell("phase", f"Phase {phase}")

    def _note_phase(self, status: Status) -> None:
        if status.phase != self.phase:
            self.phase = status.phase
            self._tell("phase", f"Phase {status.phase}")

    def _fire(self, line: MselLine) -> None:
        self.fired[line.id] = self.history.now()
        self._tell("inject", line.text, inject=line.id)

    def _did(self, name: str, ok: bool, detail: str) -> None:
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


def read_revoke(answer: Answer) -> RevokeCall:
    """What a revoke call's answer says. A 5xx, a timeout or an unreadable body leaves it unknown."""
    exchange = answer.exchange
    if exchange.outcome == "accepted":
        try:
            reply = RevocationReply.model_validate(answer.body)
        except ValueError:
            return RevokeCall(start=exchange.start, end=exchange.end, outcome="unknown", status=exchange.status)
        return RevokeCall(
            start=exchange.start,
            end=exchange.end,
            outcome="acknowledged",
            status=exchange.status,
            id=reply.id,
            acknowledged_at=reply.acknowledged_at,
            tokens=reply.tokens,
            queued=reply.jobs.queued,
            running=reply.jobs.running,
            accessors=[item.accessor for item in reply.items],
        )
    return RevokeCall(
        start=exchange.start,
        end=exchange.end,
        outcome="unknown" if exchange.outcome == "fault" else "refused",
        status=exchange.status,
    )
