"""Run a drill from scenario to journal and report."""

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import httpx

from drills.alarms import judge_false_alarm, judge_notices
from drills.clock import ReplayClock
from drills.errors import DrillError, LeaseLost, TargetDown
from drills.exercise import Exercise
from drills.facts import load_facts
from drills.fleet import Fleet
from drills.gateway import GatewayClient
from drills.history import History, went_away
from drills.journal import DrillStatus, HeldToken, Journal, Versions, Visitors
from drills.keeping import keep, make_room
from drills.lease import Lease, whereabouts
from drills.needs import ensure_believed, ensure_fit
from drills.oracle import WARM_SECONDS, Verdict, VerdictWord, judge
from drills.progress import DrillEvent
from drills.replies import Status
from drills.report import render_all
from drills.response import Ask, Response
from drills.runbook_file import RunbookFile
from drills.runbook_record import with_belief
from drills.scenario import Scenario
from drills.signing import ReporterKey
from drills.sunset import judge_sunset
from drills.topology import ReplicaSeen
from drills.traffic import CrowdCounts

REQUEST_SECONDS = 20.0
# A second, that a runbook's probes and onlookers may send beyond the scenario's limit.
RUNBOOK_REQUESTS = 30
EXIT_CODES: tuple[tuple[VerdictWord, int], ...] = (("contained", 0), ("not_contained", 1), ("inconclusive", 3))


@dataclass(frozen=True)
class DrillResult:
    """How a drill ended.

    `exit_code`: 0 contained, 1 not contained, 3 inconclusive, 4 the drill itself failed. `paths` holds the files
    written, by name: journal.json, report.html, report.md, junit.xml, timeline.csv. `left` says what could not be put
    back on the target.
    """

    status: DrillStatus
    verdict: VerdictWord
    reasons: list[str]
    exit_code: int
    error: str | None
    out: Path
    paths: dict[str, Path]
    left: list[str] = field(default_factory=list)


async def run_drill(
    scenario: Scenario,
    *,
    target: str,
    admin_token: str,
    out: Path,
    speed: float | None = None,
    seed: int | None = None,
    on_event: Callable[[DrillEvent], None] | None = None,
    on_leak: Callable[[list[str]], None] | None = None,
    stop: asyncio.Event | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    wall: Callable[[], float] = time.time,
    tells: bool = False,
    runbook: tuple[RunbookFile, Ask] | None = None,
    register: Callable[[dict[str, Any]], None] | None = None,
) -> DrillResult:
    """Play `scenario` against the gateway at `target`, write journal and reports into `out`.

    Args:
        speed: replay seconds per real second; the scenario's own when None.
        seed: for visitors and their choices; the scenario's own when None.
        on_event: called with progress, on the event loop; it must return quickly.
        on_leak: called once with the leaked tokens, when the page opens; it must return quickly.
        stop: set it to end the drill early; the journal is written then too.
        transport: another way to reach the target, for tests.
        wall: Unix seconds, for the journal's heading only.
        tells: whether the replicas are told what `scenario.topology` says; it is taken back at the end.
        runbook: revokes in the scenario's place, with how people are asked. Its own time and requests come on top of
            the scenario's limits.
        register: called once with the public half of a key that notices are signed with, where the scenario has any,
            so that the target takes them; without it such a drill fails.

    Raises:
        TargetDown: nobody answers at the start (exit code 3).
        ScenarioError: a runbook, and nothing for it to cut (exit code 2).
        Unfit: the target cannot do what the scenario asks for; nothing was changed (exit code 2).
        TargetBusy: another drill has the target; nothing was changed (exit code 3).
        TargetRefused: the address is no gateway, or refuses the admin token (exit code 2).
        OutUnusable: nothing can be written into `out` (exit code 2).
    """
    if runbook:
        scenario.ensure_cut("runbook")
    make_room(out)
    response = Response(*runbook, target.rstrip("/"), admin_token, out, transport) if runbook else None
    more = int(runbook[0].runbook.longest_seconds() * RUNBOOK_REQUESTS) if runbook else 0
    history = History(asyncio.get_running_loop().time, scenario.limits.max_requests + more)

    def connect(url: str, replica: str | None = None) -> GatewayClient:
        return GatewayClient(url, admin_token, history, timeout=REQUEST_SECONDS, transport=transport, replica=replica)

    client = connect(target)
    fleet = Fleet(client)
    started = datetime.fromtimestamp(wall(), UTC)
    clock = ReplayClock(scenario.clock.start, speed or scenario.clock.speed, asyncio.get_running_loop().time)
    planned = scenario.seed if seed is None else seed
    exercise = Exercise(scenario, fleet, history, clock, planned, on_event, on_leak, tells, response)
    lease = Lease(client, scenario.scenario.id, whereabouts())
    try:
        await client.ready()
        seen = await client.check_admin()
        await ensure_fit(scenario, client, seen, with_key=register is not None)
        # Before anything is changed, there or here: what another drill relies on stays as it is.
        if not await lease.begin():
            exercise.did("lease", False, "this gateway knows no lease: nothing keeps another drill off it")
        try:
            exercise.key = _key(scenario, register)
            await ensure_believed(scenario, client, exercise.key)
            await fleet.join(seen, connect)
            status, error = await _run(exercise, lease, stop)
        finally:
            if failure := await lease.end():
                exercise.did("lease", False, f"not given back ({failure}); it runs out by itself")
    finally:
        await fleet.aclose()
    journal = _journal(exercise, exercise.seen or seen, status, error, started)
    return _write(journal, out, error)


