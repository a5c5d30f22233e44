"""PostgreSQL as a store, beyond what every test of the gateway says of it: see `tests/gateway/conftest.py`."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from desk import Desk
from gateway.errors import OperatorError, StoreUnavailable
from gateway.events import EventKind
from gateway.settings import load, without_password
from gateway.store import Connection, Store, chain, events, exercise, open_store, postgres
from gateway.store.chain import Anchor
from gateway.store.exercise import Phase
from gateway.store.postgres import PostgresStore, open_postgres
from gateway.store.schema import VERSION
from live import leakdrill
from postgres import Server, beside, connected
from tampering import raw

pytestmark = pytest.mark.anyio


@pytest.fixture
async def opened(postgres_database: str) -> AsyncIterator[PostgresStore]:
    store = open_postgres(postgres_database)
    yield store
    await store.close()


def note(text: str) -> Callable[[Connection], str]:
    """A unit of work that sets the broadcast line, and raises where that is `bad`."""

    def work(tx: Connection) -> str:
        exercise.set_broadcast(tx, text)
        if text == "bad":
            raise RuntimeError(text)
        return text

    return work


async def broadcast(store: Store) -> str | None:
    return (await store.read(exercise.get)).broadcast


async def test_a_unit_of_work_that_raises_changes_nothing(opened: PostgresStore) -> None:
    with pytest.raises(RuntimeError):
        await opened.write(note("bad"))
    assert await broadcast(opened) is None
    assert await opened.write(note("good")) == await broadcast(opened) == "good"


async def test_a_read_sees_what_was_committed_before_it_and_nothing_later(
    opened: PostgresStore, postgres_database: str
) -> None:
    other = open_postgres(postgres_database)
    await other.write(note("before"))
    amid, on = threading.Event(), threading.Event()

    def slowly(tx: Connection) -> list[str | None]:
        first = exercise.get(tx).broadcast
        amid.set()
        assert on.wait(20)
        return [first, exercise.get(tx).broadcast]

    reading = asyncio.create_task(opened.read(slowly))
    await asyncio.to_thread(amid.wait, 20)
    await other.write(note("after"))
    on.set()
    assert await reading == ["before", "before"]
    assert await broadcast(opened) == "after"
    await other.close()


async def test_a_read_cannot_write(opened: PostgresStore) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"):
        await opened.read(note("x"))
    assert await broadcast(opened) is None


async def test_rows_are_read_by_name_and_in_order(opened: PostgresStore) -> None:
    sql = "SELECT :a AS a, :b AS b, CAST(:c AS BIGINT) AS c, CAST(:d AS REAL) AS d, :e AS e"
    given = {"a": "é\0\"'%s:x", "b": b"\0\xff", "c": 2**62, "d": 0.5, "e": True}
    row = await opened.read(lambda tx: tx.fetch_one(sql, given))
    assert row is not None
    assert {name: row[name] for name in given} == given
    assert tuple(row) == tuple(given.values())
    assert (row["a"], [type(one) for one in row]) == (given["a"], [str, bytes, int, float, int])
    with pytest.raises(KeyError):
        row["z"]


async def test_texts_are_ordered_byte_by_byte(opened: PostgresStore) -> None:
    def work(tx: Connection) -> list[str]:
        for name in ("b", "B", "é", "a", "_"):
            tx.execute("INSERT INTO replicas (name, url, started_at, seen_at) VALUES (:n, '', 0, 0)", {"n": name})
        return [row["name"] for row in tx.fetch_all("SELECT name FROM replicas ORDER BY name")]

    assert await opened.write(work) == ["B", "_", "a", "b", "é"]


async def test_writes_that_come_at_once_share_a_commit_and_fail_alone(opened: PostgresStore) -> None:
    def identified(text: str) -> Callable[[Connection], int]:
        def work(tx: Connection) -> int:
            note(text)(tx)
            row = tx.fetch_one("SELECT CAST(txid_current() AS BIGINT) AS id")
            assert row is not None
            number: int = row["id"]
            return number

        return work

    outcomes = await asyncio.gather(
        *(opened.write(identified(text)) for text in ("one", "bad", "two", "bad", "three")), return_exceptions=True
    )
    assert isinstance(outcomes[1], RuntimeError)
    assert isinstance(outcomes[3], RuntimeError)
    assert outcomes[0] == outcomes[2] == outcomes[4]
    assert await broadcast(opened) == "three"


async def test_a_statement_that_fails_is_told_and_takes_its_own_unit_back(opened: PostgresStore) -> None:
    def broken(tx: Connection) -> None:
        exercise.set_broadcast(tx, "half")
        tx.execute("UPDATE nowhere SET x = 1")

    def swallowing(tx: Connection) -> None:
        exercise.set_broadcast(tx, "half")
        with pytest.raises(psycopg.Error):
            tx.execute("UPDATE nowhere SET x = 1")

    for work in (broken, swallowing):
        with pytest.raises(StoreUnavailable, match="Nothing was changed"):
            await opened.write(work)
        outcomes = await asyncio.gather(opened.write(note("whole")), opened.write(work), return_exceptions=True)
        assert outcomes[0] == await broadcast(opened) == "whole"
        assert isinstance(outcomes[1], StoreUnavailable)
        await opened.write(lambda tx: exercise.set_broadcast(tx, None))
    with pytest.raises(psycopg.IntegrityError):
        await opened.write(lambda tx: tx.execute("INSERT INTO exercise (id, phase) VALUES (1, 'normal')"))
    with pytest.raises(psycopg.IntegrityError):
        await opened.write(lambda tx: tx.execute("UPDATE exercise SET phase = 'other'"))


async def test_a_write_that_nobody_waits_for_any_more_is_not_made(opened: PostgresStore) -> None:
    task = asyncio.create_task(opened.write(note("gone")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await opened.write(lambda tx: None)
    assert await broadcast(opened) is None


async def test_many_writers_leave_one_chain_without_a_gap(opened: PostgresStore, postgres_database: str) -> None:
    stores = [opened, *(open_postgres(postgres_database) for _ in range(3))]

    def line(number: int) -> Callable[[Connection], None]:
        def work(tx: Connection) -> None:
            events.append(tx, EventKind.BROADCAST_SET, at=float(number), actor="admin", data={"text": "\0"})
            if number % 7 == 0:
                raise RuntimeError("taken back")

        return work

    writes = [store.write(line(number)) for number in range(70) for store in stores]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(one, RuntimeError) for one in outcomes) == 40
    found = chain.verify(postgres_database)
    assert (found.events, found.broken) == (240, None)
    for store in stores[1:]:
        await store.close()


async def test_a_lost_connection_takes_its_transaction_along_and_is_replaced(
    opened: PostgresStore, postgres_url: str
) -> None:
    def lost(tx: Connection) -> None:
        exercise.set_broadcast(tx, "half")
        row = tx.fetch_one("SELECT pg_backend_pid() AS pid")
        assert row is not None
        with connected(postgres_url) as server:
            server.execute("SELECT pg_terminate_backend(%s, 10000)", [row["pid"]])
        exercise.get(tx)

    with pytest.raises(StoreUnavailable, match="Nothing was changed"):
        await opened.write(lost)
    assert await broadcast(opened) is None
    outcomes = await asyncio.gather(opened.write(note("a")), opened.write(lost), return_exceptions=True)
    assert [type(one) for one in outcomes] == [StoreUnavailable] * 2
    with pytest.raises(StoreUnavailable):
        await opened.read(lambda tx: tx.fetch_all("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert await opened.write(note("whole")) == await broadcast(opened) == "whole"


async def test_a_commit_whose_end_is_not_known_is_told_as_that(opened: PostgresStore, postgres_url: str) -> None:
    def lost_at_the_end(tx: Connection) -> None:
        exercise.set_broadcast(tx, "perhaps")
        row = tx.fetch_one("SELECT pg_backend_pid() AS pid")
        assert row is not None
        with connected(postgres_url) as server:
            server.execute("SELECT pg_terminate_backend(%s, 10000)", [row["pid"]])

    with pytest.raises(StoreUnavailable, match="Look whether it was made") as told:
        await opened.write(lost_at_the_end)
    assert "Nothing was changed" not in str(told.value)
    assert await opened.write(note("whole")) == "whole"


async def test_a_statement_that_takes_too_long_is_ended(opened: PostgresStore) -> None:
    def slow(tx: Connection) -> None:
        exercise.set_broadcast(tx, "half")
        tx.execute("SET LOCAL statement_timeout = 50")
        tx.fetch_one("SELECT pg_sleep(60) AS slept")

    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await opened.write(slow)
    assert await broadcast(opened) is None
    kept = await opened.read(lambda tx: tx.fetch_one("SHOW statement_timeout"))
    assert kept is not None
    assert tuple(kept) == ("30s",)


async def test_a_wait_for_a_reader_has_an_end(opened: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "WAIT_SECONDS", 0.1)
    on = threading.Event()
    held = [asyncio.create_task(opened.read(lambda tx: on.wait(20))) for _ in range(postgres.READERS)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="Too many wait"):
        await broadcast(opened)
    on.set()
    assert await asyncio.gather(*held) == [True] * postgres.READERS
    assert await broadcast(opened) is None


async def test_a_server_that_is_frozen_is_given_up(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(postgres, "WATCH_SECONDS", 0.05)
    store = open_store(postgres_server.url)

    def frozen(tx: Connection) -> None:
        exercise.set_broadcast(tx, "half")
        row = tx.fetch_one("SELECT pg_backend_pid() AS pid")
        assert row is not None
        os.kill(row["pid"], signal.SIGSTOP)
        try:
            exercise.get(tx)
        finally:
            os.kill(row["pid"], signal.SIGCONT)

    with pytest.raises(StoreUnavailable, match="Nothing was changed"):
        await store.write(frozen)
    assert await broadcast(store) is None
    assert await store.write(note("whole")) == "whole"
    await store.close()


def test_where_nobody_answers_that_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OperatorError, match="cannot open the database of LEAKDRILL_DATABASE_URL") as told:
        open_store(f"postgresql://somebody:secret@127.0.0.1:{port}/nothing")
    assert "\n" not in str(told.value)
    assert "secret" not in str(told.value)


def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(OperatorError, match="timeout"):
            open_store(f"postgresql://somebody@127.0.0.1:{port}/nothing?connect_timeout=2")
        assert time.monotonic() - started < 60


async def test_another_schema_version_is_refused(postgres_database: str) -> None:
    with connected(postgres_database) as database:
        database.execute("UPDATE schema_version SET version = 99")
        try:
            with pytest.raises(OperatorError, match="schema version 99"):
                open_postgres(postgres_database)
        finally:
            database.execute("UPDATE schema_version SET version = %s", [VERSION])


async def test_many_processes_may_create_the_tables_at_once(postgres_url: str) -> None:
    with connected(postgres_url) as server:
        server.execute("CREATE DATABASE leakdrill_fresh TEMPLATE template0 ENCODING 'UTF8'")
        server.execute("CREATE DATABASE leakdrill_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        try:
            code = "import sys; from gateway.store import open_store; open_store(sys.argv[1])"
            command = [sys.executable, "-W", "ignore", "-c", code, beside(postgres_url, "leakdrill_fresh")]
            started = [subprocess.Popen(command) for _ in range(4)]
            assert [one.wait(60) for one in started] == [0, 0, 0, 0]
            with pytest.raises(OperatorError, match="UTF8"):
                open_postgres(beside(postgres_url, "leakdrill_latin"))
        finally:
            server.execute("DROP DATABASE leakdrill_fresh WITH (FORCE)")
            server.execute("DROP DATABASE leakdrill_latin WITH (FORCE)")


def test_without_the_driver_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for use in (open_store, chain.verify):
        with pytest.raises(OperatorError, match=r'install it with: pip install "leakdrill\[postgres\]"'):
            use("postgresql://localhost/leakdrill")


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_password("postgresql://me:secret@host/name") == "postgresql://me:…@host/name"
    monkeypatch.setenv("LEAKDRILL_DATABASE_URL", "postgres+other://me:secret@host/name")
    with pytest.raises(OperatorError, match="must start with sqlite:/// or postgresql://") as told:
        load()
    assert "secret" not in str(told.value)


LINES = 12
TAMPERED: list[tuple[str, int, str]] = [
    ("UPDATE events SET data = data || ' ' WHERE seq = 5", 5, "edited"),
    ("DELETE FROM events WHERE seq = 5", 5, "dropped: 1 line is missing before 6"),
    ("UPDATE events SET seq = 99 WHERE seq = 5", 5, "reordered: the line that belongs here stands at 99"),
    (f"DELETE FROM events WHERE seq > {LINES - 2}", LINES - 1, "cut off"),
]


@pytest.mark.parametrize(("change", "seq", "word"), TAMPERED)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_tampering_is_told_by_its_first_line(desk: Desk, change: str, seq: int, word: str) -> None:
    place = desk.settings.database
    for number in range(LINES):
        await desk.issue(f"tester-{number:03}")
    anchor = chain.newest(place)
    assert anchor.seq == chain.verify(place, anchor).events == LINES
    raw(desk, change)
    found = chain.verify(place)
    assert found.broken is not None
    assert (found.broken.seq, word in found.broken.what) == (seq, True), found.broken
    beside_anchor = chain.verify(place, Anchor(anchor.seq + 1, "0"))
    assert beside_anchor.broken is not None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_shell_reads_the_list_by_url(desk: Desk, tmp_path: Path) -> None:
    await desk.issue()
    environment: dict[str, Any] = {"LEAKDRILL_DATABASE_URL": str(desk.settings.database)}
    anchored = leakdrill("audit", "anchor", cwd=tmp_path, **environment)
    assert anchored.returncode == 0, anchored.stderr
    whole = leakdrill("audit", "verify", cwd=tmp_path, **environment)
    assert (whole.returncode, "1 lines hold" in whole.stdout) == (0, True)
    nobody = leakdrill("audit", "verify", cwd=tmp_path, LEAKDRILL_DATABASE_URL="postgresql://x:secret@127.0.0.1:9/x")
    assert (nobody.returncode, "Traceback" in nobody.stderr, "secret" in nobody.stderr) == (2, False, False)


async def test_a_server_that_comes_back_is_used_again(postgres_server: Server) -> None:
    store = open_store(postgres_server.url)
    await store.write(lambda tx: exercise.set_phase(tx, Phase.EXPOSED, 1.0))
    for how in ("fast", "immediate"):
        postgres_server.stop(how)
        with pytest.raises(StoreUnavailable, match="Nothing was changed"):
            await store.read(exercise.get)
        with pytest.raises(StoreUnavailable, match="Nothing was changed"):
            await store.write(note("half"))
        postgres_server.start()
        assert (await store.read(exercise.get)).phase is Phase.EXPOSED
        assert await broadcast(store) is None
    assert await store.write(note("whole")) == await broadcast(store) == "whole"
    await store.close()
