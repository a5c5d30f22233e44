"""What a database is, without opening it as a store: nothing is created, locked or changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import OperatorError
from gateway.store.opening import ensure_driver
from gateway.store.protocol import Row
from gateway.store.schema import VERSION

_VERSION = "SELECT version FROM schema_version"
_NEWEST = "SELECT at FROM events ORDER BY seq DESC LIMIT 1"
_NAME = "SELECT name FROM deployment"


@dataclass(frozen=True)
class Look:
    """`server` is what keeps it, with its version. `schema` is None where there is no table of leakdrill's yet, and
    then so are the others: when its newest event was (Unix seconds), and the name by which media directories know it.
    """

    server: str
    schema: int | None
    newest: float | None = None
    name: str | None = None


def look(place: Path | str) -> Look:
    """The database as it is. Raises OperatorError where it cannot be reached or read, or its driver is missing."""
    return _file(place) if isinstance(place, Path) else _server(place)


def _file(path: Path) -> Look:
    server = f"SQLite {sqlite3.sqlite_version}"
    if not path.exists():
        return Look(server, None)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as raw:
            raw.row_factory = sqlite3.Row
            version = int(raw.execute("PRAGMA user_version").fetchone()[0])
            if version != VERSION:
                return Look(server, version or None)
            return _rest(server, version, lambda sql: raw.execute(sql).fetchone())
    except sqlite3.Error as exc:
        raise OperatorError(f"cannot read {path}: {exc}") from exc


def _server(url: str) -> Look:
    ensure_driver()
    import psycopg

    from gateway.store.postgres import ensure_usable
    from gateway.store.postgres_connection import connect, first_line

    try:
        with closing(connect(url)) as connection:
            ensure_usable(connection)
            server = f"PostgreSQL {connection.version} ({connection.encoding})"
            there = connection.fetch_one("SELECT to_regclass('schema_version') IS NOT NULL AS there")
            if there is None or not there["there"]:
                return Look(server, None)
            found = connection.fetch_one(_VERSION)
            version = int(found["version"]) if found else None
            if version != VERSION:
                return Look(server, version)
            return _rest(server, version, connection.fetch_one)
    except psycopg.Error as exc:
        raise OperatorError(f"cannot reach the database of LEAKDRILL_DATABASE_URL: {first_line(exc)}") from exc


def _rest(server: str, version: int, ask: Callable[[str], Row | None]) -> Look:
    newest, name = ask(_NEWEST), ask(_NAME)
    return Look(server, version, newest["at"] if newest else None, name["name"] if name else None)


def ensure_wal(folder: Path) -> None:
    """Raises OperatorError where SQLite's write-ahead log does not work in `folder`, as on most network file systems:
    its index is memory that processes share. Source: https://www.sqlite.org/wal.html"""
    path = folder / ".leakdrill-doctor.db"
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            mode = writer.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise OperatorError(f"SQLite's write-ahead log does not work in {folder} (it stays in mode {mode})")
            writer.execute("CREATE TABLE looked (n INTEGER)")
            writer.execute("BEGIN IMMEDIATE")
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("SELECT n FROM looked").fetchall()
            writer.execute("COMMIT")
    except sqlite3.Error as exc:
        raise OperatorError(f"SQLite's write-ahead log does not work in {folder}: {exc}") from exc
    finally:
        for left in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if left.exists():
                left.unlink()
