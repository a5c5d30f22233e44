"""The processes that make the load: this one, or a Locust master and its workers. Brings gevent and Locust in.

Both are driven alike: `prepare`, `go`, then `pulse` until over, `tell` of an acknowledgement, `finish`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol

import gevent
from locust.runners import LocalRunner, MasterRunner, WorkerNode

from loadtest.arrivals import Arrival, plan
from loadtest.clerk import Clerk
from loadtest.errors import LoadError, OrderError
from loadtest.history import History
from loadtest.order import Bearer, Order
from loadtest.shape import Part, Shape
from loadtest.users import LoadEnvironment, Visitor

LEAD_SECONDS = 0.3
WORKERS_SECONDS = 60.0
FINISH_SECONDS = 30.0
SPAWN_SECONDS = 30.0


@dataclass(frozen=True)
class Pulse:
    """How the load test stands. `answered` and `tried` are when an answer last came and a request last went out."""

    handed_out: int
    busy: int
    over: bool
    quiet: bool
    answered: float
    tried: float
    full: bool = False


class Fleet(Protocol):
    """See the module."""

    history: History
    lost: list[str]

    def prepare(self) -> None: ...
    def go(self) -> None: ...
    def now(self) -> float: ...
    def pulse(self) -> Pulse: ...
    def tell(self) -> None: ...
    def close(self) -> None: ...
    def finish(self) -> None: ...
    def told(self) -> dict[int, float]: ...
    def elsewhere(self) -> set[int]: ...


class Schedule(Part):
    """What a schedule is planned from; `processes` share it."""

    shape: Shape
    users: int
    rate: float
    seconds: float
    seed: int
    processes: int


def schedule_of(order: Order) -> Schedule:
    """What of an order says who comes when."""
    return Schedule(
        shape=order.shape,
        users=order.users,
        rate=order.peak_rate,
        seconds=order.seconds,
        seed=order.seed,
        processes=order.processes,
    )


def arrivals_of(schedule: Schedule, bearers: list[Bearer]) -> list[Arrival]:
    """The whole schedule."""
    return plan(
        schedule.shape,
        users=schedule.users,
        rate=schedule.rate,
        seconds=schedule.seconds,
        leaked=[n for n, each in enumerate(bearers) if each.leaked],
        others=[n for n, each in enumerate(bearers) if not each.leaked],
        seed=schedule.seed,
    )


def make_environment(order_target: str | None) -> LoadEnvironment:
    """Locust's, with our one kind of user."""
    return LoadEnvironment(user_classes=[Visitor], host=order_target, stop_timeout=None)


def pulse_of(clerk: Clerk) -> Pulse:
    """How one process stands."""
    line = clerk.line
    return Pulse(clerk.handed_out, clerk.busy, clerk.over, clerk.quiet, line.answered, line.tried, clerk.full)


class LocalFleet:
    """This process alone."""

    def __init__(self, order: Order, bearers: list[Bearer], arrivals: list[Arrival]) -> None:
        self._order = order
        self._environment = make_environment(order.target)
        self._runner: LocalRunner = self._environment.create_local_runner()
        self._clerk = Clerk(arrivals, [each.token for each in bearers], order.seed)
        self._environment.clerk = self._clerk
        self._acknowledged: float | None = None
        self.history = self._clerk.history
        self.lost: list[str] = []

    def prepare(self) -> None:
        """Returns once every user waits for its turn."""
        self._runner.start(self._order.users, spawn_rate=self._order.users)
        with gevent.Timeout(SPAWN_SECONDS, LoadError("the users did not get ready; use fewer, or more processes")):
            while self._clerk.waiting < self._order.users:
                gevent.sleep(0.02)

    def go(self) -> None:
        self._clerk.begin(time.monotonic() + LEAD_SECONDS)

    def now(self) -> float:
        return self._clerk.now()

    def pulse(self) -> Pulse:
        return pulse_of(self._clerk)

    def tell(self) -> None:
        self._acknowledged = self._clerk.now()

    def told(self) -> dict[int, float]:
        return {} if self._acknowledged is None else {0: self._acknowledged}

    def elsewhere(self) -> set[int]:
        return set()

    def close(self) -> None:
        self._clerk.close()

    def finish(self) -> None:
        """Ends every session, and keeps how far each was."""
        self._clerk.close()
        self._runner.stop()
        self._runner.greenlet.kill(block=True)
        self.history.cpu = time.process_time()


@dataclass
class _Worker:
    """A process of the fleet as the master knows it. `beside` says that it shares this machine's clock."""

    index: int
    beside: bool
    pulse: Pulse | None = None
    acknowledged: float | None = None
    planned: bool = False
    final: bool = False


