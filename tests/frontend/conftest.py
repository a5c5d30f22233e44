"""A place to serve a small application on a real socket, so that the client is tested over HTTP; a control room on a
real gateway, with instructors who are logged in; and axe-core."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from control_desk import Instructor, control_app
from foreign import installed
from gateway import supervisor
from live import Live, live_gateway

Serve = Callable[[FastAPI], str]


@pytest.fixture
def free_port() -> int:
    return supervisor.free_port()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(app)` is the address of a server that runs the application until the test is over."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: FastAPI) -> str:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        deadline = time.monotonic() + 10
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.started
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A gateway for the tests of a module, with as many workers as the module's WORKERS says; without it, none."""
    with live_gateway(tmp_path_factory.mktemp("gateway"), workers=getattr(request.module, "WORKERS", 0)) as live:
        yield live


@pytest.fixture
def clean(live: Live) -> Live:
    """The same after a reset."""
    live.control("POST", "/control/reset", json={"confirm": "reset"})
    return live


@pytest.fixture
def log_in(serve: Serve, clean: Live) -> Callable[[str], Instructor]:
    """`log_in(name)` is an instructor in the control room of a page of the test's own."""
    page = serve(control_app(clean.url))

    def log_in(name: str) -> Instructor:
        instructor = Instructor(page)
        assert instructor.log_in(clean.supervisor.admin_token, name).status_code == 200
        return instructor

    return log_in


@pytest.fixture
def zoe(log_in: Callable[[str], Instructor]) -> Instructor:
    """One of them."""
    return log_in("Zoë")


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core."""
    assert request.config.cache is not None
    files = [Path(__file__).parent / "axe" / name for name in ("package.json", "package-lock.json")]
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    folder = installed(request.config.cache, "axe", files, install)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()
