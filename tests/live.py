"""A gateway and its workers as processes of their own, for tests that go through the socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_ports

FFMPEG = "ffmpeg"
T = TypeVar("T")


def eventually(state: Callable[[], T], *, within: float = 20.0, every: float = 0.02) -> T:
    """The first true value of `state`; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = state()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within} s: {state}")
        time.sleep(every)


@dataclass
class Live:
    """A running gateway."""

    supervisor: Supervisor

    @property
    def url(self) -> str:
        return self.supervisor.gateway_url

    @property
    def urls(self) -> list[str]:
        """Every replica's address, the first one first."""
        return self.supervisor.replica_urls

    def control(self, method: str, path: str, **options: Any) -> Any:
        """A call as the admin."""
        headers = {"Authorization": f"Bearer {self.supervisor.admin_token}"}
        answer = httpx.request(method, self.url + path, headers=headers, trust_env=False, **options)
        answer.raise_for_status()
        return answer.json()

    def issue(self, principal: str = "tester-001", cohort: str = "alpha") -> dict[str, Any]:
        """A new token."""
        issued: dict[str, Any] = self.control(
            "POST", "/control/tokens", json={"principal": principal, "cohort": cohort}
        )
        return issued

    def worker_pids(self) -> list[int]:
        """The workers' process ids."""
        return [one.process.pid for one in self.supervisor.children if one.name.startswith("worker")]

    def kill_gateway(self) -> None:
        """Ends the gateway without a chance to tidy up."""
        gateway = self.supervisor.children[0]
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait()

    def start_gateway(self) -> None:
        """Starts the one that was killed again."""
        self.supervisor.start_again(self.supervisor.children[0])

    def encoders(self) -> list[int]:
        """Process ids of running encoders that a worker of this gateway started."""
        parents = set(self.worker_pids())
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        return [int(pid) for pid, parent, name in rows if int(parent) in parents and FFMPEG in name]


@contextmanager
def live_gateway(data: Path, *, workers: int = 1, replicas: int = 1, **settings: Any) -> Iterator[Live]:
    """Starts a gateway on a free port, or several beside each other; everything it started is gone at the end."""
    own = Settings(data=data, port=free_ports(replicas), **settings)
    with Supervisor(own) as supervisor:
        supervisor.start(workers=workers, page=False, replicas=replicas)
        yield Live(supervisor)


def path_with_program(folder: Path) -> str:
    """What PATH must be for a shell that is to find this program under its name; a file is put in `folder`."""
    program = folder / "bin" / "leakdrill"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def leakdrill(*arguments: str, cwd: Path, within: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the program as a shell would."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=within,
    )
