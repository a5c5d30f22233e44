"""A place to serve a small application on a real socket, so that the client is tested over HTTP; and axe-core."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from foreign import installed
from gateway import supervisor

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


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core."""
    assert request.config.cache is not None
    files = [Path(__file__).parent / "axe" / name for name in ("package.json", "package-lock.json")]
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    folder = installed(request.config.cache, "axe", files, install)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()
