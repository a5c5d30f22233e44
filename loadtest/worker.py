"""One worker process of a load test on several. Brings gevent and Locust in.

It gets the whole plan from the master and takes every n-th arrival; what it saw goes back once a second.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from typing import Any

import gevent
from locust import runners
from locust.runners import WorkerRunner
from pydantic import ValidationError

from loadtest.clerk import Clerk
from loadtest.errors import LoadError, TargetAway
from loadtest.fleet import Schedule, arrivals_of, make_environment, pulse_of
from loadtest.order import Bearer

REPORT_SECONDS = 1.0
MOST_ROWS = 20_000  # in one message
CONNECT_TRIES = 5


class Worker:
    """Serves one master until that has what it wants, or is gone."""

    def __init__(self, host: str, port: int) -> None:
        self._environment = make_environment(None)
        self._clerk: Clerk | None = None
        self._sent = (0, 0)
        self._acknowledged: float | None = None
        self._done = False
        runners.CONNECT_RETRY_COUNT = CONNECT_TRIES
        try:
            self._runner: WorkerRunner = self._environment.create_worker_runner(host, port)
        except ConnectionError as error:
            seconds = (CONNECT_TRIES + 1) * runners.CONNECT_TIMEOUT
            raise TargetAway(f"no load test's master answers at {host}:{port} within {seconds} s") from error
        for name in ("plan", "go", "acknowledged", "close", "finish"):
            self._runner.register_message(name, getattr(self, f"_on_{name}"), concurrent=name == "finish")

    def run(self) -> None:
        """Works until the master says quit; raises LoadError where it went away before that."""
        parent = os.getppid()
        while self._runner.greenlet.greenlets:  # the master's "quit" ends them all
            gevent.sleep(REPORT_SECONDS)
            if os.getppid() != parent:
                break
            if self._clerk is not None and not self._done:
                self._report(final=False)
        if not self._done:
            raise LoadError("the master went away before the load test was over")

    def _on_plan(self, environment: object, msg: Any, **_: object) -> None:
        try:
            schedule = Schedule.model_validate(msg.data["schedule"])
            bearers = [Bearer.model_validate(each) for each in msg.data["bearers"]]
        except (KeyError, TypeError, ValidationError):
            self._runner.send_message("refused", {"why": "it is another version of leakdrill than the master"})
            return
        share = arrivals_of(schedule, bearers)[msg.data["index"] :: schedule.processes]
        self._clerk = Clerk(share, [each.token for each in bearers], schedule.seed)
        self._environment.clerk = self._clerk
        self._runner.send_message("planned", None)

    def _on_go(self, environment: object, msg: Any, **_: object) -> None:
        at = msg.data.get("at")
        self._known().begin(at if at is not None else time.monotonic() + msg.data["in"])

    def _on_acknowledged(self, environment: object, msg: Any, **_: object) -> None:
        at = msg.data["at"]
        self._acknowledged = at if at is not None else self._known().now()

    def _on_close(self, environment: object, msg: Any, **_: object) -> None:
        self._known().close()

    def _on_finish(self, environment: object, msg: Any, **_: object) -> None:
        if self._clerk is not None:
            self._clerk.close()
            self._runner.stop()
            self._report(final=True)
        self._done = True

    def _known(self) -> Clerk:
        if self._clerk is None:
            raise LoadError("the master sent no plan")
        return self._clerk

    def _report(self, *, final: bool) -> None:
        """Sends what came since the last time, in messages of bounded length."""
        clerk = self._known()
        while True:
            exchanges, visits = self._sent
            packed = clerk.history.pack(exchanges, visits, MOST_ROWS)
            self._sent = (exchanges + len(packed["exchanges"]), visits + len(packed["visits"]))
            last = self._sent == (len(clerk.history.exchanges), len(clerk.history.visits))
            data = {
                **packed,
                "pulse": asdict(pulse_of(clerk)),
                "acknowledged": self._acknowledged,
                "unstarted": clerk.history.unstarted,
                "cpu": time.process_time(),
                "final": final and last,
            }
            self._runner.send_message("history", data)
            if last:
                return


def run_worker(host: str, port: int) -> int:
    """A worker's exit code; what went wrong is one line on standard error."""
    try:
        Worker(host, port).run()
    except LoadError as error:
        sys.stderr.write(f"leakdrill: {error}\n")
        return error.exit_code
    return 0
