"""PostgreSQL, 15 or newer.

A unit of work runs in a thread, on a connection of its own: the driver waits for the server, and the event loop must
not wait with it. Reads share a few threads. Writes have one, and those that come at once share a commit.

Every write holds one lock of the database from its first moment to its end, so that writers follow one another as they
do on SQLite. It is the simplest thing that is right: every change appends to the event list, each line of which hashes
the one before, so two writers could not go on side by side anyhow; and a unit of work then sees a state that nobody
changes beneath it. Source: https://www.postgresql.org/docs/15/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from gateway.errors import OperatorError, StoreUnavailable
from gateway.store import events
from gateway.store.batches import Outcome, settle
from gateway.store.counting import POSTGRES_COUNTING
from gateway.store.dialect import COUNT_EVENTS, tables
from gateway.store.engine import create_engine_tables, ensure_engine_tables
from gateway.store.listening import listen
from gateway.store.migrations import ensure_current
from gateway.store.postgres_connection import LOCK, READING, PostgresConnection, connect, first_line
from gateway.store.protocol import Connection, Sight
from gateway.store.schema import SQLITE, VERSION

T = TypeVar("T")

READERS = 4  # threads, and so connections at most besides the writer's
MOST_AT_ONCE = 256  # writes in one commit
WAIT_SECONDS = 10.0  # for one of the readers' threads
SILENT_SECONDS = 40.0  # beyond what a statement may take
WATCH_SECONDS = 5.0
OLDEST = 15

# Not REPEATABLE READ: its snapshot would be from before the lock was had, and so from before the last writer's commit.
_WRITING = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK})"
# Nearly every write needs the list's end, and each question to the server is time in which all others wait.
_ALONE, _TOGETHER = f"{_WRITING}; {events.END}", f"{_WRITING}; SAVEPOINT unit; {events.END}"


@dataclass(frozen=True)
class _Unit:
    """A write that waits for its turn."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]


