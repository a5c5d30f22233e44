"""Brings a database to this version's schema, with all that is in it, or leaves it as it was.

The lock that every writer takes is held from the look at the version to the commit, so of several that start at once
one does it. Nothing else may run on the database meanwhile: another version would read rows that it does not know.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import OperatorError
from gateway.events import EventKind
from gateway.store import events, replicas, workers
from gateway.store.migrations import STEPS, Step, steps_from
from gateway.store.opening import ensure_driver
from gateway.store.protocol import Connection
from gateway.store.sqlite import connection_of

SILENCE_SECONDS = 6.0  # after which a gateway or worker counts as gone


@dataclass(frozen=True)
class Standing:
    """A database: what it is called, its schema's version (0 where it has no tables yet), and what is left to do."""

    where: str
    version: int
    due: tuple[Step, ...]


@dataclass(frozen=True)
class Migrated:
    """From which version to which, and the copy of a SQLite file as it was before."""

    before: int
    after: int
    copy: Path | None


def standing(place: Path | str) -> Standing:
    """How a database stands; it is not changed. Raises OperatorError where it cannot be read, or is of a version that
    this leakdrill cannot bring along."""
    if isinstance(place, Path):
        where, version = str(place), _version_of_file(place)
    else:
        ensure_driver()
        from gateway.store.postgres import schema_version

        where, version = schema_version(place)
    return Standing(where, version, tuple(steps_from(where, version)) if version else ())


def migrate(place: Path | str, *, now: float, steps: Sequence[Step] = STEPS) -> Migrated | None:
    """Runs the steps that are due, all or none; None where there is nothing to do. `now` is wall time, Unix seconds.

    Raises OperatorError where something still runs on the database, or a step fails: then nothing was changed.
    """
    if isinstance(place, Path):
        return _migrate_file(place, now, steps) if _version_of_file(place) else None
    ensure_driver()
    from gateway.store.dialect import changes
    from gateway.store.postgres import as_only_writer, version_of

    with as_only_writer(place) as connection:
        version = version_of(connection)
        if not version:
            return None

        def run(sql: str) -> None:
            connection.command(changes(sql))

        done = _run_steps(connection, connection.where, version, run, now, steps)
        if done is not None:
            connection.execute("UPDATE schema_version SET version = :version", {"version": done.after})
        return done


def _run_steps(
    tx: Connection, where: str, version: int, run: Callable[[str], None], now: float, steps: Sequence[Step]
) -> Migrated | None:
    """Within the caller's transaction."""
    due = steps_from(where, version, steps)
    if not due:
        return None
    _ensure_idle(tx, where, now)
    for step in due:
        run(step.sql)
    data = {"from": version, "to": due[-1].version}
    events.append(tx, EventKind.DATABASE_MIGRATED, at=now, actor="leakdrill", data=data)
    return Migrated(version, due[-1].version, None)


def _ensure_idle(tx: Connection, where: str, now: float) -> None:
    since = now - SILENCE_SECONDS
    alive = [f"worker {one.name}" for one in workers.alive(tx, since)]
    alive += [f"gateway {one.name} at {one.url}" for one in replicas.everything(tx) if one.seen_at >= since]
    if alive:
        raise OperatorError(
            f"{where} is in use by {', '.join(alive)}; stop every gateway and worker, wait {SILENCE_SECONDS:.0f} s, "
            "and try again"
        )


def _version_of_file(path: Path) -> int:
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as raw:
            version: int = raw.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as exc:
        raise OperatorError(f"cannot read {path}: {exc}; is it a leakdrill database?") from exc
    return version


def _migrate_file(path: Path, now: float, steps: Sequence[Step]) -> Migrated | None:
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as raw:
            raw.row_factory = sqlite3.Row
            raw.execute("PRAGMA foreign_keys = OFF")  # a step may put a table in another's place
            raw.execute("BEGIN IMMEDIATE")
            try:
                return _within(raw, path, now, steps)
            except BaseException:
                raw.execute("ROLLBACK")
                raise
    except (sqlite3.Error, OSError) as exc:
        raise OperatorError(f"cannot bring {path} to this version: {exc}; it is as it was") from exc


def _within(raw: sqlite3.Connection, path: Path, now: float, steps: Sequence[Step]) -> Migrated | None:
    """Between BEGIN and whatever end; commits where something was done."""
    version: int = raw.execute("PRAGMA user_version").fetchone()[0]
    due = steps_from(str(path), version, steps)
    if not due:
        raw.execute("ROLLBACK")
        return None
    tx = connection_of(raw)
    _ensure_idle(tx, str(path), now)
    copy = _copied(path, due[-1].version)

    def run(sql: str) -> None:
        for statement in sql.split(";\n"):
            raw.execute(statement)

    done = _run_steps(tx, str(path), version, run, now, steps)
    stray = raw.execute("PRAGMA foreign_key_check").fetchone()
    if stray is not None:
        raise OperatorError(
            f"a row of {stray[0]} in {path} would refer to one of {stray[2]} that is not there; the file is as it was"
        )
    raw.execute(f"PRAGMA user_version = {due[-1].version}")
    raw.execute("COMMIT")
    return None if done is None else Migrated(done.before, done.after, copy)


def _copied(path: Path, version: int) -> Path:
    """A copy of the file as it was committed last, beside it; its name tells before what it was made."""
    copy = path.with_name(f"{path.name}.before-v{version}")
    copy_file(path, copy)
    return copy


def copy_file(path: Path, copy: Path) -> None:
    """Copies a SQLite database that may be in use, as it was committed last, into one file without a log beside it."""
    fresh = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(fresh)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        shutil.copymode(path, fresh)
        fresh.replace(copy)
    finally:
        fresh.unlink(missing_ok=True)
