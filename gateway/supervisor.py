"""Starts gateway, workers and page as child processes, waits until they answer, restarts workers, stops them all."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from gateway.errors import OperatorError
from gateway.serve import PARENT, listen
from gateway.settings import Settings, prepare_data
from gateway.tokens.keys import ADMIN_FILE, load_keyring

log = logging.getLogger("leakdrill.supervisor")

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
PAGE_TOKENS = "page.tokens"
LAST_PORT = 65_535
PORTS = range(16_000, 32_000)


@dataclass
class _Child:
    """One process; `command` and `environment` start it again. One that is not `needed` may end: it is restarted."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes]
    needed: bool
    url: str = ""
    restarts: int = 0


@dataclass
class Supervisor:
    """A context manager: what it started is gone when it is left."""

    settings: Settings
    children: list[_Child] = field(default_factory=list)

    @property
    def gateway_url(self) -> str:
        """Where this machine reaches the gateway."""
        return f"http://{_reachable(self.settings.host)}:{self.settings.port}"

    @property
    def replica_urls(self) -> list[str]:
        """Where this machine reaches each gateway that was started, the first one first."""
        return [child.url for child in self.children if child.url]

    @property
    def page_url(self) -> str:
        """Where this machine reaches the page."""
        return f"http://{_reachable(self.settings.page_host)}:{self.settings.page_port}"

    @property
    def admin_token(self) -> str:
        """The admin bearer."""
        return load_keyring(self.settings).admin

    def __enter__(self) -> Self:
        prepare_data(self.settings)
        (self.settings.data / "logs").mkdir(exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, workers: int, page: bool, replicas: int = 1) -> None:
        """Starts everything; raises OperatorError where an address is taken or a part does not come up.

        The first gateway comes first and alone: the page's import takes seconds of processor time, which the gateway
        would otherwise wait for. The other replicas have the ports after its own, and share its data directory.
        """
        ports = range(self.settings.port, self.settings.port + replicas)
        if ports[-1] > LAST_PORT:
            raise OperatorError(f"{replicas} replicas from port {ports[0]} on end beyond {LAST_PORT}; choose --port")
        for port in ports:
            _ensure_free(self.settings.host, port, "--port")
        if page:
            if self.settings.page_port in ports:
                raise OperatorError(f"port {self.settings.page_port} is a replica's; choose another with --page-port")
            _ensure_free(self.settings.page_host, self.settings.page_port, "--page-port")
        for number, port in enumerate(ports, 1):
            name = "gateway" if replicas == 1 else f"gateway-{number}"
            url = f"http://{_reachable(self.settings.host)}:{port}"
            own = {"LEAKDRILL_PORT": str(port)}
            if replicas > 1:
                own["LEAKDRILL_REPLICA"] = f"r{number}"
            self._spawn(name, ["gateway"], own, needed=replicas == 1, url=url)
            self._wait(name, f"{url}/readyz")
        for number in range(1, workers + 1):
            self._spawn(f"worker-{number}", ["worker"], {}, needed=False)
        if page:
            self._spawn("page", ["page"], {}, needed=True)

    def wait_for_page(self) -> None:
        """Returns once the page answers."""
        self._wait("page", f"{self.page_url}/state")

    def tend(self) -> None:
        """Restarts workers, and gateways of several, that died; raises OperatorError where the only gateway or the page
        is gone."""
        for child in self.children:
            code = child.process.poll()
            if code is None:
                continue
            if child.needed:
                raise OperatorError(f"the {child.name} ended with {code}; see {child.log}{_tail(child.log)}")
            child.restarts += 1
            if child.restarts > 20:
                raise OperatorError(f"{child.name} keeps ending with {code}; see {child.log}{_tail(child.log)}")
            log.warning("action=started_again child=%s ended_with=%s restarts=%s", child.name, code, child.restarts)
            self.start_again(child)

    def start_again(self, child: _Child) -> None:
        """Starts a child that has ended, as it was started before."""
        child.process = self._popen(child.command, child.log, child.environment)

    def stop(self) -> None:
        """Asks every child to end, workers first, and ends those that do not within 10 s."""
        for child in reversed(self.children):  # the gateway last: a worker may still want to finish
            if child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self.children.clear()

    def give_page(self, tokens: list[str]) -> None:
        """Puts the tokens that the page uses where it reads them."""
        path = self.settings.data / PAGE_TOKENS
        fresh = path.with_name(f".{PAGE_TOKENS}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("".join(f"{token}\n" for token in tokens))
        fresh.replace(path)

    def page_has_tokens(self) -> bool:
        """Whether the page was given tokens before."""
        return (self.settings.data / PAGE_TOKENS).exists()

    def admin_file(self) -> Path:
        """Where the admin token lies."""
        return self.settings.data / ADMIN_FILE

    def _spawn(self, name: str, arguments: list[str], own: dict[str, str], *, needed: bool, url: str = "") -> None:
        command = program("gateway", *arguments)
        log = self.settings.data / "logs" / f"{name}.log"
        self.children.append(_Child(name, command, own, log, self._popen(command, log, own), needed, url))

    def _popen(self, command: list[str], log: Path, own: dict[str, str]) -> subprocess.Popen[bytes]:
        _put_aside(log, self.settings.log_bytes)
        with log.open("ab") as output:
            # A group of its own: Ctrl-C reaches the supervisor alone, which then stops its children in order.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self._environment(), **own},
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        given = {
            f"LEAKDRILL_{name.upper()}": str(value)
            for name, value in self.settings.model_dump(exclude_defaults=True).items()
        }
        return {
            **os.environ,
            **given,
            "LEAKDRILL_DATA": str(self.settings.data.resolve()),
            "LEAKDRILL_GATEWAY_URL": self.gateway_url,
            "LEAKDRILL_PAGE_TOKENS_FILE": str((self.settings.data / PAGE_TOKENS).resolve()),
            PARENT: str(os.getpid()),
        }

    def _wait(self, name: str, url: str) -> None:
        child = next(one for one in self.children if one.name == name)
        deadline = time.monotonic() + READY_SECONDS
        with httpx.Client(timeout=2.0, trust_env=False) as client:
            while time.monotonic() < deadline:
                if child.process.poll() is not None:
                    raise OperatorError(f"the {name} did not start; see {child.log}{_tail(child.log)}")
                try:
                    if client.get(url).status_code == 200:
                        return
                except httpx.TransportError:
                    pass  # not listening yet
                time.sleep(0.05)
        raise OperatorError(f"the {name} did not answer at {url} within {READY_SECONDS:.0f} s; see {child.log}")


def program(module: str, *arguments: str) -> list[str]:
    """The command that runs a part of leakdrill with this interpreter, wherever the shell stands.

    `-P` keeps the current directory out of what is imported: a project may have a `gateway` of its own there. In a
    checkout that is not installed, that directory is where the parts are found.
    """
    in_checkout = Path.cwd() == Path(__file__).resolve().parents[1]
    return [sys.executable, *([] if in_checkout else ["-P"]), "-m", module, *arguments]


def free_port() -> int:
    """A port that nobody uses right now."""
    return free_ports(1)


def free_ports(number: int) -> int:
    """The first of so many ports in a row that nobody uses right now."""
    while True:
        # Below the ports that systems give out themselves: no connection takes one before it is used.
        first = PORTS.start + secrets.randbelow(len(PORTS) - number)
        try:
            for port in range(first, first + number):
                listen("127.0.0.1", port).close()
        except OperatorError:
            continue
        return first


def _ensure_free(host: str, port: int, option: str) -> None:
    try:
        listen(host, port).close()
    except OperatorError as exc:
        raise OperatorError(str(exc).replace("--port", option)) from exc


def _reachable(host: str) -> str:
    """The address to call a server that binds `host`."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _put_aside(log: Path, most: int) -> None:
    """Renames a log that has grown beyond that, in the place of the one that was put aside before."""
    if log.exists() and log.stat().st_size > most:
        log.replace(log.with_suffix(".log.1"))


def _tail(log: Path) -> str:
    """The last lines of a child's log, to show with the error."""
    lines = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
    return "".join(f"\n  {line}" for line in lines)
