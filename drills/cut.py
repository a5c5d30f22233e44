"""The cut: warm every surface up, revoke, and watch every replica for longer than the longest lag it declares."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from drills.attached import Attached
from drills.callers import Answer, Bearer
from drills.clock import ReplayClock
from drills.containment import Selector
from drills.errors import DrillError
from drills.fleet import Fleet
from drills.history import History
from drills.journal import Check, Preview
from drills.looking import Looker
from drills.msel import Notice
from drills.notices import Reporter
from drills.onlookers import Onlookers
from drills.oracle import JOB_SURFACES, RevokeCall
from drills.population import Cohort
from drills.probes import ProbeKit
from drills.progress import EventKind
from drills.response import Response
from drills.revoking import read_notice, read_revoke
from drills.scenario import MselLine, Scenario

WARM_UP_SECONDS = 4.0
WITNESSES = 16
# So often the last uses before the cut are made at most.
TRIES = 5
# A worker takes a job within less.
REFILL_SECONDS = 0.05
PREVIEW_SECONDS = 0.4
PROBE_CLIP_SECONDS = 60.0
FRESH_LOOK_SECONDS = 1.0
# A lag that is longer than this is not waited for; the report says that it went on.
LONGEST_WATCH_SECONDS = 120.0
# A token is issued so early in a second of the gateway's that the revocation falls into the same one.
SAME_SECOND = 0.6


@dataclass
class Cut:
    """What happens around the revocation. Everything it learns is kept in plain attributes.

    `leaked` is the exercise's list, which a token issued in the last moment joins. `response` is a runbook that revokes
    in the scenario's place. `issue`, `did`, `tell` and `fire`
    are the exercise's: issue a token of a cohort, note an action, tell of progress, play a line.
    """

    scenario: Scenario
    fleet: Fleet
    history: History
    clock: ReplayClock
    kit: ProbeKit
    onlookers: Onlookers
    leaked: list[Bearer]
    response: Response | None
    issue: Callable[[Cohort, int], Awaitable[Bearer]]
    did: Callable[[str, bool, str], None]
    tell: Callable[[EventKind, str], None]
    fire: Callable[[MselLine], None]
    reporter: Reporter

    checks: list[Check] = field(default_factory=list)
    preview: Preview | None = None
    revoke: RevokeCall | None = None
    fresh: Bearer | None = None
    _frozen: bool = False

    async def run(self, exposed: asyncio.Event) -> None:
        """Warm all surfaces up once the page is open, revoke at the scripted minute, watch what is still accepted."""
        attached = Attached(self.kit.caller, self.history, self.scenario.containment.surfaces)
        await exposed.wait()
        try:
            await self._warm_up(attached)
            await self._revoke_and_watch(attached)
        finally:
            await attached.aclose()

    async def _warm_up(self, attached: Attached) -> None:
        """Everything that was got with the leaked token, until the minute has come."""
        kit, line = self.kit, self.scenario.line_of("access_ended")
        minute = self.scenario.minute(line) or 0.0
        if (listens := await attached.subscribe(self.fleet.first)) is not None:
            self.did("webhook", listens, "a receiver listens" if listens else "the gateway does not call 127.0.0.1")
        made = await kit.make_clip(PROBE_CLIP_SECONDS)
        self.did("probe_clip", made, "a clip to probe with" if made else f"no clip in {PROBE_CLIP_SECONDS:g} s")
        await self.clock.until(minute, ahead=WARM_UP_SECONDS)
        await kit.baseline()
        await self._keep_work_under_way(kit, minute)
        await self._follow(attached)
        await self.clock.until(minute)
        self.fire(line)
        if attached.hooked:
            await kit.end_a_job()
        await self._just_before(attached)

    async def _follow(self, attached: Attached) -> None:
        """A stream of a job that is the last in line, so that it does not end by itself."""
        if attached.follows:
            await self.kit.add_witness()
            await attached.follow(self.fleet.members, self.kit.witness)

    async def _just_before(self, attached: Attached) -> None:
        """The last uses before the cut. They take a while, on a busy machine a long one, in which the line may drain:
        so the gateway is asked once more whether there is work to cut, and where there is none it all begins anew."""
        for attempt in range(1, TRIES + 1):
            await self.kit.use_newest(await self._newest())
            if await self._is_ripe(attached):
                break
            if attempt == TRIES or not await self._refill():
                words = f"the cut finds too little work under way, after {attempt} of {TRIES} tries"
                self.did("work_under_way", False, words)
                break
            await self._follow(attached)
        await self.kit.touch()

    async def _refill(self) -> bool:
        """Put so many jobs in the line that both kinds are there; False where that cannot be done."""
        for _ in range(WITNESSES):
            found = await self._look_ahead()
            if found is None or 0 < found.running < found.queued:
                return True
            if not (await self.kit.add_witness()).accepted:
                return False
            await self.clock.sleep(REFILL_SECONDS)
        return False

    async def _is_ripe(self, attached: Attached) -> bool:
        """Whether the cut will find what the scenario wants to see cut; true where the gateway does not say."""
        if attached.follows and len(attached.going_on) < len(self.fleet.members):
            return False
        if not set(JOB_SURFACES) & set(self.scenario.containment.surfaces):
            return True
        found = await self._look_ahead()
        return found is None or 0 < found.running < found.queued

    async def _revoke_and_watch(self, attached: Attached) -> None:
        """The revocation with all probes around it; then how the open streams ended."""
        watch = asyncio.ensure_future(self.kit.watch(self.scenario.containment.probe_every_seconds))
        try:
            self.revoke = await (self._respond(attached, self.response) if self.response else self._revoke())
            self.kit.announce_cut()
            await self._watch_after()
        finally:
            watch.cancel()
            await asyncio.wait({watch})
            failure = None if watch.cancelled() else watch.exception()
        if self.revoke is not None:
            await attached.judge(self.revoke.end)
        if failure is not None:
            raise failure

    async def _keep_work_under_way(self, kit: ProbeKit, minute: float) -> None:
        """Until the minute comes, submit long jobs whenever the leaked tokens have too few, so that both kinds are cut.

        Each running job may end and start another before the revocation lands, so one more than that has to wait.
        """
        added = 0
        while added < WITNESSES:
            found = await self._look_ahead()
            if found and 0 < found.running < found.queued:
                if not self.clock.seconds_to(minute):
                    return
                await self.clock.sleep(min(PREVIEW_SECONDS, self.clock.seconds_to(minute)))
                continue
            added += 1
            await kit.add_witness()
            await self.clock.sleep(PREVIEW_SECONDS / 2)

    async def _look_ahead(self) -> Preview | None:
        """What the cut would touch; None where the gateway does not say."""
        found = await self.fleet.first.preview(self._meant())
        if found is None:
            return None
        self.preview = Preview(tokens=found.tokens, queued=found.jobs.queued, running=found.jobs.running)
        return self.preview

    def _meant(self) -> Selector:
        """What the cut will touch. A notice names tokens, which no selector says: their cohort comes nearest."""
        plan = self.scenario.containment
        leaked = next(each for each in self.scenario.population.cohorts if each.leaked)
        return Selector(cohort=leaked.cohort or leaked.id) if plan.by == "notice" else plan.selector

    async def _newest(self) -> Bearer | None:
        """A token that is issued in the second of the revocation, where the scenario asks for one."""
        if "new_token" not in self.scenario.containment.surfaces:
            return None
        cohort = next(each for each in self.scenario.population.cohorts if each.leaked)
        status = await self.fleet.first.status()
        left = 1 - status.server_time % 1 if status and status.server_time else 0.0
        if left < SAME_SECOND:
            await self.clock.sleep(left)
        self.leaked.append(await self.issue(cohort, cohort.issue + 1))
        return self.leaked[-1]

    async def _revoke(self) -> RevokeCall:
        plan = self.scenario.containment
        if plan.by == "notice":
            return await self._report()
        if plan.freeze_mint:
            await self.fleet.first.order("mint", "PUT", "/control/mint", json={"frozen": True})
            self._frozen = True
            self.did("freeze_mint", True, "no token is issued while the revocation is sent")
        answer = await self.fleet.first.revoke(
            plan.selector.model_dump(exclude_defaults=True), plan.reason, plan.timeout_seconds,
            self.scenario.inflight.transfer,
        )  # fmt: skip
        call = read_revoke(answer)
        self.did("revoke", call.outcome == "acknowledged", f"{call.outcome}, status {call.status}")
        self.tell("revocation", f"Revocation {call.outcome}: {call.tokens} tokens")
        await self.thaw()
        return call

    async def _respond(self, attached: Attached, response: Response) -> RevokeCall | None:
        """Let the runbook revoke; right before its first cut, everything is used once more."""
        meant = self.scenario.containment.selector.means
        looker = Looker(
            self.kit, attached, self.fleet.members, self.leaked, self.onlookers,
            stays=lambda one: not meant(one.cohort, one.label),
            surfaces=self.scenario.containment.surfaces,
            sleep=self.clock.sleep,
        )  # fmt: skip

        async def before_cut() -> None:
            await self._keep_work_under_way(self.kit, self.clock.minutes())
            await self._just_before(attached)

        self.did("runbook", True, f"{response.loaded.runbook.name} begins")
        call = await response.run(
            self.leaked[-1],
            looker,
            now=self.history.now,
            before_cut=before_cut,
            tell=lambda text: self.tell("step", text),
        )
        record = response.record
        if record is not None:
            self.did("runbook", record.ended_as == "done", f"{record.ended_as}, believes: {record.belief} {record.why}")
        return call

    async def _report(self) -> RevokeCall:
        """The notice is all that is sent; what comes of it is the gateway's policy."""
        line = self.scenario.line_of("access_ended")
        notice = Notice(about="leaked", found_at="https://example.invalid/commit/1", found_in="commit")
        sent, answer = await self.reporter.post(line.id, notice, self.leaked)
        call = read_notice(answer, sent)
        self.did("notice", call.outcome == "acknowledged", f"{sent.named} named, {sent.outcome}, status {sent.status}")
        self.tell("revocation", f"Notice {sent.outcome}: {sent.named} tokens")
        return call

    async def thaw(self) -> None:
        """Tokens are issued again, where the cut has stopped that."""
        if self._frozen:
            await self.fleet.first.order("mint", "PUT", "/control/mint", json={"frozen": False})
            self._frozen = False
            self.did("thaw_mint", True, "tokens are issued again")

    async def _watch_after(self) -> None:
        """Go on looking with an uninvolved token issued after the cut: it must be accepted."""
        end = self.history.now() + self._after_watch_seconds()
        answers: list[Answer] = []
        try:
            self.fresh = await self.fleet.first.issue("controller-001", "controllers")
        except DrillError as error:
            self.did("issue_fresh", False, str(error))
        looked = False
        while not looked or self.history.now() < end:  # once at least, however long the issuing took
            await self.onlookers.look()
            answers = await self.onlookers.look_as(self.fresh) if self.fresh else []
            looked = True
            await self.clock.sleep(FRESH_LOOK_SECONDS)
        for check in self.scenario.steady_state:
            if check.when == "after":
                ok = bool(answers) and all(answer.accepted for answer in answers)
                detail = "a token issued after the cut is accepted" if ok else "a new token is not accepted"
                self.checks.append(Check(id=check.id, ok=ok, at=self.history.now(), detail=detail))

    def _after_watch_seconds(self) -> float:
        """As the scenario says, but longer than the longest lag that a replica declares, within reason."""
        lag = max(self.fleet.greatest_bound, self.scenario.containment.bound_seconds) / self.clock.speed
        return max(
            self.scenario.containment.after_watch_seconds, min(1.2 * lag + 1, LONGEST_WATCH_SECONDS) if lag else 0.0
        )
