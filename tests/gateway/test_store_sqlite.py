import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import OperatorError, StoreUnavailable
from gateway.settings import Settings
from gateway.store import Connection, SQLiteStore, exercise, open_sqlite
from gateway.store.exercise import Phase

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]


async def test_a_unit_of_work_that_raises_changes_nothing(store: SQLiteStore) -> None:
    def work(tx: Connection) -> None:
        exercise.set_phase(tx, Phase.EXPOSED, 1.0)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await store.write(work)
    assert (await store.read(exercise.get)).phase is Phase.NORMAL


async def test_a_read_sees_what_was_committed_before_it(store: SQLiteStore, tmp_path: Path) -> None:
    other = open_sqlite(tmp_path / "data" / "leakdrill.db")
    await other.write(lambda tx: exercise.set_phase(tx, Phase.REVOKED, 1.0))
    assert (await store.read(exercise.get)).phase is Phase.REVOKED
    await other.close()


async def test_broken_sql_below_is_told_as_unavailable(store: SQLiteStore) -> None:
    with pytest.raises(StoreUnavailable, match="Nothing was changed"):
        await store.read(lambda tx: tx.fetch_one("SELECT * FROM nowhere"))


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "leakdrill.db"
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(OperatorError, match="schema version 99"):
        open_sqlite(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "leakdrill.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(OperatorError, match="cannot open the database"):
        open_sqlite(path)


def test_many_processes_may_create_the_database_at_once(tmp_path: Path) -> None:
    path = tmp_path / "leakdrill.db"
    code = f"from pathlib import Path; from gateway.store import open_sqlite; open_sqlite(Path({str(path)!r}))"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [one.wait(60) for one in started] == [0, 0, 0, 0]


async def test_writes_that_come_at_once_share_a_commit_and_fail_alone(store: SQLiteStore) -> None:
    def note(text: str) -> Callable[[Connection], str]:
        def work(tx: Connection) -> str:
            exercise.set_broadcast(tx, text)
            if text == "bad":
                raise RuntimeError(text)
            return text

        return work

    statements: list[str] = []
    store._writer._raw.set_trace_callback(statements.append)
    outcomes = await asyncio.gather(
        *(store.write(note(text), brief=True) for text in ("one", "bad", "two", "bad")), return_exceptions=True
    )
    assert [str(one) for one in outcomes] == ["one", "bad", "two", "bad"]
    assert isinstance(outcomes[1], RuntimeError)
    assert (await store.read(exercise.get)).broadcast == "two"
    assert statements.count("COMMIT") == 1


async def test_a_brief_write_waits_for_another_process_without_holding_the_loop(
    store: SQLiteStore, settings: Settings
) -> None:
    other = sqlite3.connect(settings.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    written = asyncio.create_task(store.write(lambda tx: exercise.set_broadcast(tx, "late"), brief=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (await store.read(exercise.get)).broadcast is None
    assert not written.done()
    other.execute("COMMIT")
    other.close()
    await asyncio.wait_for(written, 20)
    assert (await store.read(exercise.get)).broadcast == "late"


async def test_a_write_that_nobody_waits_for_any_more_is_not_made(store: SQLiteStore) -> None:
    task = asyncio.create_task(store.write(lambda tx: exercise.set_broadcast(tx, "gone"), brief=True))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.write(lambda tx: None, brief=True)
    assert task.cancelled()
    assert (await store.read(exercise.get)).broadcast is None
