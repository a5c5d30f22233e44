"""One run: a gateway, three workers of two slots, clients; processes that end or freeze at random; then the proof."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from chaos import evidence, faults
from chaos.clients import Crowd
from chaos.faults import Fault
from chaos.history import History, Restart, Violation, check, could_have, count_ends, executions, restarts, spells
from gateway.events import Event
from gateway.jobs.leftovers import SETTLING_SECONDS, Leftovers
from gateway.store import chain, open_store
from live import Live, live_gateway
from postgres import Server

WORKERS, SLOTS, CLIENTS = 3, 2, 24
UP_SECONDS = 40.0  # until a process that was started again must be at work
END_SECONDS = 90.0  # after the last fault, until every video must have ended
FINDING_SECONDS = 2.0  # four heartbeats: what a watcher may need beyond the lease
OUTAGE_SECONDS = 3.0  # how long the database is not there, at most, once it was ended
RESTART_SECONDS = 10.0  # what a killed worker's job may wait for its next attempt
PROFILES = Path(__file__).with_name("profiles")


@dataclass(frozen=True)
class Stop:
    """A process that was ended, or frozen until `until`; `name` is the worker's, as the event list has it. Times are
    Unix seconds."""

    kind: str
    at: float
    name: str
    until: float = math.inf


@dataclass(frozen=True)
class Outcome:
    """What a run has shown. `waits` tells how long jobs waited from their worker's end to their next attempt; `alone`
    counts those that waited too long while nobody was there to find or take them."""

    store: str
    seed: int
    done: Counter[str]
    history: History
    violations: list[Violation]
    waits: list[Restart]
    alone: int
    exits: Counter[str]
    refusals: int
    swept: int
    seconds: float

    @property
    def sound(self) -> bool:
        """Nothing was lost, nothing doubled, and every job restarted in time."""
        return not self.violations and not self.late

    @property
    def late(self) -> list[Violation]:
        """The jobs that waited too long."""
        return [
            Violation("late", one.job, f"its next attempt began {one.seconds:.1f} s after its worker was killed")
            for one in self.waits
            if one.seconds is not None and one.seconds > RESTART_SECONDS
        ]

    def seconds_waited(self) -> list[float]:
        """`waits` without the jobs."""
        return [one.seconds for one in self.waits if one.seconds is not None]

    def table(self) -> list[tuple[str, str]]:
        """The summary."""
        ends = count_ends(self.history)
        accepted = len(set(self.history.accepted().values()))
        broken = Counter(violation.rule for violation in self.violations)
        failed = ", ".join(f"{number} {code}" for code, number in ends.items() if code != "completed")
        return [
            *((words, str(self.done[kind])) for kind, words in faults.WORDS.items() if self.done[kind]),
            ("kills in all", str(sum(number for kind, number in self.done.items() if kind != "pause"))),
            ("ended by themselves, started again", ", ".join(f"{n} {name}" for name, n in self.exits.items()) or "0"),
            ("create requests sent, of them unanswered or 5xx", f"{len(self.history.creates)}, {self.refusals}"),
            ("jobs accepted", str(accepted)),
            ("jobs completed", str(ends["completed"])),
            ("jobs failed", failed or "0"),
            ("jobs lost", str(broken["lost"])),
            ("jobs doubled", str(broken["doubled"])),
            ("other violations", str(sum(broken.values()) - broken["lost"] - broken["doubled"])),
            ("executions", str(executions(self.history.events))),
            ("jobs that lost their worker by a kill", str(len(self.waits) + self.alone)),
            ("of them late, with nobody there to take them", str(self.alone)),
            ("from the kill to the next attempt", self._waits()),
            ("files of attempts that came to nothing, swept", str(self.swept)),
            ("event list", f"{len(self.history.events)} lines"),
            ("took", f"{self.seconds:.0f} s"),
        ]

    def _waits(self) -> str:
        if not self.waits:
            return "-"
        waited = self.seconds_waited()
        most = f"at most {RESTART_SECONDS:.0f} s"
        return f"median {statistics.median(waited):.1f} s, longest {max(waited):.1f} s ({most})"


@dataclass
class Run:
    """Carries out a schedule on a gateway that runs; `server` is the database's, where there is one to stop."""

    live: Live
    schedule: list[Fault]
    server: Server | None
    stops: list[Stop] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._place = self.live.supervisor.settings.database
        self._gateway, self._workers = self.live.supervisor.children[0], self.live.supervisor.children[1:]
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._away: set[str] = set()  # names of children that something brings back later
        self._paused: dict[int, int] = {}  # which worker -> its process id

    def carry_out(self) -> None:
        """Returns when the last fault is over and everything is up."""
        began = time.monotonic()
        for fault in self.schedule:
            while time.monotonic() < began + fault.at:
                self._tend()
            self._strike(fault)
            self.done[fault.kind] += 1
        while self._later:
            self._tend()
        self._await(self._gateway_is_up)
        for number in range(len(self._workers)):
            self._await(lambda number=number: self._at_work(number) is not None)  # type: ignore[misc]

    def _strike(self, fault: Fault) -> None:
        match fault.kind:
            case "worker":
                self._end_worker(fault)
            case "gateway":
                self._end_gateway(fault)
            case "pause":
                self._pause(fault)
            case "database":
                self._stop_server(fault, lambda server: server.stop("immediate"))
            case "server":
                self._stop_server(fault, lambda server: server.kill())

    def _end_worker(self, fault: Fault) -> None:
        name = self._await(lambda: self._at_work(fault.target))
        self._end(self._workers[fault.target], fault, name)

    def _gateway_is_up(self) -> bool:
        if self._gateway.process.poll() is not None:
            return False
        try:
            return httpx.get(f"{self.live.url}/healthz", trust_env=False, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def _end_gateway(self, fault: Fault) -> None:
        self._await(self._gateway_is_up)
        self._end(self._gateway, fault, "gateway")

    def _pause(self, fault: Fault) -> None:
        def awake() -> int | None:
            others = [(fault.target + step) % len(self._workers) for step in range(len(self._workers))]
            return next((one + 1 for one in others if one not in self._paused and self._at_work(one)), None)

        number = self._await(awake) - 1
        pid = self._workers[number].process.pid
        self._paused[number] = pid
        name = self._at_work(number)
        os.kill(pid, signal.SIGSTOP)
        self.stops.append(Stop("pause", time.time(), str(name), time.time() + fault.seconds))

        def go_on() -> None:
            del self._paused[number]
            if self._workers[number].process.pid == pid and self._workers[number].process.poll() is None:
                os.kill(pid, signal.SIGCONT)

        self._later.append((time.monotonic() + fault.seconds, go_on))

    def _stop_server(self, fault: Fault, stop: Callable[[Server], None]) -> None:
        server = self.server
        assert server is not None
        self._await(lambda: self._rows("SELECT 1"))
        stop(server)
        self.stops.append(Stop(fault.kind, time.time(), "database"))
        self._later.append((time.monotonic() + fault.seconds, server.start_again))

    def _end(self, child: Any, fault: Fault, name: str) -> None:
        child.process.kill()
        self.stops.append(Stop(fault.kind, time.time(), name))
        child.process.wait()
        self._away.add(child.name)

        def bring_back() -> None:
            self._away.discard(child.name)
            self.live.supervisor.start_again(child)

        self._later.append((time.monotonic() + fault.seconds, bring_back))

    def _tend(self) -> None:
        """Does what is due, and starts again what has ended by itself."""
        now = time.monotonic()
        due = [one for one in self._later if one[0] <= now]
        self._later = [one for one in self._later if one[0] > now]
        for _, do in due:
            do()
        for child in (self._gateway, *self._workers):
            if child.process.poll() is not None and child.name not in self._away:
                self.exits[f"{child.name.partition('-')[0]} (exit code {child.process.returncode})"] += 1
                time.sleep(0.2)
                self.live.supervisor.start_again(child)
        time.sleep(0.01)

    def _await(self, state: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + UP_SECONDS
        while not (value := state()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not so within {UP_SECONDS} s: {state}")
            self._tend()
            time.sleep(0.05)
        return value

    def _at_work(self, number: int) -> str | None:
        """The name under which the worker is registered; None where it is not yet, or not any more."""
        process = self._workers[number].process
        if process.poll() is not None:
            return None
        found = self._rows(f"SELECT name FROM workers WHERE pid = {process.pid} AND stopped_at IS NULL")
        return str(found[0][0]) if found else None

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            return evidence.rows(self._place, sql)
        except evidence.unreachable():
            return []


@contextmanager
def running(data: Path, server: Server | None, **settings: Any) -> Iterator[Live]:
    """A gateway with the workers of a run. The first worker renders, the others repeat what was rendered once."""
    if server is not None:
        settings["database_url"] = server.url
    with live_gateway(
        data, workers=0, render="cached", profiles_dir=str(PROFILES), log_level="info", **settings
    ) as live:
        live.control("PUT", "/control/profile", json={"name": "brief"})
        for number in range(1, WORKERS + 1):
            own = {"LEAKDRILL_RENDER": "full"} if number == 1 else {}
            live.supervisor._spawn(f"worker-{number}", ["worker", "--slots", str(SLOTS)], own, needed=False)
        yield live


def drill(data: Path, *, seed: int, kills: int, server: Server | None = None, clients: int = CLIENTS) -> Outcome:
    """A whole run in the directory `data`, on SQLite there or on `server`'s database."""
    began = time.monotonic()
    with running(data, server) as live:
        settings = live.supervisor.settings
        weights = faults.WEIGHTS if server is None else faults.ON_POSTGRESQL
        plan = faults.schedule(seed, kills, workers=WORKERS, lease=settings.lease_seconds, weights=weights)
        issued = live.issue()
        deadline = time.monotonic() + 3 * plan[-1].at + UP_SECONDS + END_SECONDS
        crowd = Crowd(live.url, issued["token"], seed, clients, deadline)
        crowd.start()
        run = Run(live, plan, server)
        run.carry_out()
        crowd.deadline = time.monotonic() + END_SECONDS
        crowd.end()
        swept = settle(live)
    history = evidence.history(settings.database, settings.media, issued["accessor"], crowd, settings.max_attempts)
    violations = [*check(history), *(Violation("client", "-", what) for what in crowd.broken)]
    broken = chain.verify(settings.database).broken
    if broken is not None:
        violations.append(Violation("chain", "the list", f"{broken.seq}: {broken.what}"))
    waits, alone = _waits(history.events, run.stops, settings.lease_seconds)
    refusals = sum(one.status is None or one.status >= 500 for one in crowd.creates)
    store = "SQLite" if server is None else "PostgreSQL"
    return Outcome(
        store, seed, run.done, history, violations, waits, alone, run.exits, refusals, swept, time.monotonic() - began
    )


def _waits(events: list[Event], stops: list[Stop], lease: float) -> tuple[list[Restart], int]:
    """How long each job of an ended worker waited for its next attempt, and how many waited too long because nobody
    could find or take them: those who watched were ended too, or the database was."""
    away = {stop.name: [(one.at, one.until) for one in stops if one.name == stop.name] for stop in stops}
    workers, gateways = spells(events, away), spells(events, away, "gateway.started")
    outages = [stop.at for stop in stops if stop.kind in ("database", "server")]
    waits, alone = [], 0
    for stop in (one for one in stops if one.kind == "worker"):
        found = stop.at + lease + FINDING_SECONDS
        watched = could_have([*workers, *gateways], stop.at, found)
        for restart in restarts(events, stop.name, stop.at):
            if restart.seconds is None:
                continue
            end = max(found, stop.at + min(restart.seconds, RESTART_SECONDS))
            down = any(stop.at - OUTAGE_SECONDS <= at <= end for at in outages)
            in_time = restart.seconds <= RESTART_SECONDS
            if in_time or (watched and could_have(workers, found, end) and not down):
                waits.append(restart)
            else:
                alone += 1
    return waits, alone


def settle(live: Live) -> int:
    """Lets the workers finish what they still do in vain, and sweeps as the gateway would a minute later; how many
    files were left."""
    workers = live.supervisor.children[1:]
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.wait(60)
    settings = live.supervisor.settings

    async def sweep() -> int:
        store = open_store(settings.database)
        try:
            return await Leftovers(settings.media).sweep(store, now=time.time() + SETTLING_SECONDS + 1)
        finally:
            await store.close()

    return asyncio.run(sweep())
