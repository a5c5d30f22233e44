"""`leakdrill up` as a process of the test session's, with data in a directory of its own."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from leakdrill_pytest.options import Options

HOST = "127.0.0.1"
# Below the ports that systems give out themselves: no connection takes one before it is used.
PORTS = range(16_000, 32_000)
TRIES = 3
STOP_SECONDS = 20.0
TAIL_LINES = 20
TAKEN = "cannot listen on"


class StartFailed(Exception):
    """The gateway did not come up; the message ends with what its logs say."""


@dataclass(frozen=True)
class Program:
    """A running gateway: where it answers, its admin's bearer, its directory, its log."""

    url: str
    admin_token: str
    data: Path
    log: Path


@contextmanager
def running(options: Options, folder: Path) -> Iterator[Program]:
    """Starts it in `folder`, returns once it answers, and ends it. Raises StartFailed where it does not come up.

    Between the look for a free port and its use another program may take it; then the next one is tried.
    """
    for tries_left in reversed(range(TRIES)):
        port = free_ports(options.replicas)
        data = folder / f"data-{port}"
        data.mkdir()
        with ExitStack() as started:
            log = folder / f"leakdrill-{port}.log"
            process = started.enter_context(_process(options, port, data, log))
            try:
                _await(process, f"http://{HOST}:{port}/readyz", options.start_seconds)
            except StartFailed as exc:
                if tries_left and TAKEN in _read(log):
                    continue
                raise StartFailed(f"{exc}{_tails(log, data)}") from None
            yield Program(f"http://{HOST}:{port}", (data / "admin.token").read_text().strip(), data, log)
            return


@contextmanager
def _process(options: Options, port: int, data: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    # -P: the tested project may have a `gateway` of its own in the current directory.
    command = [sys.executable, "-P", "-m", "gateway", "up", "--no-page", "--port", str(port), "--data", str(data)]
    command += ["--workers", str(options.workers), "--replicas", str(options.replicas)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    # The gateway ends with the process that it is told of here, also where that has no time to end it.
    own = {**options.settings, "LEAKDRILL_RENDER": options.render, "LEAKDRILL_PARENT_PID": str(os.getpid())}
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the tests alone, which then end it in order.
        process = subprocess.Popen(
            command,
            env={**kept, **own},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with httpx.Client(timeout=2.0, trust_env=False) as http:
        while time.monotonic() < deadline:
            code = process.poll()
            if code is not None:
                raise StartFailed(f"leakdrill ended with {code} before it answered")
            try:
                if http.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(0.02)
    raise StartFailed(f"leakdrill did not answer at {url} within {seconds:.0f} s")


def free_ports(number: int) -> int:
    """The first of so many ports in a row that nobody uses right now."""
    while True:
        first = PORTS.start + secrets.randbelow(len(PORTS) - number)
        with ExitStack() as opened:
            try:
                for port in range(first, first + number):
                    opened.enter_context(socket.create_server((HOST, port)))
            except OSError:
                continue
            return first


def _tails(log: Path, data: Path) -> str:
    """The last lines of every log that says something, each under its file's name."""
    told = [(path, _read(path).splitlines()[-TAIL_LINES:]) for path in (log, *sorted((data / "logs").glob("*.log")))]
    return "".join(f"\n--- {path}\n" + "\n".join(lines) for path, lines in told if lines)


def _read(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""
