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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from gateway import logs
from gateway.clock import Clock, SystemClock
from gateway.errors import OperatorError
from gateway.settings import Settings, prepare_data

if TYPE_CHECKING:
    import uvicorn

log = logging.getLogger("leakdrill.gateway")

PARENT = "LEAKDRILL_PARENT_PID"
GC_OBJECTS = 20_000  # new objects between two looks for cycles
GRACE_SECONDS = 3  # for requests that are under way when the gateway is told to stop


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


def configure_logging(settings: Settings, part: str) -> None:
    """One line an entry, on standard error; `part` is gateway, worker, page or supervisor."""
    replica = settings.replica if part == "gateway" else ""
    logs.configure(settings.log_level, settings.log_format, part=part, replica=replica)


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

    from gateway import telemetry
    from gateway.app import create_app
    from gateway.jobs.surroundings import ensure_fit
    from gateway.store import open_store
    from gateway.tokens.keys import load_keyring
    from gateway.web.faults import Protocol

    configure_logging(settings, "gateway")
    tracing = telemetry.begun(settings, "gateway")
    prepare_data(settings)
    _bring_along(settings)
    asyncio.run(ensure_fit(settings, SystemClock().now()))
    keys = load_keyring(settings)
    store = open_store(settings.database)
    listener = listen(settings.host, settings.port)
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    if tracing is not None:
        from gateway.telemetry.store import TracedStore

        store = TracedStore(store, tracing.tracer)
    tracer = tracing.tracer if tracing else None
    app = create_app(settings, store=store, clock=clock or SystemClock(), keys=keys, tracer=tracer)
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
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="on",
    )
    die_with_parent()
    _server(config).run(sockets=[listener])
    _heed_no_more()
    if tracing is not None:
        tracing.close()


def _bring_along(settings: Settings) -> None:
    """A SQLite file of an earlier version is brought to this one's schema. A server's database is for an operator to
    migrate, who knows what else runs on it."""
    from gateway.store.migrating import migrate

    if not isinstance(settings.database, Path):
        return
    done = migrate(settings.database, now=SystemClock().now())
    if done is not None:
        log.warning("action=database_migrated before=%s after=%s copy=%s", done.before, done.after, done.copy)


STOPPING = (signal.SIGTERM, signal.SIGINT)


def _server(config: uvicorn.Config) -> uvicorn.Server:
    """uvicorn's, which ends in order at the first SIGTERM or Ctrl-C and breaks off what is under way at the second. Its
    own would send the signal to itself again at the end, and so end as if it had been killed."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            for signum in STOPPING:
                signal.signal(signum, self.handle_exit)
            yield

    return Server(config)


def _heed_no_more() -> None:
    """The interpreter takes its handlers down before it is gone, but leaves ignored signals ignored: one signal too
    many must not kill a process that is about to leave in order."""
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)


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
    from gateway import telemetry
    from gateway.jobs.rendering import Renderer, ensure_encoder
    from gateway.jobs.surroundings import ensure_fit
    from gateway.jobs.worker import WorkerProcess
    from gateway.store import open_store
    from gateway.tokens.keys import load_keyring

    configure_logging(settings, "worker")
    tracing = telemetry.begun(settings, "worker")
    prepare_data(settings)
    ensure_encoder(settings)
    asyncio.run(ensure_fit(settings, SystemClock().now()))
    die_with_parent()
    marks = load_keyring(settings).marks
    if tracing is None:
        renderer = Renderer(settings, marks)
    else:
        from gateway.telemetry.attempts import AttemptSpans, TracedRenderer

        renderer = TracedRenderer(settings, marks, tracing.tracer)

    async def work() -> None:
        store = open_store(settings.database)
        spans = AttemptSpans(tracing, store) if tracing is not None else None
        used = store if spans is None else spans.store
        worker = WorkerProcess(settings, used, clock or SystemClock(), renderer, slots=slots, spans=spans)
        _heed_signals(asyncio.get_running_loop(), worker.stop)
        try:
            await worker.run()
        finally:
            await store.close()

    asyncio.run(work())
    _heed_no_more()
    if tracing is not None:
        tracing.close()
