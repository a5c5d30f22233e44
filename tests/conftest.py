"""Fixtures for all tests: a gateway in this process on a frozen clock, and what to do where a tool is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from desk import START, Desk, DeskMaker
from gateway.app import create_app
from gateway.clock import FrozenClock
from gateway.settings import Settings, prepare_data
from gateway.store import SQLiteStore, open_sqlite, replicas
from gateway.tokens.keys import load_keyring


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine leaks into a test."""
    for name in os.environ:
        if name.startswith("LEAKDRILL_") and name != "LEAKDRILL_REQUIRE":
            monkeypatch.delenv(name)


@pytest.fixture
def need_tool() -> Callable[[str, str], str]:
    """`need_tool("ffprobe", "apt-get install ffmpeg")` is its path; without it the test is skipped with that advice,
    or fails where LEAKDRILL_REQUIRE=all."""

    def need(name: str, advice: str) -> str:
        path = shutil.which(name)
        if path is None:
            reason = f"{name} is not on this machine; install it with: {advice}"
            if os.environ.get("LEAKDRILL_REQUIRE") == "all":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return need


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data=tmp_path / "data", estimate_seconds=0)
    prepare_data(made)
    return made


@pytest.fixture
async def make_desk(settings: Settings) -> AsyncIterator[DeskMaker]:
    """Desks with settings of the test's own."""
    made: list[Desk] = []

    async def make(**changes: Any) -> Desk:
        own = settings.model_copy(update=changes)
        keys, store, clock = load_keyring(own), open_sqlite(own.database_path), FrozenClock(START)
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
        await desk.store.close()


@pytest.fixture
async def desk(make_desk: DeskMaker) -> Desk:
    return await make_desk()


@pytest.fixture
def store(settings: Settings) -> Iterator[SQLiteStore]:
    opened = open_sqlite(settings.database_path)
    yield opened
    for connection in (opened._reader, opened._writer, opened._keeper):
        connection.close()
