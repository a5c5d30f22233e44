"""Walk a runbook: do each step, note what was expected and what came, go where it leads."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from drills.runbook import (
    DEFAULT_TIMEOUT,
    ENDS,
    Action,
    Decision,
    Expect,
    Http,
    Manual,
    Notify,
    Parallel,
    Step,
    Verify,
    Wait,
)  # fmt: skip
from drills.runbook_file import RunbookFile
from drills.runbook_process import run_process
from drills.runbook_record import Outcome, RunbookRecord, StepRun
from drills.runbook_values import Values
from drills.runbook_words import expected, said

# A walk that is longer goes round in circles.
MOST_STEPS = 200
KEPT_OUTPUT = 2_000


@dataclass(frozen=True)
class Question:
    """Something that a person has to answer: a decision, or whether a manual step is done."""

    step: str
    kind: Literal["decision", "manual"]
    text: str
    owner: str


@dataclass(frozen=True)
class Reply:
    """What the person said, and who it was."""

    yes: bool
    by: str


@dataclass(frozen=True)
class Looked:
    """What a verify found. `words` say it."""

    ok: bool
    words: str


@dataclass(frozen=True)
class Doors:
    """What steps act through. `http` reaches anything; `verify` asks the drill's probes for so many seconds at most;
    `before_cut` is called before the first step that cuts, `waits` when a step begins or ends that takes its time."""

    http: httpx.AsyncClient
    gateway: str
    ask: Callable[[Question], Awaitable[Reply]]
    verify: Callable[[Verify, float], Awaitable[Looked]]
    before_cut: Callable[[], Awaitable[None]]
    waits: Callable[[bool], None]
    tell: Callable[[str], None]


@dataclass(frozen=True)
class _Did:
    """What became of one step."""

    outcome: Outcome
    got: str
    next: str | None = None  # None: as its outcome says
    by: str | None = None
    status: int | None = None
    output: str = ""


@dataclass
class RunbookRun:
    """One run. `record()` is what is known of it at any moment."""

    loaded: RunbookFile
    values: Values
    doors: Doors
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    findings: list[str] = field(default_factory=list)

    done: list[StepRun] = field(default_factory=list)
    _started: float = 0.0
    _ended: float | None = None
    _end: Literal["done", "failed"] | None = None
    _why: str = ""
    _cut: bool = False
    _first_cut: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """From its start to an end."""
        self._started = self.now()
        end = await self._walk(self.loaded.runbook.start, until=None, branch=None)
        self._end, self._ended = ("done" if end == "done" else "failed"), self.now()

    def record(self) -> RunbookRecord:
        """As far as it has come."""
        runbook = self.loaded.runbook
        return RunbookRecord(
            name=runbook.name,
            file=self.loaded.name,
            description=runbook.description,
            owner=runbook.owner,
            findings=self.findings,
            planned=list(runbook.steps),
            started=self._started,
            ended=self._ended,
            ended_as=self._end,
            why=self._why,
            steps=sorted(self.done, key=lambda step: (step.started, step.type != "parallel", step.end)),
        )

    async def _walk(self, name: str, *, until: str | None, branch: str | None) -> str:
        """Go on from a step until an end, or the step at which branches join. Where it ended."""
        while name not in ENDS and name != until:
            if len(self.done) >= MOST_STEPS:
                self._why = f"more than {MOST_STEPS} steps: it goes round in circles at {name}"
                return "failed"
            name = await self._take(name, branch)
        return name

    async def _take(self, name: str, branch: str | None) -> str:
        """Do one step and note it. Where it leads."""
        step = self.loaded.runbook.steps[name]
        if isinstance(step, Action) and step.cuts:
            # Another branch's cut waits too, until everything was used once more.
            async with self._first_cut:
                if not self._cut:
                    await self.doors.before_cut()
                    self._cut = True
        self.doors.tell(f"Runbook: {name} ({step.does if isinstance(step, Action) else step.type})")
        started = self.now()
        try:
            did = await self._within_its_time(name, step)
        except asyncio.CancelledError:
            self._note(name, step, branch, started, _Did("interrupted", "interrupted"), "")
            raise
        leads = did.next or (_success(step) if did.outcome == "ok" else None) or _failure(step)
        if leads == "failed" and not self._why:
            self._why = f"step {name}: {did.got}"
        self._note(name, step, branch, started, did, leads)
        return leads

    async def _within_its_time(self, name: str, step: Step) -> _Did:
        limit = step.timeout or DEFAULT_TIMEOUT
        slow = isinstance(step, Decision | Manual | Wait)
        if slow:
            self.doors.waits(True)
        try:
            if isinstance(step, Verify):
                looked = await self.doors.verify(step, limit)
                return _Did("ok" if looked.ok else "failed", looked.words)
            if isinstance(step, Wait):
                await self.sleep(step.seconds)
                return _Did("ok", f"{step.seconds:g} s have passed")
            if (isinstance(step, Action | Notify)) and step.process is not None:
                return await self._process(step, limit)
            async with asyncio.timeout(limit):
                return await self._do(name, step, limit)
        except TimeoutError:
            return _Did("timeout", f"not done within {limit:g} s")
        finally:
            if slow:
                self.doors.waits(False)

    async def _do(self, name: str, step: Step, limit: float) -> _Did:
        if isinstance(step, Decision | Manual):
            return await self._ask(name, step)
        if isinstance(step, Parallel):
            return await self._side_by_side(name, step)
        if isinstance(step, Action | Notify) and step.http is not None:
            return await self._request(step.http, step.expect, limit)
        return _Did("ok", "noted in the journal")

    async def _ask(self, name: str, step: Decision | Manual) -> _Did:
        decides = isinstance(step, Decision)
        text = self.values.fill(step.ask if isinstance(step, Decision) else step.text)
        question = Question(name, "decision" if decides else "manual", text, self._owner(step))
        reply = await self.doors.ask(question)
        if isinstance(step, Decision):
            return _Did("ok", "yes" if reply.yes else "no", step.on_true if reply.yes else step.on_false, reply.by)
        return _Did("ok" if reply.yes else "failed", "done" if reply.yes else "not done", by=reply.by)

    async def _side_by_side(self, name: str, step: Parallel) -> _Did:
        """All branches; each arrives at the join, or the step has failed."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._walk(branch, until=step.on_success, branch=branch)) for branch in step.branches
            ]
        lost = [branch for branch, task in zip(step.branches, tasks, strict=True) if task.result() != step.on_success]
        if lost:
            return _Did("failed", f"{', '.join(lost)} did not arrive at {step.on_success}")
        return _Did("ok", f"{len(tasks)} branches arrived")

    async def _request(self, http: Http, expect: Expect, limit: float) -> _Did:
        headers = self.values.fill_all(http.headers)
        if http.bearer != "none":
            secret = self.values.secret["token" if http.bearer == "token" else "admin_token"]
            headers = {"Authorization": f"Bearer {secret}", **headers}
        url = self.doors.gateway + self.values.fill(http.path) if http.path else self.values.fill(http.url or "")
        body = {"json": self.values.fill_all(http.body)} if http.body is not None else {}
        form = {"data": self.values.fill_all(http.form)} if http.form is not None else {}
        try:
            answer = await self.doors.http.request(http.method, url, headers=headers, timeout=limit, **body, **form)
        except httpx.TimeoutException:
            return _Did("timeout", f"no answer within {limit:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return _Did("unknown", self.values.redact(f"no answer: {type(error).__name__}: {error}"))
        output = self.values.redact(answer.text)
        wrong = _unlike(answer, expect, self.values, output)
        outcome: Outcome = "ok" if not wrong else ("unknown" if answer.status_code >= 500 else "failed")
        got = ", ".join([f"status {answer.status_code}", *wrong])
        return _Did(outcome, got, status=answer.status_code, output=output[:KEPT_OUTPUT])

    async def _process(self, step: Action | Notify, limit: float) -> _Did:
        assert step.process is not None
        argv = [self.values.fill(word) for word in step.process.argv]
        env = {name: self.values.fill(value) for name, value in step.process.env.items()}
        ended = await run_process(argv, env, self.loaded.folder, limit)
        output = self.values.redact(ended.output)
        if ended.not_started is not None:
            return _Did("failed", ended.not_started)
        if ended.timed_out:
            return _Did(
                "timeout", f"ended after {limit:g} s, with all that it had started", output=output[:KEPT_OUTPUT]
            )
        wanted, lacks = step.expect.exit or 0, step.expect.contains
        missing = lacks is not None and self.values.fill(lacks) not in output
        got = f"exit code {ended.code}" + (f", without {lacks!r} in its output" if missing else "")
        good = ended.code == wanted and not missing
        return _Did("ok" if good else "failed", got, output=output[:KEPT_OUTPUT])

    def _owner(self, step: Step) -> str:
        return step.owner or self.loaded.runbook.owner

    def _note(self, name: str, step: Step, branch: str | None, started: float, did: _Did, leads: str) -> None:
        self.done.append(
            StepRun(
                step=name,
                type=step.type,
                owner=self._owner(step),
                text=self.values.redact(said(step, self.values)),
                does=step.does if isinstance(step, Action) else None,
                branch=branch,
                started=started,
                took=round(self.now() - started, 6),
                by=did.by,
                expected=expected(step, self.values),
                got=did.got,
                outcome=did.outcome,
                status=did.status,
                output=did.output,
                next=leads,
            )
        )


def _success(step: Step) -> str | None:
    return None if isinstance(step, Decision) else step.on_success


def _failure(step: Step) -> str:
    return "failed" if isinstance(step, Wait) else step.on_failure or "failed"


def _unlike(answer: httpx.Response, expect: Expect, values: Values, output: str) -> list[str]:
    """How an answer differs from what was expected; nothing where it does not."""
    wrong = []
    if not (answer.status_code in expect.status if expect.status else answer.is_success):
        return [f"expected {' or '.join(map(str, expect.status)) or '2xx'}"]
    if expect.body is not None:
        try:
            found: Any = answer.json()
        except ValueError:
            found = None
        wrong += _differences(values.fill_all(expect.body), found, "")
    if expect.contains is not None and values.fill(expect.contains) not in output:
        wrong.append(f"without {expect.contains!r} in its answer")
    return [values.redact(words) for words in wrong]


def _differences(wanted: Any, found: Any, place: str) -> list[str]:
    """Where JSON does not hold what is wanted; keys beyond that are left alone."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [f"{place or 'the answer'} is no JSON object"]
        return [
            words
            for key, value in wanted.items()
            for words in (
                _differences(value, found[key], f"{place}.{key}" if place else str(key))
                if key in found
                else [f"no {key} in it"]
            )
        ]
    return [] if wanted == found else [f"{place} is {found!r}, not {wanted!r}"[:200]]
