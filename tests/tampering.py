"""What a desk's database holds, and changes to it that no gateway makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import psycopg

from desk import Desk
from gateway.store import SQLiteStore
from gateway.store.dialect import statement
from gateway.store.schema import SQLITE


def raw(desk: Desk, sql: str, *, heedless: bool = False, **params: Any) -> list[tuple[Any, ...]]:
    """Runs a statement past the gateway's store; the rows it gives, as tuples. A `heedless` one minds no reference from
    one table to another, as SQLite does not anyhow."""
    place = desk.settings.database
    if isinstance(place, Path):
        with closing(sqlite3.connect(place, isolation_level=None)) as database:
            return database.execute(sql, params).fetchall()
    text, names = statement(sql)
    options = "-c session_replication_role=replica" if heedless else ""
    with psycopg.connect(place, autocommit=True, cursor_factory=psycopg.RawCursor, options=options) as server:
        done = server.execute(text.encode(), [params[name] for name in names] or None)
        return done.fetchall() if done.description else []


@contextmanager
def refusing(desk: Desk, change: str, table: str, when: str = "1 = 1", *, silently: bool = False) -> Iterator[None]:
    """Lets the database refuse INSERT or UPDATE of the rows that `when` describes: the statement fails, or, silently,
    passes them over."""
    if isinstance(desk.settings.database, Path):
        how = "RAISE(IGNORE)" if silently else "RAISE(ABORT, 'disk says no')"
        raw(desk, f"CREATE TRIGGER no BEFORE {change} ON {table} WHEN {when} BEGIN SELECT {how}; END")
        yield
        raw(desk, "DROP TRIGGER no")
        return
    how = "RETURN NULL" if silently else "RAISE integrity_constraint_violation USING MESSAGE = 'disk says no'"
    raw(desk, f"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {how}; END $$")
    raw(desk, f"CREATE TRIGGER no BEFORE {change} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION no()")
    yield
    raw(desk, "DROP FUNCTION no CASCADE")


@contextmanager
def statements(desk: Desk, *kinds: Literal["reader", "writer"]) -> Iterator[list[str]]:
    """What is asked of SQLite meanwhile, on the connections that read or write; PostgreSQL tells nobody."""
    store = desk.store
    seen: list[str] = []
    assert isinstance(store, SQLiteStore)
    connections = [{"reader": store._reader, "writer": store._writer}[kind] for kind in kinds]
    for one in connections:
        one._raw.set_trace_callback(seen.append)
    yield seen
    for one in connections:
        one._raw.set_trace_callback(None)


def everything_kept(desk: Desk) -> bytes:
    """All that the database holds: the files, or every row as text."""
    place = desk.settings.database
    if isinstance(place, Path):
        return place.read_bytes() + place.with_name(place.name + "-wal").read_bytes()
    tables = [line.split()[2] for line in SQLITE.splitlines() if line.startswith("CREATE TABLE")]
    return "".join(row for table in tables for (row,) in raw(desk, f"SELECT kept::text FROM {table} AS kept")).encode()
