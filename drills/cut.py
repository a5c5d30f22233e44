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
from drills.oracle import RevokeCall
from drills.population import Cohort
from drills.probes import ProbeKit
from drills.progress import EventKind
from drills.response import Response
from drills.revoking import read_notice, read_revoke
from drills.scenario import MselLine, Scenario

WARM_UP_SECONDS = 4.0
WITNESSES = 16
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
        if attached.follows:
            await kit.add_witness()  # the last in line, so that its stream has not ended by itself
            await attached.follow(self.fleet.members, kit.witness)
        await self.clock.until(minute)
        self.fire(line)
        if attached.hooked:
            await kit.end_a_job()
        await kit.just_before(await self._newest())

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
            found = await self.fleet.first.preview(self._meant())
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
            await self.kit.just_before(await self._newest())

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