def _key(scenario: Scenario, register: Callable[[dict[str, Any]], None] | None) -> ReporterKey | None:
    """A key of this drill's own, which the target knows from now on; None where no notice is sent."""
    if register is None or not scenario.sends_notices:
        return None
    key = ReporterKey()
    register(key.public())
    return key


async def _within(seconds: float, run: Awaitable[None]) -> None:
    async with asyncio.timeout(seconds):
        await run


async def _run(exercise: Exercise, lease: Lease, stop: asyncio.Event | None) -> tuple[DrillStatus, DrillError | None]:
    """Run to the end, to `stop`, or to an error; then put back. The lease is renewed until that is done."""
    keeping = asyncio.ensure_future(lease.keep())
    try:
        status, error = await _until_it_ends(exercise, keeping, stop)
        await exercise.put_back(lease.taken_by)
    finally:
        keeping.cancel()
        # One that was lost while things were put back has nothing left to end.
        await asyncio.gather(keeping, return_exceptions=True)
    return ("failed" if error else status), error


async def _until_it_ends(
    exercise: Exercise, keeping: asyncio.Future[NoReturn], stop: asyncio.Event | None
) -> tuple[DrillStatus, DrillError | None]:
    limit = exercise.scenario.clock.minutes * 60 / exercise.clock.speed + exercise.scenario.limits.overtime_seconds
    limit += exercise.response.loaded.runbook.longest_seconds() if exercise.response else 0
    work = asyncio.ensure_future(_within(limit, exercise.run()))
    waiter = asyncio.ensure_future(stop.wait() if stop else asyncio.Event().wait())
    status: DrillStatus = "completed"
    error: DrillError | None = None
    try:
        ends: set[asyncio.Future[Any]] = {work, waiter, keeping}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        # Ctrl-C arrives here; it ends the drill like `stop`, so that the journal is still written.
        status = "interrupted"
    finally:
        waiter.cancel()
    if not work.done():
        status = "interrupted"
        work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        status = "interrupted"
    except TimeoutError:
        error = DrillError(f"the drill took longer than {limit:g} s")
    except Exception as failure:  # noqa: BLE001 - whatever broke, the journal of what happened is written
        error = _drill_error(failure)
    if error is None and keeping.done() and (lost := keeping.exception()) is not None:
        error = _drill_error(lost)
    return status, error


