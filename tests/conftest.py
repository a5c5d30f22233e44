"""Fixtures for all tests: a gateway in this process on a frozen clock, and what to do where a tool is missing."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from desk import START, Desk, DeskMaker
from gateway.app import create_app
from gateway.clock import FrozenClock
from gateway.errors import StoreUnavailable
from gateway.event_data import TOLD
from gateway.events import EventKind
from gateway.settings import Settings, prepare_data
from gateway.store import Connection, Store, events, open_store, replicas
from gateway.tokens.keys import load_keyring
from postgres import ADVICE, Databases, Server, own_server, programs

# Read before any test takes it out of its environment.
TEST_DATABASE_URL = os.environ.get("LEAKDRILL_TEST_DATABASE_URL", "")
# A shell without job control has what it puts into the background ignore Ctrl-C, and so would whatever a test starts.
SIGNALS = {
    number: usual if (handler := signal.getsignal(number)) is signal.SIG_IGN else handler
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine leaks into a test."""
    for name in os.environ:
        if name.startswith("LEAKDRILL_") and name != "LEAKDRILL_REQUIRE":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_signals() -> None:
    """No test leaves signals to the next as it likes them: one that is ignored is so in every process started later."""
    for number, handler in SIGNALS.items():
        if handler is not None:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str, str], str]:
    """`need_tool("ffprobe", "apt-get install ffmpeg")` is its path; without it the test is skipped with that advice,
    or fails where LEAKDRILL_REQUIRE=all."""

    def need(name: str, advice: str) -> str:
        # Some come as packages into the environment that runs the tests, which need not be in PATH.
        path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if path is None:
            _do_without(f"{name} is not on this machine; install it with: {advice}")
        return path

    return need


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("LEAKDRILL_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)


def _need_postgres() -> Path:
    """Where the programs of a PostgreSQL server lie."""
    where = programs()
    if where is None:
        _do_without(f"initdb is not on this machine; install it with: {ADVICE}")
    return where


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """Where the programs of a PostgreSQL server lie."""
    return _need_postgres()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server that makes databases: the one that LEAKDRILL_TEST_DATABASE_URL names, else the tests' own."""
    if TEST_DATABASE_URL:
        yield TEST_DATABASE_URL
        return
    with own_server(_need_postgres()) as server:
        yield server.url


@pytest.fixture
def postgres_server() -> Iterator[Server]:
    """A server that the test may stop and start."""
    with own_server(_need_postgres()) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str) -> Iterator[Databases]:
    """What tests are given databases from."""
    databases = Databases(postgres_url)
    yield databases
    databases.drop()


@pytest.fixture
def postgres_database(postgres_databases: Databases) -> Iterator[str]:
    """The URL of a database of the test's own, with no row in it."""
    url, shape = postgres_databases.take()
    yield url
    postgres_databases.give_back(url, shape)


@pytest.fixture
def database_url() -> str:
    """What LEAKDRILL_DATABASE_URL is in a test: SQLite in the data directory."""
    return ""


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    made = Settings(data=tmp_path / "data", database_url=database_url, estimate_seconds=0)
    prepare_data(made)
    return made


@pytest.fixture
async def make_desk(settings: Settings) -> AsyncIterator[DeskMaker]:
    """Desks with settings of the test's own."""
    made: list[Desk] = []
    stores: list[Store] = []

    async def make(**changes: Any) -> Desk:
        own = settings.model_copy(update=changes)
        keys, store, clock = load_keyring(own), open_store(own.database), FrozenClock(START)
        stores.append(store)
        app = create_app(own, store=store, clock=clock, keys=keys)
        # A fault must be answered, as it is over a socket, not raised into the test.
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="http://gateway.test")
        # As the application does when a server starts it.
        await store.write(lambda tx: replicas.announce(tx, own.replica, own.own_url, clock.now()))
        made.append(Desk(http, store, clock, own, keys, app.state.context))
        return made[-1]

    yield make
    for desk in made:
        await desk.http.aclose()
    untold: set[tuple[str, str]] = set()
    for store in stores:
        # A test may have left its database away, or told lies in it.
        with suppress(StoreUnavailable):
            untold |= await store.read(_untold)
        await store.close()
    assert untold == set(), "gateway/event_data.py does not have these keys of these kinds of events"


def _untold(tx: Connection) -> set[tuple[str, str]]:
    """Kinds of events and keys of their data that the documentation does not have."""
    listed = events.page(tx, after=0, limit=1_000_000)
    return {(one.kind, key) for one in listed for key in one.data if key not in TOLD[EventKind(one.kind)].keys}


@pytest.fixture
async def desk(make_desk: DeskMaker) -> Desk:
    return await make_desk()


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = open_store(settings.database)
    yield opened
    await opened.close()
