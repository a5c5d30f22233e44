"""Runs one part: a gateway or a worker, in this process, until told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from gateway.clock import Clock, SystemClock
from gateway.errors import OperatorError
from gateway.settings import Settings, prepare_data

PARENT = "LEAKDRILL_PARENT_PID"
GC_OBJECTS = 20_000  # new objects between two looks for cycles


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OperatorError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as exc:
        listener.close()
        raise OperatorError(
            f"cannot listen on {host}:{port}: {exc.strerror or exc}; choose another port with --port, "
            "or stop what uses this one"
        ) from exc
    listener.set_inheritable(True)
    return listener


def configure_logging(level: str) -> None:
    """One line an entry, on standard error."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)


def die_with_parent() -> None:
    """Stops this process when the supervisor that started it is gone, however it went."""
    parent = int(os.environ.get(PARENT, "0"))
    # On Windows a virtual environment puts a process in between, and a parent's id outlives the parent.
    if not parent or sys.platform == "win32":
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def run_gateway(settings: Settings, clock: Clock | None = None) -> None:
    """Serves HTTP until SIGTERM or Ctrl-C; raises OperatorError where it cannot start."""
    # These cost half a second; a command that only prints help does not pay it.
    import uvicorn

    from gateway.app import create_app
    from gateway.jobs.surroundings import ensure_fit
    from gateway.store import open_store
    from gateway.tokens.keys import load_keyring
    from gateway.web.faults import Protocol

    prepare_data(settings)
    asyncio.run(ensure_fit(settings, SystemClock().now()))
    keys = load_keyring(settings)
    store = open_store(settings.database)
    listener = listen(settings.host, settings.port)
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    app = create_app(settings, store=store, clock=clock or SystemClock(), keys=keys)
    # What is there by now stays for as long as the process lives; no collection need walk it again.
    gc.collect()
    gc.freeze()
    # Requests leave next to no cycles behind; looking for them every 700 objects would be a twentieth of each create.
    gc.set_threshold(GC_OBJECTS, 10, 10)
    config = uvicorn.Config(
        app,
        http=Protocol,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=3,
        lifespan="on",
    )
    configure_logging(settings.log_level)
    die_with_parent()
    uvicorn.Server(config).run(sockets=[listener])


STOPPING = (signal.SIGTERM, signal.SIGINT)


def _heed_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Calls `stop` in the loop at each SIGTERM or Ctrl-C. The loop's own handlers would be gone once it has ended, and
    one signal too many would then kill a process that is about to leave in order."""

    def heed(_signum: int, _frame: object) -> None:
        if loop.is_running():
            loop.call_soon_threadsafe(stop)

    for signum in STOPPING:
        signal.signal(signum, heed)


def run_worker(settings: Settings, slots: int, clock: Clock | None = None) -> None:
    """Works until SIGTERM or Ctrl-C: the first drains, the second gives the job back and leaves at once."""
    from gateway.jobs.rendering import Renderer
    from gateway.jobs.surroundings import ensure_fit
    from gateway.jobs.worker import WorkerProcess
    from gateway.store import open_store
    from gateway.tokens.keys import load_keyring

    prepare_data(settings)
    asyncio.run(ensure_fit(settings, SystemClock().now()))
    configure_logging(settings.log_level)
    die_with_parent()
    renderer = Renderer(settings, load_keyring(settings).marks)

    async def work() -> None:
        store = open_store(settings.database)
        worker = WorkerProcess(settings, store, clock or SystemClock(), renderer, slots=slots)
        _heed_signals(asyncio.get_running_loop(), worker.stop)
        try:
            await worker.run()
        finally:
            await store.close()

    asyncio.run(work())
    # The interpreter takes its handlers down before it is gone, but leaves ignored signals ignored.
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)
