"""Run a watch, and write its journal and reports."""

import asyncio
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from drills.errors import DrillError
from drills.history import History
from drills.journal import DrillStatus, Versions
from drills.keeping import keep, make_room
from drills.oracle import Verdict, VerdictWord
from drills.runner import exit_code_of, own_version
from drills.watch.client import ForeignClient
from drills.watch.journal import WatchedToken, WatchJournal, WatchPlanned
from drills.watch.judging import judge_watch
from drills.watch.report import render_watch
from drills.watch.session import REQUEST_SECONDS, CommandUnusable, Telling, Watch, WatchPlan

MOST_REQUESTS = 200_000


@dataclass(frozen=True)
class WatchResult:
    """How a watch ended. `exit_code` as a drill's: 0 contained, 1 not, 3 inconclusive, 4 the watch itself failed."""

    verdict: VerdictWord
    reasons: list[str]
    exit_code: int
    error: str | None
    paths: dict[str, Path]


async def run_watch(
    plan: WatchPlan,
    *,
    out: Path,
    telling: Telling | None = None,
    on_line: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    wall: Callable[[], float] = time.time,
) -> WatchResult:
    """Watch a revocation; write journal and reports into `out`.

    Args:
        telling: where a person says that the revocation is done.
        on_line: called about once a second with how it stands, on the event loop; it must return quickly.
        stop: set it to end the watch early.
        transport: another way to reach the target, for tests.
        wall: Unix seconds.

    Raises:
        TargetDown: nobody answers at the start (exit code 3).
        TargetRefused: the address speaks no Videos API, or refuses a token (exit code 2).
        OutUnusable, CommandUnusable: nothing was watched (exit code 2).
    """
    make_room(out)
    history = History(asyncio.get_running_loop().time, MOST_REQUESTS)
    started = wall()
    client = ForeignClient(
        plan.target, history, timeout=REQUEST_SECONDS, refusals=plan.refusals, hosts=plan.hosts, transport=transport
    )
    told = telling or Telling()
    told.clock = history.now
    watch = Watch(plan, client, history, told, started, on_line)
    try:
        await watch.prepare()
        status, error = await _until(watch, stop)
    finally:
        await client.aclose()
    journal = _journal(watch, status, error)
    kept = keep(journal, out, render_watch)
    return WatchResult(
        verdict=journal.verdict.verdict,
        reasons=journal.verdict.reasons,
        exit_code=exit_code_of(journal.verdict.verdict, error or kept.error),
        error="; ".join(str(each) for each in (error, kept.error) if each) or None,
        paths=kept.paths,
    )


async def _until(watch: Watch, stop: asyncio.Event | None) -> tuple[DrillStatus, DrillError | None]:
    """Watch to the end, to `stop`, or to an error of the watch's own."""
    work = asyncio.ensure_future(watch.run())
    waiter = asyncio.ensure_future(stop.wait() if stop else asyncio.Event().wait())
    try:
        await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        interrupted = not work.done()
        work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        return "interrupted", None
    except CommandUnusable:
        raise
    except DrillError as error:
        return "failed", error
    return ("interrupted" if interrupted else "completed"), None


def _journal(watch: Watch, status: DrillStatus, error: DrillError | None) -> WatchJournal:
    plan = watch.plan
    held = [(each, False) for each in plan.tokens] + [(each, True) for each in plan.bystanders]
    return WatchJournal(
        status=status,
        error=str(error) if error else None,
        target=watch.client.target,
        versions=Versions(leakdrill=own_version(), gateway=None, python=platform.python_version()),
        started_at=datetime.fromtimestamp(watch.started_at, UTC),
        ended=watch.history.now(),
        plan=WatchPlanned(
            surfaces=watch.judged,
            rate=plan.rate,
            seconds=plan.seconds,
            after_seconds=plan.after_seconds,
            bound_seconds=plan.bound_seconds,
            submits=plan.submits,
            refusals=sorted(plan.refusals),
        ),
        tokens=[WatchedToken(fingerprint=one.accessor, name=one.principal, bystander=beside) for one, beside in held],
        notes=watch.notes,
        moment=watch.moment(),
        command=watch.command,
        server_clock=watch.reader.read(),
        dropped=watch.dropped,
        exchanges=watch.history.exchanges,
        verdict=_verdict(watch, status, error),
    )


def _verdict(watch: Watch, status: DrillStatus, error: DrillError | None) -> Verdict:
    """The oracle's; a watch that did not end as planned contains nothing."""
    verdict = judge_watch(
        watch.history.exchanges,
        watch.moment(),
        watch.command,
        watched={each.accessor for each in watch.plan.tokens},
        bystanders={each.accessor for each in watch.plan.bystanders},
        surfaces=watch.judged,
        bound=watch.plan.bound_seconds,
    )
    if status == "completed" or verdict.verdict == "not_contained":
        return verdict
    reason = f"the watch failed: {error}" if error else "the watch was interrupted"
    return verdict.model_copy(update={"verdict": "inconclusive", "reasons": [reason, *verdict.reasons]})
