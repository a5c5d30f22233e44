"""One connection to PostgreSQL: how it is made, what runs on it, and what rows it gives."""

from __future__ import annotations

import itertools
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Cursor, RawCursor
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper

from gateway.errors import OperatorError
from gateway.store.dialect import NUL_STANDS_AS, nul_free, statement, with_nul
from gateway.store.protocol import ChainEnd, Params, Row, Sight

_NUMBERS = itertools.count(1)

LOCK = 0x6C65616B6472696C  # any number that others of the database do not lock: "leakdril" in ASCII

# A server that is gone, or a network that swallows everything, is noticed within these. What the URL says goes before.
_REACHING: Mapping[str, str] = {
    "application_name": "leakdrill",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
# Milliseconds. A writer that sleeps amid its transaction is cut off before those that wait for it give up. A short
# query gains nothing from being compiled.
_SESSION = (
    "SET statement_timeout = 30000; SET lock_timeout = 30000; SET idle_in_transaction_session_timeout = 20000; "
    "SET jit = off; SET client_min_messages = warning"
)


class PostgresRow:
    """One row: values by name or place, and in the order of the columns."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: dict[str, int], values: Sequence[Any]) -> None:
        self._places = places
        self._values = values

    def __getitem__(self, name: str | int, /) -> Any:
        return self._values[name if isinstance(name, int) else self._places[name]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> list[str]:
        """The columns' names."""
        return list(self._places)


class PostgresConnection:
    """A `Connection` over psycopg's, whose transactions begin and end by command."""

    delivered = True

    def __init__(self, raw: psycopg.Connection[PostgresRow]) -> None:
        self._raw = raw
        self._cursor = raw.cursor()
        self._asked_at: float | None = None
        self._ending = threading.Lock()
        self.sight: Sight | None = None
        self.chain_end: ChainEnd | None = None

    def execute(self, sql: str, params: Params | None = None) -> int:
        return self._run(sql, params).rowcount

    def insert(self, sql: str, params: Params | None = None) -> int:
        row = self.fetch_one(f"{sql} RETURNING seq", params)
        if row is None:
            raise LookupError(f"no row was added by {sql}")
        number: int = row["seq"]
        return number

    def fetch_one(self, sql: str, params: Params | None = None) -> Row | None:
        return self._run(sql, params).fetchone()

    def fetch_all(self, sql: str, params: Params | None = None) -> list[Row]:
        return list(self._run(sql, params).fetchall())

    def stream(self, sql: str, params: Params) -> Iterator[Row]:
        """All rows, some hundreds at a time; inside of a transaction, and beside others."""
        text, names = statement(sql)
        with psycopg.RawServerCursor(self._raw, f"stream_{next(_NUMBERS)}") as cursor:
            cursor.itersize = 500
            yield from cursor.execute(text.encode(), [params[name] for name in names] or None)

    def _run(self, sql: str, params: Params | None) -> Cursor[PostgresRow]:
        text, names = statement(sql)
        given = [(params or {})[name] for name in names] or None
        self._asked_at = time.monotonic()
        try:
            return self._cursor.execute(text.encode(), given)
        finally:
            self._asked_at = None

    def command(self, sql: str) -> str:
        """Runs commands without parameters; what the server says of the last: `COMMIT`, say."""
        self._asked_at = time.monotonic()
        try:
            self._cursor.execute(sql.encode(), prepare=False)
            while self._cursor.nextset():
                pass
        finally:
            self._asked_at = None
        return self._cursor.statusmessage or ""

    def ask(self, sql: str) -> Row | None:
        """Runs commands of which the last is a query; its first row."""
        self.command(sql)
        return self._cursor.fetchone()

    def silent_for(self) -> float:
        """Seconds since the server was asked what it has not answered yet."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    def cut_off(self) -> None:
        """Lets whoever waits for the server, in another thread, find the connection lost."""
        with self._ending:
            if not self._raw.closed:
                with socket.socket(fileno=os.dup(self._raw.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)

    def roll_back(self) -> None:
        """Takes back what is open, as far as the server can be told."""
        if self.status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            try:
                self.command("ROLLBACK")
            except psycopg.Error:
                self.close()  # then the server does it

    @property
    def status(self) -> TransactionStatus:
        """Whether a transaction is open; UNKNOWN where the connection is lost."""
        return self._raw.info.transaction_status

    @property
    def lost(self) -> bool:
        """Whether the server is no longer at the other end."""
        return self._raw.closed or self.status is TransactionStatus.UNKNOWN

    def quiet(self) -> bool:
        """Whether nothing has come since it was used: a server that goes away says so, or closes."""
        if self._raw.closed:
            return False
        watch = select.poll()
        watch.register(self._raw.pgconn.socket, select.POLLIN)
        return not watch.poll(0)

    @property
    def version(self) -> int:
        """The server's major version."""
        return self._raw.info.server_version // 10_000

    @property
    def encoding(self) -> str:
        """How the database keeps texts."""
        return self._raw.info.parameter_status("server_encoding") or ""

    @property
    def where(self) -> str:
        """Which database this is, to be shown."""
        info = self._raw.info
        return f"the database {info.dbname} at {info.host}:{info.port}"

    def close(self) -> None:
        with self._ending:
            self._raw.close()


class _TextDumper(Dumper):
    """Texts are texts: a parameter without a type is one that PostgreSQL may take for something else."""

    oid = psycopg.adapters.types["text"].oid

    def dump(self, obj: str) -> bytes:
        return nul_free(obj).encode() if "\0" in obj else obj.encode()


class _TextLoader(Loader):
    def load(self, data: Buffer) -> str:
        text = str(data, "utf-8")
        return with_nul(text) if NUL_STANDS_AS in text else text


class _SumLoader(Loader):
    """What adds up integers is a `numeric` there, and an integer on SQLite."""

    def load(self, data: Buffer) -> int | float:
        text = str(data, "ascii")
        return float(text) if "." in text else int(text)


class _TruthDumper(Int8Dumper):
    """As on SQLite: 1 or 0."""

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


def _rows(cursor: Any) -> Any:
    """psycopg's row factory."""
    result = cursor.pgresult
    names = [] if result is None else [(result.fname(place) or b"").decode() for place in range(result.nfields)]
    places = {name: place for place, name in enumerate(names)}
    return lambda values: PostgresRow(places, values)


def reached(url: str) -> str:
    """How to connect: what the URL says, and for the rest what suits us."""
    return make_conninfo("", **{**_REACHING, **conninfo_to_dict(url), "client_encoding": "UTF8"})


def connect(url: str) -> PostgresConnection:
    """A new connection; raises psycopg.OperationalError where there is none to be had within seconds."""
    raw = psycopg.connect(
        reached(url),
        autocommit=True,
        row_factory=_rows,
        cursor_factory=RawCursor,
    )
    try:
        raw.adapters.register_dumper(str, _TextDumper)
        raw.adapters.register_dumper(int, Int8Dumper)
        raw.adapters.register_dumper(bool, _TruthDumper)
        raw.adapters.register_loader("text", _TextLoader)
        raw.adapters.register_loader("numeric", _SumLoader)
        connection = PostgresConnection(raw)
        connection.command(_SESSION)
    except BaseException:
        raw.close()
        raise
    return connection


def first_line(exc: BaseException) -> str:
    """The error's first line: the rest is hints and addresses."""
    return str(exc).strip().split("\n", 1)[0]


READING = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@contextmanager
def reading(url: str) -> Iterator[Callable[[str, Params], Iterator[Row]]]:
    """Runs long queries on one snapshot, outside of any store; raises OperatorError where that cannot be done."""
    try:
        connection = connect(url)
        try:
            connection.command("SET statement_timeout = 0")
            connection.command(READING)
            yield connection.stream
        finally:
            connection.close()
    except psycopg.Error as exc:
        raise OperatorError(f"cannot read the event list: {first_line(exc)}") from exc
