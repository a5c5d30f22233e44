"""SQLite in write-ahead mode.

Reads run where they are called: in WAL mode a reader waits for nobody, and a thread hop would cost several times
the query. Writes go through one thread, because a writer may wait for another process's transaction, and the event
loop must not wait with it. Source: https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeVar

from gateway.errors import OperatorError, StoreUnavailable
from gateway.store.protocol import Connection, Params, Row
from gateway.store.schema import SQLITE, VERSION

T = TypeVar("T")

BUSY_MILLISECONDS = 30_000


class _SQLiteConnection:
    """A `Connection` over sqlite3's."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def execute(self, sql: str, params: Params | None = None) -> int:
        return self._raw.execute(sql, params or {}).rowcount

    def fetch_one(self, sql: str, params: Params | None = None) -> Row | None:
        row: Row | None = self._raw.execute(sql, params or {}).fetchone()
        return row

    def fetch_all(self, sql: str, params: Params | None = None) -> list[Row]:
        return self._raw.execute(sql, params or {}).fetchall()

    def transact(self, begin: str, work: Callable[[Connection], T]) -> T:
        """Runs `work` between `begin` and COMMIT; ROLLBACK where it raises."""
        try:
            self._raw.execute(begin)
            try:
                result = work(self)
                self._raw.execute("COMMIT")
            except BaseException:
                if self._raw.in_transaction:
                    self._raw.execute("ROLLBACK")
                raise
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as exc:
            if isinstance(exc, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
                raise
            raise StoreUnavailable(f"The database did not answer ({exc}). Nothing was changed; ask again.") from exc
        return result

    def close(self) -> None:
        self._raw.close()


class SQLiteStore:
    """A `Store` in one file. Any number of processes may have it open."""

    def __init__(self, reader: sqlite3.Connection, writer: sqlite3.Connection) -> None:
        self._reader = _SQLiteConnection(reader)
        self._writer = _SQLiteConnection(writer)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")

    async def read(self, work: Callable[[Connection], T]) -> T:
        return self._reader.transact("BEGIN", work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._writer.transact, "BEGIN IMMEDIATE", work)

    async def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._reader.close()
        self._writer.close()


def _connect(path: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_MILLISECONDS / 1000, cached_statements=256
    )
    raw.row_factory = sqlite3.Row
    try:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = NORMAL")
        raw.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        raw.close()
        raise
    return raw


def _create_schema(raw: sqlite3.Connection, path: Path) -> None:
    """Creates the tables once, whichever process comes first; refuses a database of another version."""
    raw.execute("BEGIN IMMEDIATE")
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        for statement in SQLITE.split(";\n"):
            raw.execute(statement)
        raw.execute(f"PRAGMA user_version = {VERSION}")
    raw.execute("COMMIT")
    if version not in (0, VERSION):
        raise OperatorError(
            f"{path} has schema version {version}, this leakdrill reads {VERSION}; "
            "move the file away or set LEAKDRILL_DATA to another directory"
        )


def open_sqlite(path: Path) -> SQLiteStore:
    """Opens or creates the database; raises OperatorError where that cannot be done."""
    try:
        with ExitStack() as opened:
            writer = opened.enter_context(closing(_connect(path)))
            _create_schema(writer, path)
            reader = _connect(path)
            opened.pop_all()
            return SQLiteStore(reader, writer)
    except sqlite3.Error as exc:
        raise OperatorError(
            f"cannot open the database {path}: {exc}; is the directory writable and the file a leakdrill database?"
        ) from exc
