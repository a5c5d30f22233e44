import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import OperatorError, StoreUnavailable
from gateway.store import Connection, SQLiteStore, exercise, open_sqlite
from gateway.store.exercise import Phase

pytestmark = pytest.mark.anyio


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
