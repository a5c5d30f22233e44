"""SQLite in write-ahead mode.

Reads run where they are called: in WAL mode a reader waits for nobody, and a thread hop would cost several times
the query. Writes that come at once share a commit. A batch of brief ones runs on the event loop when no other process
is writing; anything else goes to one thread, because a writer may wait for another process's transaction, and the
event loop must not wait with it. Source: https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import OperatorError, StoreUnavailable
from gateway.store.batches import Outcome, settle
from gateway.store.counting import SQLITE_COUNTING
from gateway.store.migrations import ensure_current
from gateway.store.protocol import ChainEnd, Connection, Params, Row, Sight
from gateway.store.schema import SQLITE, VERSION

T = TypeVar("T")

BUSY_MILLISECONDS = 30_000
LOOK_SECONDS = 0.0005  # between looks whether the write lock is free
CHECKPOINT_EVERY = 4000  # writes
MOST_AT_ONCE = 256  # writes in one commit
CACHE_KIBIBYTES = 8000  # a connection; of a long line, polls all over it touch some thousand pages


class _SQLiteConnection:
    """A `Connection` over sqlite3's."""

    delivered = False

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self.sight: Sight | None = None
        self.chain_end: ChainEnd | None = None

    def execute(self, sql: str, params: Params | None = None) -> int:
        return self._raw.execute(sql, params or {}).rowcount

    def insert(self, sql: str, params: Params | None = None) -> int:
        row = self._raw.execute(sql, params or {}).lastrowid
        if row is None:
            raise LookupError(f"no row was added by {sql}")
        return row

    def fetch_one(self, sql: str, params: Params | None = None) -> Row | None:
        row: Row | None = self._raw.execute(sql, params or {}).fetchone()
        return row

    def fetch_all(self, sql: str, params: Params | None = None) -> list[Row]:
        return self._raw.execute(sql, params or {}).fetchall()

    def transact(self, begin: str, work: Callable[[Connection], T]) -> T:
        """Runs `work` between `begin` and COMMIT; ROLLBACK where it raises."""
        # Not `_transaction`: every poll passes here, and a context manager costs as much as its statements.
        self._raw.execute(begin)
        try:
            result = work(self)
            self._raw.execute("COMMIT")
        except BaseException:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            raise
        return result

    def transact_all(self, works: Sequence[Callable[[Connection], Any]], *, patiently: bool = False) -> list[Outcome]:
        """Runs every unit in one transaction, each behind a savepoint, so that one that raises takes only itself back.

        Raises what sqlite3 does where all of it fails: OperationalError where the write lock is not free, or
        `patiently`, has not become free for long.
        """
        if len(works) == 1:
            with self._transaction(patiently):
                return [(works[0](self), None)]
        outcomes: list[Outcome] = []
        with self._transaction(patiently):
            for work in works:
                self._raw.execute("SAVEPOINT unit")
                try:
                    outcomes.append((work(self), None))
                except Exception as exc:
                    if not self._raw.in_transaction:  # SQLite gave up on all of it: a full disk, say
                        raise
                    self._raw.execute("ROLLBACK TO unit")
                    self.chain_end = None
                    outcomes.append((None, _told(exc)))
                self._raw.execute("RELEASE unit")
        return outcomes

    @contextmanager
    def _transaction(self, patiently: bool) -> Iterator[None]:
        self._lock(BUSY_MILLISECONDS / 1000 if patiently else 0.0)
        self.chain_end = None  # another process may have written since
        try:
            yield
            self._raw.execute("COMMIT")
        except BaseException:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            raise

    def _lock(self, seconds: float) -> None:
        """Takes the write lock. SQLite's own way of waiting sleeps longer and longer, up to 0.1 s, and so is late where
        two processes write by turns, each for a millisecond."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(LOOK_SECONDS)
            else:
                return

    def checkpoint(self) -> None:
        """Moves what the log holds into the database file, as far as no reader is in the way."""
        self._raw.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        self._raw.close()


@dataclass(frozen=True)
class _Unit:
    """A write that waits for its turn."""

    work: Callable[[Connection], Any]
    brief: bool
    future: asyncio.Future[Any]


class SQLiteStore:
    """A `Store` in one file. Any number of processes may have it open."""

    delivered = False

    def __init__(self, reader: sqlite3.Connection, writer: sqlite3.Connection, keeper: sqlite3.Connection) -> None:
        self._reader = _SQLiteConnection(reader)
        self._writer = _SQLiteConnection(writer)
        self._keeper = _SQLiteConnection(keeper)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._keeping = ThreadPoolExecutor(1, thread_name_prefix="store-keeper", initializer=_give_way)
        self._pending: list[_Unit] = []
        self._busy = False  # a batch is about to run, or runs
        self._handed_over = False  # the thread has the writer's connection
        self._since_checkpoint = 0

    @property
    def sight(self) -> Sight | None:
        return self._reader.sight

    def look_through(self, sight: Sight) -> None:
        self._reader.sight = self._writer.sight = sight

    async def read(self, work: Callable[[Connection], T], *, snapshot: bool = True) -> T:
        try:
            if snapshot:
                return self._reader.transact("BEGIN", work)
            # Between its writes, the writer still holds the pages that it has read; the reader, after each, none.
            return work(self._reader if self._handed_over else self._writer)
        except sqlite3.DatabaseError as exc:
            told = _told(exc)
            if told is exc:
                raise
            raise told from exc

    async def write(self, work: Callable[[Connection], T], *, brief: bool = False) -> T:
        loop = asyncio.get_running_loop()
        unit = _Unit(work, brief, loop.create_future())
        self._pending.append(unit)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._gather, loop, 0)
        result: T = await unit.future
        return result

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """Waits for as long as each turn of the loop brings more writes, which then share one commit."""
        if seen < len(self._pending) < MOST_AT_ONCE:
            loop.call_soon(self._gather, loop, len(self._pending))
        else:
            self._flush(loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._pending = [one for one in self._pending if not one.future.done()], []
        works = [one.work for one in batch]
        if all(one.brief for one in batch):
            try:
                outcomes = self._writer.transact_all(works) if works else []
            except sqlite3.OperationalError:
                pass  # somebody else is writing: the thread waits, this loop does not
            except Exception as exc:  # noqa: BLE001  it belongs to whoever asked
                self._settle(loop, batch, exc)
                return
            else:
                self._settle(loop, batch, outcomes)
                return
        self._handed_over = True
        done = loop.run_in_executor(self._thread, lambda: self._writer.transact_all(works, patiently=True))
        done.add_done_callback(lambda future: self._settle(loop, batch, future.exception() or future.result()))

    def _settle(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Unit], outcomes: list[Outcome] | BaseException
    ) -> None:
        self._handed_over = False
        settle([unit.future for unit in batch], _told(outcomes) if isinstance(outcomes, BaseException) else outcomes)
        self._since_checkpoint += len(batch)
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            self._since_checkpoint = 0
            self._keeping.submit(self._keeper.checkpoint)
        if self._pending:
            loop.call_soon(self._gather, loop, 0)
        else:
            self._busy = False

    def listen(self, channels: Sequence[str]) -> None:
        return None

    async def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._keeping.shutdown(wait=True)
        for connection in (self._reader, self._writer, self._keeper):
            connection.close()


def _give_way() -> None:
    """Lets the event loop go first where both share a core. Only Linux has a priority for each thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _told(exc: BaseException) -> BaseException:
    """What the database could not do is told as StoreUnavailable; what a statement got wrong stays as it is."""
    wrong = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
    if isinstance(exc, sqlite3.DatabaseError) and not isinstance(exc, wrong):
        return StoreUnavailable(f"The database did not answer ({exc}). Nothing was changed; ask again.")
    return exc