def _drill_error(failure: BaseException) -> DrillError:
    """The first cause, out of however many groups it came wrapped in."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure if isinstance(failure, DrillError) else DrillError(f"{type(failure).__name__}: {failure}")


def _journal(
    exercise: Exercise, seen: Status, status: DrillStatus, error: DrillError | None, started: datetime
) -> Journal:
    scenario = exercise.scenario
    counts = exercise.crowd.counts if exercise.crowd else CrowdCounts()
    held = [(bearer, True) for bearer in exercise.leaked] + [(bearer, False) for bearer in exercise.bystanders]
    return Journal(
        status=status,
        error=str(error) if error else None,
        scenario=scenario,
        facts=scenario.book(load_facts()),
        seed=exercise.seed,
        speed=exercise.clock.speed,
        target=exercise.client.target,
        versions=Versions(leakdrill=own_version(), gateway=seen.version, python=platform.python_version()),
        consistency=seen.consistency,
        defects=seen.defects,
        replicas=_replicas(exercise, seen),
        started_at=started,
        ended=exercise.history.now(),
        replay_zero=exercise.replay_zero,
        checks=exercise.checks,
        tokens=[
            HeldToken(accessor=each.accessor, principal=each.principal, cohort=each.cohort, leaked=leaked)
            for each, leaked in held
        ],
        msel=exercise.played(),
        actions=exercise.actions,
        preview=exercise.preview,
        revoke=exercise.revoke,
        runbook=exercise.response.record if exercise.response else None,
        jobs=exercise.jobs,
        chain=exercise.chain,
        notices=exercise.notices,
        restores=exercise.deeds.restores if exercise.deeds else [],
        told=exercise.deeds.told if exercise.deeds else [],
        sunset=exercise.sunset,
        samples=exercise.samples,
        visitors=Visitors(**asdict(counts)),
        exchanges=exercise.history.exchanges,
        dirty=bool(exercise.rollback.left),
        left=exercise.rollback.left,
        verdict=_verdict(exercise, status, error),
    )


def _verdict(exercise: Exercise, status: DrillStatus, error: DrillError | None) -> Verdict:
    """The oracle's verdict; a drill that did not end as planned contains nothing."""
    verdict = _judged(exercise)
    record = exercise.response.record if exercise.response else None
    verdict = with_belief(verdict, record) if record else verdict
    if verdict.verdict == "contained" and (lost := [check.id for check in exercise.checks if not check.ok]):
        verdict = verdict.model_copy(
            update={"verdict": "inconclusive", "reasons": [f"not as before: {', '.join(lost)}"]}
        )
    if verdict.verdict == "inconclusive" and (gone := went_away(exercise.history.exchanges)):
        verdict = verdict.model_copy(update={"reasons": [gone, *verdict.reasons]})
    # What clients saw of a gateway that another drill has taken may be that drill's doing.
    if status == "completed" or (verdict.verdict == "not_contained" and not isinstance(error, LeaseLost)):
        return verdict
    failed = "the target went away" if isinstance(error, TargetDown) else "the drill failed"
    reason = f"{failed}: {error}" if error else "the drill was interrupted"
    return verdict.model_copy(update={"verdict": "inconclusive", "reasons": [reason, *verdict.reasons]})


def _judged(exercise: Exercise) -> Verdict:
    """By what this plot is about."""
    scenario, exchanges, deeds = exercise.scenario, exercise.history.exchanges, exercise.deeds
    plot = scenario.scenario.plot
    if plot == "sunset":
        return judge_sunset(exchanges, exercise.sunset)
    if plot == "false_alarm":
        return judge_false_alarm(exchanges, exercise.notices, exercise.chain)
    if plot == "notice":
        restores, told = (deeds.restores, deeds.told) if deeds else ([], [])
        return judge_notices(exchanges, exercise.notices, restores, told, exercise.chain)
    means = scenario.containment.means
    return judge(
        exchanges,
        exercise.revoke,
        leaked=exercise.doomed,
        surfaces=scenario.containment.surfaces,
        jobs=exercise.jobs,
        spared={each.accessor for each in exercise.bystanders if not means(each.cohort, each.label)},
        replicas=_memories(exercise),
        chain=exercise.chain,
        bound=scenario.containment.bound_seconds / exercise.clock.speed,
    )


def _replicas(exercise: Exercise, seen: Status) -> list[ReplicaSeen]:
    """The replicas as they were; none where there is one gateway that does everything right."""
    if exercise.fleet.seen or not exercise.fleet.names:
        return exercise.fleet.seen
    return [ReplicaSeen(name=name, url=seen.replicas[name], consistency="unknown") for name in exercise.fleet.names]


def _memories(exercise: Exercise) -> dict[str, float] | None:
    """For each of several replicas, for how many seconds it may remember a token."""
    bounds = {one.name: one.seconds for one in exercise.fleet.seen}
    memories = {}
    for name in exercise.fleet.names:
        bound = bounds.get(name)
        memories[name] = WARM_SECONDS if bound is None else max(1.0, min(WARM_SECONDS, bound / exercise.clock.speed))
    return memories or None


def own_version() -> str | None:
    """What is installed; None where it is not."""
    with suppress(PackageNotFoundError):
        return version("leakdrill")
    return None


def _write(journal: Journal, out: Path, error: DrillError | None) -> DrillResult:
    kept = keep(journal, out, render_all)
    return DrillResult(
        status=journal.status,
        verdict=journal.verdict.verdict,
        reasons=journal.verdict.reasons,
        exit_code=exit_code_of(journal.verdict.verdict, error or kept.error),
        error="; ".join(str(each) for each in (error, kept.error) if each) or None,
        out=out,
        paths=kept.paths,
        left=journal.left,
    )


def exit_code_of(verdict: VerdictWord, error: DrillError | None) -> int:
    """What a command ends with: an error of the drill's own goes before its verdict."""
    if error:
        return error.exit_code if error.exit_code == 3 else DrillError.exit_code
    return dict(EXIT_CODES)[verdict]
