"""What a run has left behind, read past the gateway: rows of its database, and files."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from chaos.clients import Crowd
from chaos.history import File, History
from gateway.events import Event
from gateway.jobs.surroundings import MARKER

Place = Path | str  # a SQLite file, or the URL of a PostgreSQL database


def rows(place: Place, sql: str) -> list[tuple[Any, ...]]:
    """What a query gives; raises what the driver does where the database does not answer."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place, timeout=10)) as file:
            return file.execute(sql).fetchall()
    import psycopg

    with psycopg.connect(place, autocommit=True, connect_timeout=5) as server:
        return server.execute(sql.encode()).fetchall()


def unreachable() -> tuple[type[Exception], ...]:
    """What `rows` raises while there is no database."""
    import psycopg

    return (sqlite3.OperationalError, psycopg.OperationalError)


def events(place: Place) -> list[Event]:
    """The whole event list."""
    sql = "SELECT seq, at, replay_at, kind, actor, accessor, job, data, previous, hash FROM events ORDER BY seq"
    names = [field.name for field in fields(Event)]
    return [Event(**{**dict(zip(names, row, strict=True)), "data": json.loads(row[7])}) for row in rows(place, sql)]


def media(folder: Path) -> dict[str, File]:
    """Every file of the folder, by name, but the one that says whose folder it is."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name == MARKER:
            continue
        content = path.read_bytes()
        found[path.name] = File(len(content), hashlib.sha256(content).hexdigest())
    return found


def history(place: Place, folder: Path, accessor: str, crowd: Crowd, most: int) -> History:
    """All of it beside what the clients saw. `folder` is the media directory, `most` the attempts that a job has."""
    seen = (crowd.creates, crowd.polls, crowd.downloads)
    return History(frozenset({accessor}), most, *seen, events(place), media(folder))