class MasterFleet:
    """A Locust master. Its workers are started here, or come from other machines."""

    def __init__(self, order: Order, bearers: list[Bearer]) -> None:
        self._order = order
        self._bearers = bearers
        self._workers: dict[str, _Worker] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._go = 0.0
        self.history = History()
        self.lost: list[str] = []
        self._environment = make_environment(order.target)
        try:
            self._runner: MasterRunner = self._environment.create_master_runner(order.listen_host, order.listen_port)
        except (SystemExit, OSError) as error:
            raise OrderError(
                f"cannot listen for workers at {order.listen_host}:{order.listen_port}; choose --master-port"
            ) from error
        listeners = {"planned": self._on_planned, "refused": self._on_refused, "history": self._on_history}
        for name, listener in listeners.items():
            self._runner.register_message(name, listener)

    def prepare(self) -> None:
        """Returns once every worker has the plan and its users."""
        wanted = self._order.processes
        if self._order.role == "local":
            # As this process was started: -P where the current directory is somebody else's.
            python = [sys.executable, *(["-P"] if sys.flags.safe_path else [])]
            command = [*python, "-m", "loadtest", "--worker", "--beside"]
            place = ["--host", self._order.listen_host, "--port", str(self._order.listen_port)]
            self._processes = [subprocess.Popen([*command, *place]) for _ in range(wanted)]
        here = "started here" if self._processes else f"at {self._order.listen_host}:{self._order.listen_port}"
        self._await(lambda: len(self._ready()) >= wanted, WORKERS_SECONDS, f"{wanted} workers, {here}, did not come")
        for index, node in enumerate(self._ready()[:wanted]):
            self._workers[node.id] = _Worker(index, beside=bool(self._processes))
            self._runner.send_message("plan", self._plan(index), client_id=node.id)
        self._await(self._all_planned, WORKERS_SECONDS, "workers did not take the plan")
        self._runner.start(self._order.users, spawn_rate=self._order.users)
        self._await(self._all_spawned, SPAWN_SECONDS, "the users did not get ready; use fewer, or more processes")

    def _plan(self, index: int) -> dict[str, Any]:
        return {
            "schedule": schedule_of(self._order).model_dump(mode="json"),
            "bearers": [each.model_dump() for each in self._bearers],
            "index": index,
        }

    def _ready(self) -> list[WorkerNode]:
        return sorted(self._runner.clients.ready, key=lambda node: node.id)

    def _all_planned(self) -> bool:
        return all(worker.planned for worker in self._workers.values())

    def _all_spawned(self) -> bool:
        return self._runner.user_count >= self._order.users

    def _await(self, so: Any, seconds: float, otherwise: str) -> None:
        deadline = time.monotonic() + seconds
        while not so():
            self._look_for_lost()
            if self.lost:
                raise LoadError("; ".join(self.lost))
            if time.monotonic() > deadline:
                raise LoadError(f"{otherwise} within {seconds:.0f} s")
            gevent.sleep(0.02)

    def _look_for_lost(self) -> None:
        """Workers that ended, or fell silent, before they had told everything."""
        for process in self._processes:
            if process.poll() not in (None, 0):
                self._say_lost(f"a worker process ended with {process.returncode}")
        for node in self._runner.clients.missing:
            worker = self._workers.get(node.id)
            if worker is not None and not worker.final:
                self._say_lost(f"worker {worker.index + 1} fell silent")

    def _say_lost(self, words: str) -> None:
        if words not in self.lost:
            self.lost.append(words)

    def _on_planned(self, environment: object, msg: Any, **_: object) -> None:
        self._workers[msg.node_id].planned = True

    def _on_refused(self, environment: object, msg: Any, **_: object) -> None:
        self._say_lost(f"worker {self._workers[msg.node_id].index + 1} could not use the plan: {msg.data['why']}")

    def _on_history(self, environment: object, msg: Any, **_: object) -> None:
        worker = self._workers.get(msg.node_id)
        if worker is None:
            return
        data = msg.data
        self.history.unpack(data, worker.index)
        worker.pulse = Pulse(**data["pulse"])
        worker.acknowledged = data["acknowledged"]
        if data["final"] and not worker.final:
            worker.final = True
            self.history.unstarted += data["unstarted"]
            self.history.cpu += data["cpu"]

    def go(self) -> None:
        self._go = time.monotonic() + LEAD_SECONDS
        for id, worker in self._workers.items():
            data = {"at": self._go} if worker.beside else {"in": LEAD_SECONDS}
            self._runner.send_message("go", data, client_id=id)

    def now(self) -> float:
        return time.monotonic() - self._go

    def pulse(self) -> Pulse:
        self._look_for_lost()
        known = [worker.pulse for worker in self._workers.values() if worker.pulse is not None]
        complete = len(known) == len(self._workers)
        return Pulse(
            handed_out=sum(each.handed_out for each in known),
            busy=sum(each.busy for each in known),
            over=complete and all(each.over for each in known),
            quiet=complete and all(each.quiet for each in known),
            answered=max((each.answered for each in known), default=0.0),
            tried=max((each.tried for each in known), default=0.0),
            full=any(each.full for each in known),
        )

    def tell(self) -> None:
        """Workers on this machine read the same clock; others count from when this reaches them."""
        now = self.now()
        for id, worker in self._workers.items():
            self._runner.send_message("acknowledged", {"at": now if worker.beside else None}, client_id=id)

    def told(self) -> dict[int, float]:
        known = {each.index: each.acknowledged for each in self._workers.values()}
        return {index: at for index, at in known.items() if at is not None}

    def elsewhere(self) -> set[int]:
        return {worker.index for worker in self._workers.values() if not worker.beside}

    def close(self) -> None:
        self._runner.send_message("close", None)

    def finish(self) -> None:
        """Ends every session and waits for what workers have not told yet; who does not tell it is lost."""
        self._runner.send_message("finish", None)
        deadline = time.monotonic() + FINISH_SECONDS
        while not all(worker.final for worker in self._workers.values()):
            self._look_for_lost()
            if self.lost or time.monotonic() > deadline:
                break
            gevent.sleep(0.02)
        for worker in self._workers.values():
            if not worker.final:
                self._say_lost(f"worker {worker.index + 1} did not tell the end of its history")
        self._runner.quit()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