def _connect(path: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_MILLISECONDS / 1000, cached_statements=512
    )
    raw.row_factory = sqlite3.Row
    try:
        _switch_to_wal(raw)
        raw.execute("PRAGMA synchronous = NORMAL")
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    except sqlite3.Error:
        raw.close()
        raise
    return raw


def _switch_to_wal(raw: sqlite3.Connection) -> None:
    """Several processes may open a new file at once, and SQLite does not wait for the lock that this change takes."""
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _create_schema(raw: sqlite3.Connection, path: Path) -> None:
    """Creates the tables once, whichever process comes first; refuses a database of another version."""
    raw.execute("BEGIN IMMEDIATE")
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        for statement in (SQLITE + SQLITE_COUNTING).split(";\n"):
            raw.execute(statement)
        raw.execute(f"PRAGMA user_version = {VERSION}")
    raw.execute("COMMIT")
    if version != 0:
        ensure_current(str(path), version)


def connection_of(raw: sqlite3.Connection) -> Connection:
    """For units of work in a transaction that the caller begins and ends."""
    return _SQLiteConnection(raw)


def open_sqlite(path: Path) -> SQLiteStore:
    """Opens or creates the database; raises OperatorError where that cannot be done."""
    try:
        with ExitStack() as opened:
            writer = opened.enter_context(closing(_connect(path)))
            _create_schema(writer, path)
            reader = opened.enter_context(closing(_connect(path)))
            keeper = opened.enter_context(closing(_connect(path)))
            writer.execute("PRAGMA busy_timeout = 0")
            # A checkpoint waits for the disk; the keeper makes it, in a thread of its own.
            writer.execute("PRAGMA wal_autocheckpoint = 0")
            opened.pop_all()
            return SQLiteStore(reader, writer, keeper)
    except sqlite3.Error as exc:
        raise OperatorError(
            f"cannot open the database {path}: {exc}; is the directory writable and the file a leakdrill database?"
        ) from exc
