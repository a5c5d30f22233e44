"""A watch in progress: what is asked, who says that the revocation is done, and when there is no more to see."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from drills.callers import Answer, Bearer
from drills.errors import DrillError
from drills.history import History
from drills.watch.client import ForeignClient
from drills.watch.clocks import ClockReader, GivenTime
from drills.watch.journal import CommandRun, How, Moment
from drills.watch.judging import infer_moment
from drills.watch.probes import LIST, SURFACES, Goods, OpenLoop, Probe, callers, check_token, find_goods, probes_for

REQUEST_SECONDS = 10.0
LOOK_SECONDS = 0.1
LINE_SECONDS = 1.0
# A command is started once every probe was accepted, and the probes have run so long, so that each surface is warm.
WARM_UP_SECONDS = 2.0


@dataclass(frozen=True)
class WatchPlan:
    """What to watch, and for how long. Seconds.

    `seconds` is the length of a watch in which no revocation shows; once one did, `after_seconds` more are watched.
    `surfaces` None: whatever the API turns out to have, without submits. `command` is the team's own, as a list of
    words. `server_time`: `given` is by the server's clock.
    """

    target: str
    tokens: Sequence[Bearer]
    bystanders: Sequence[Bearer]
    seconds: float = 600.0
    after_seconds: float = 30.0
    bound_seconds: float = 0.0
    rate: float = 8.0
    surfaces: Sequence[str] | None = None
    submits: bool = False
    video: str | None = None
    refusals: frozenset[int] = frozenset({401})
    hosts: frozenset[str] = frozenset()
    command: Sequence[str] | None = None
    command_seconds: float = 60.0
    given: GivenTime | None = None
    server_time: bool = False


@dataclass
class Telling:
    """Where a person says that the revocation is done. Only the first time counts."""

    told: tuple[How, float] | None = None
    clock: Callable[[], float] | None = None

    def tell(self, how: How) -> None:
        """It is done now."""
        if self.told is None and self.clock is not None:
            self.told = (how, self.clock())


@dataclass
class Watch:
    """One watch in progress. Everything it learns is kept in plain attributes."""

    plan: WatchPlan
    client: ForeignClient
    history: History
    telling: Telling
    started_at: float
    on_line: Callable[[str], None] | None = None

    reader: ClockReader = field(default_factory=ClockReader)
    notes: list[str] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)
    command: CommandRun | None = None
    dropped: int = 0
    _accepted: set[tuple[str | None, str]] = field(default_factory=set)
    _inferred: Moment | None = None
    _last_line: float = 0.0

    async def prepare(self) -> None:
        """See that every token is accepted, and what can be asked for. Raises TargetDown or TargetRefused."""
        wanted = list(self.plan.surfaces or [each for each in SURFACES if each != "submit" or self.plan.submits])
        found: set[str] = set()
        for caller in callers(self.plan.tokens, bystander=False):
            answer = await check_token(self.client, caller)
            goods = await find_goods(self.client, caller, answer.body, self.plan.video, wanted)
            self._note_link(goods)
            mine = probes_for(caller, goods, wanted)
            self.probes += mine
            found |= {each.request.surface for each in mine}
        for caller in callers(self.plan.bystanders, bystander=True):
            await check_token(self.client, caller)
        if missing := [each for each in wanted if each not in found]:
            self.notes.append(
                f"nothing to ask at {', '.join(missing)}: no finished video, or the API gives no such thing"
            )
        # What was asked for by name and is not there stays on the list: the verdict says that it was not tested.
        self.judged = [each for each in wanted if each in found or self.plan.surfaces is not None]
        if not self.plan.bystanders:
            self.notes.append("no bystander's token: an outage would look like containment, so nothing is contained")

    def _note_link(self, goods: Goods) -> None:
        if goods.link and not self.client.follows(goods.link):
            host = httpx.URL(goods.link).host
            self.notes.append(
                f"a link leads to {host}, which is not asked; name it with --link-host to have it watched"
            )
            goods.link = None

    async def run(self) -> None:
        """Probe until there is no more to see."""
        loops = [self._loop(self.probes, self.plan.rate)]
        if self.plan.bystanders:
            beside = [Probe(each, LIST) for each in callers(self.plan.bystanders, bystander=True)]
            loops.append(self._loop(beside, float(len(beside))))
        running = [asyncio.ensure_future(each.run()) for each in loops]
        if self.plan.command:
            running.append(asyncio.ensure_future(self._run_command(self.plan.command)))
        try:
            await self._look_on(running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for loop in loops:
                await loop.finish(REQUEST_SECONDS / 2)
            self.dropped = sum(each.dropped for each in loops)

    def _loop(self, probes: Sequence[Probe], rate: float) -> OpenLoop:
        return OpenLoop(self.client, probes, rate, self.history.now, self._hear)

    async def _look_on(self, running: Sequence[asyncio.Future[None]]) -> None:
        while self.history.now() < self._end():
            await asyncio.sleep(LOOK_SECONDS)
            for task in running:
                if task.done():
                    task.result()
            if self.history.now() - self._last_line >= LINE_SECONDS and self.on_line:
                self._last_line = self.history.now()
                self.on_line(self.line())

    def _hear(self, answer: Answer) -> None:
        each = answer.exchange
        self.reader.show(answer.headers.get("date"), self.started_at + each.start, self.started_at + each.end)
        if each.actor == "probe" and each.outcome == "accepted":
            self._accepted.add((each.accessor, each.surface))
        if each.actor == "probe" and each.outcome == "refused" and self._inferred is None:
            self._inferred = infer_moment([each], {each.accessor or ""})

    def _end(self) -> float:
        """The second at which the watch is over, as it looks now."""
        moment = self.moment()
        if self.command is None and self.plan.command:
            return self.history.now() + 1.0
        if moment is None:
            return self.plan.seconds
        return max(moment.latest, 0.0) + self.plan.bound_seconds + self.plan.after_seconds

    def moment(self) -> Moment | None:
        """When the revocation was acknowledged, by whoever knows it best."""
        if self.command is not None:
            end = self.command.end
            return Moment(how="command", sent=self.command.start, earliest=end, latest=end, words="the command's end")
        if self.telling.told is not None:
            how, at = self.telling.told
            words = "as a person told it: being late with that would hide a lag of the same length"
            return Moment(how=how, sent=at, earliest=at, latest=at, words=words)
        if self.plan.given is not None:
            return self._given(self.plan.given)
        return self._inferred

    def _given(self, given: GivenTime) -> Moment:
        """A time that was written down, on this watch's clock: as wide as it was written, and as clocks differ."""
        at, low, high = given.at - self.started_at, 0.0, 0.0
        words = f"a time given to {given.width:g} s"
        if self.plan.server_time:
            clock = self.reader.read()
            low, high = (clock.low, clock.high) if clock else (-3600.0, 3600.0)
            words += f" by the server's clock, which is {low:+.3f} to {high:+.3f} s from this machine's"
        earliest, latest = round(at - high, 6), round(at - low + given.width, 6)
        return Moment(how="given", sent=earliest, earliest=earliest, latest=max(earliest, latest), words=words)

    async def _run_command(self, words: Sequence[str]) -> None:
        """The team's own command, once every surface is warm, without a shell; it writes to standard error."""
        while self.history.now() < self.plan.seconds and not self._is_warm():  # noqa: ASYNC110 - time counts too
            await asyncio.sleep(LOOK_SECONDS)
        start = self.history.now()
        try:
            process = await asyncio.create_subprocess_exec(*words, stdout=sys.stderr, start_new_session=True)
        except OSError as error:
            raise CommandUnusable(f"{words[0]} cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(self.plan.command_seconds):
                code: int | None = await process.wait()
        except TimeoutError:
            code = None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        self.command = CommandRun(
            program=Path(words[0]).name, arguments=len(words) - 1, start=start, end=self.history.now(), exit_code=code
        )

    def _is_warm(self) -> bool:
        """Whether every probe was accepted, and probes have run for a while."""
        asked = {(each.caller.bearer.accessor, each.request.surface) for each in self.probes if each.caller.bearer}
        return asked <= self._accepted and self.history.now() >= WARM_UP_SECONDS

    def line(self) -> str:
        """How it stands, in one line."""
        last = {}
        for each in self.history.exchanges[-400:]:
            if each.actor == "probe":
                last[each.surface] = each.outcome
        others = [each.outcome for each in self.history.exchanges[-400:] if each.actor == "bystander"]
        seen = ", ".join(f"{name} {last[name]}" for name in self.judged if name in last)
        moment = self.moment()
        left = max(0.0, self._end() - self.history.now())
        when = "no revocation yet" if moment is None else f"revocation at {moment.latest:.1f} s ({moment.how})"
        beside = f"; bystanders {others[-1]}" if others else ""
        return f"{self.history.now():6.1f} s  {seen}{beside}; {when}; {left:.0f} s left"


class CommandUnusable(DrillError):
    """The revoke command cannot be started at all."""

    exit_code = 2