class PostgresStore:
    """A `Store` in a database. Any number of processes, on any number of machines, may have it open."""

    delivered = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[PostgresConnection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._pending: list[_Unit] = []
        self._writing = False  # a batch is about to run, or runs
        self._used: set[PostgresConnection] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._sight: Sight | None = None

    @property
    def sight(self) -> Sight | None:
        return self._sight

    def look_through(self, sight: Sight) -> None:
        self._sight = sight

    async def read(self, work: Callable[[Connection], T], *, snapshot: bool = True) -> T:
        loop, asked = asyncio.get_running_loop(), time.monotonic()
        self._watch_over(loop)
        future = self._readers.submit(self._read, work, snapshot)
        # Takes back what no thread has begun by then.
        impatience = loop.call_later(WAIT_SECONDS, future.cancel)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not future.cancelled() or time.monotonic() < asked + WAIT_SECONDS:
                raise
            raise StoreUnavailable("Too many wait for the database. Nothing was changed; ask again.") from None
        finally:
            impatience.cancel()

    def _read(self, work: Callable[[Connection], T], snapshot: bool) -> T:
        try:
            with self._connection() as connection:
                if not snapshot:
                    return work(connection)
                connection.command(READING)
                result = work(connection)
                connection.command("COMMIT")
                return result
        except psycopg.Error as exc:
            told = _told(exc)
            if told is exc:
                raise
            raise told from exc

    async def write(self, work: Callable[[Connection], T], *, brief: bool = False) -> T:
        loop = asyncio.get_running_loop()
        self._watch_over(loop)
        unit = _Unit(work, loop.create_future())
        self._pending.append(unit)
        if not self._writing:
            self._writing = True
            loop.call_soon(self._flush, loop)
        result: T = await unit.future
        return result

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hands over what waits; whatever comes meanwhile is the next batch."""
        waiting = [one for one in self._pending if not one.future.done()]
        batch, self._pending = waiting[:MOST_AT_ONCE], waiting[MOST_AT_ONCE:]
        if not batch:
            self._writing = False
            return
        done = loop.run_in_executor(self._writer, self._write_all, [one.work for one in batch])
        done.add_done_callback(lambda future: self._settle(loop, batch, future.exception() or future.result()))

    def _settle(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Unit], outcomes: list[Outcome] | BaseException
    ) -> None:
        settle([unit.future for unit in batch], _told(outcomes) if isinstance(outcomes, BaseException) else outcomes)
        self._flush(loop)

    def _write_all(self, works: Sequence[Callable[[Connection], Any]]) -> list[Outcome]:
        """Runs every unit in one transaction, each behind a savepoint, so that one that raises takes only itself back.

        Raises where all of it fails.
        """
        with self._connection() as connection:
            end = connection.ask(_ALONE if len(works) == 1 else _TOGETHER)
            connection.chain_end = None if end is None else events.chain_end_of(end)
            if len(works) == 1:
                outcomes: list[Outcome] = [(works[0](connection), None)]
            else:
                last = len(works) - 1
                outcomes = [_behind_savepoint(connection, work, at == last) for at, work in enumerate(works)]
            _commit(connection)
            return outcomes

    @contextmanager
    def _connection(self) -> Iterator[PostgresConnection]:
        """A connection for this thread alone; one on which a transaction is left, or that is lost, is let go."""
        connection = self._take()
        connection.sight = self._sight
        self._used.add(connection)
        try:
            yield connection
        except BaseException:
            connection.roll_back()
            raise
        finally:
            self._used.discard(connection)
            if connection.status is TransactionStatus.IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def _watch_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cuts off, for as long as the store is open, connections on which the server has been silent for too long: one
        that is frozen ends no statement, and its machine goes on confirming what is sent to it."""
        if self._watch is None:
            self._watch = loop.call_later(WATCH_SECONDS, self._look_at_connections, loop)

    def _look_at_connections(self, loop: asyncio.AbstractEventLoop) -> None:
        for connection in list(self._used):
            if connection.silent_for() > SILENT_SECONDS:
                connection.cut_off()
        self._watch = loop.call_later(WATCH_SECONDS, self._look_at_connections, loop)

    def _take(self) -> PostgresConnection:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if connection.quiet():
                return connection
            connection.close()
        return connect(self._url)

    def listen(self, channels: Sequence[str]) -> AsyncGenerator[str, None]:
        return listen(self._url, channels)

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self.let_go()

    def let_go(self) -> None:
        """Closes every connection that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def prepare(self) -> None:
        """Sees to it that the server is one that can be used, and holds the tables; raises OperatorError where not."""
        with self._connection() as connection:
            ensure_usable(connection)
            _create_schema(connection)


def _behind_savepoint(connection: PostgresConnection, work: Callable[[Connection], Any], last: bool) -> Outcome:
    """Runs it behind the savepoint that is set, and sets the next one's."""
    release = "RELEASE unit" if last else "RELEASE unit; SAVEPOINT unit"
    try:
        result = work(connection)
        # A statement that failed and was passed over would take all of the transaction with it.
        connection.command(release)
    except Exception as exc:
        if connection.lost:
            raise
        connection.command(f"ROLLBACK TO unit; {release}")
        connection.chain_end = None
        return None, _told(exc)
    return result, None


def _commit(connection: PostgresConnection) -> None:
    """Commits; raises StoreUnavailable where that did not happen, or where nobody knows."""
    try:
        done = connection.command(f"{COUNT_EVENTS}; COMMIT")
    except psycopg.Error as exc:
        if connection.lost:
            raise StoreUnavailable(
                f"The database went away before it confirmed the change ({first_line(exc)}). "
                "Look whether it was made before you ask again."
            ) from exc
        raise
    if done != "COMMIT":  # so it answers where a statement had failed
        raise StoreUnavailable("The database took the change back. Nothing was changed; ask again.")


def _told(exc: BaseException) -> BaseException:
    """What the database could not do is told as StoreUnavailable; a broken constraint stays as it is, and so does what
    never reached the server."""
    if not isinstance(exc, psycopg.Error) or isinstance(exc, psycopg.IntegrityError):
        return exc
    if isinstance(exc, (psycopg.ProgrammingError, psycopg.DataError)) and exc.sqlstate is None:
        return exc
    return StoreUnavailable(f"The database did not answer ({first_line(exc)}). Nothing was changed; ask again.")


def ensure_usable(connection: PostgresConnection) -> None:
    """Raises OperatorError where the server is too old, or the database would lose characters."""
    if connection.version < OLDEST or connection.encoding != "UTF8":
        raise OperatorError(
            f"{connection.where} is PostgreSQL {connection.version} with the encoding {connection.encoding}; "
            f"leakdrill needs {OLDEST} or newer, and a database made with ENCODING 'UTF8'"
        )


def _create_schema(connection: PostgresConnection) -> None:
    """Creates the tables once, whichever process comes first; refuses a database of another version."""
    connection.command(_WRITING)
    version = version_of(connection)
    if not version:
        connection.command(tables(SQLITE) + POSTGRES_COUNTING)
        connection.execute("INSERT INTO schema_version (version) VALUES (:version)", {"version": VERSION})
        create_engine_tables(connection)
    _commit(connection)
    ensure_current(connection.where, version or VERSION)
    ensure_engine_tables(connection)


def version_of(connection: PostgresConnection) -> int:
    """Its schema's version; 0 where it has no tables."""
    row = connection.fetch_one("SELECT to_regclass('schema_version') IS NOT NULL AS there")
    if row is None or not row["there"]:
        return 0
    found = connection.fetch_one("SELECT version FROM schema_version")
    return int(found["version"]) if found else 0


@contextmanager
def _alone(url: str) -> Iterator[PostgresConnection]:
    """A connection for one command; raises OperatorError where the database does not do what it is asked."""
    try:
        with closing(connect(url)) as connection:
            yield connection
    except psycopg.Error as exc:
        raise OperatorError(
            f"cannot use the database of LEAKDRILL_DATABASE_URL: {first_line(exc)}; nothing was changed"
        ) from exc


def schema_version(url: str) -> tuple[str, int]:
    """What the database is called, and its schema's version, 0 where it has no tables; raises OperatorError."""
    with _alone(url) as connection:
        return connection.where, version_of(connection)


@contextmanager
def as_only_writer(url: str) -> Iterator[PostgresConnection]:
    """A connection on which no time is set, in a transaction that no other writer's goes beside; committed at the end.
    Raises OperatorError where the database does not do what it is asked."""
    with _alone(url) as connection:
        connection.command("SET statement_timeout = 0")
        connection.command(_WRITING)
        yield connection
        _commit(connection)


def open_postgres(url: str) -> PostgresStore:
    """Opens the database and creates its tables; raises OperatorError where that cannot be done."""
    store = PostgresStore(url)
    try:
        store.prepare()
    except (psycopg.Error, StoreUnavailable) as exc:
        store.let_go()
        raise OperatorError(
            f"cannot open the database of LEAKDRILL_DATABASE_URL: {first_line(exc)}; "
            "does the server run, does the database exist, and may this user create tables in it?"
        ) from exc
    except OperatorError:
        store.let_go()
        raise
    return store
