"""A database of an earlier version is brought along with all that is in it, or refused in clear words."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from desk import START, Desk, DeskMaker
from gateway.errors import OperatorError
from gateway.settings import Settings
from gateway.store import chain, open_store
from gateway.store.engine import version as engine_version
from gateway.store.migrating import migrate, standing
from gateway.store.migrations import OLDEST, STEPS, Step
from gateway.store.schema import VERSION
from live import leakdrill
from postgres import connected

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "databases"
MADE = json.loads((FOLDER / "6-rows.json").read_text())
BYTES = {"secret_hash", "notice"}
LATER = START + 3600.0


@pytest.fixture
def old(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings that lead to a database of version 6, with tokens, jobs and events in it."""
    own = settings.model_copy(update={"secret_key": MADE["secret_key"]})
    if isinstance(own.database, Path):
        with closing(sqlite3.connect(own.database)) as raw:
            raw.executescript((FOLDER / "6-sqlite.sql").read_text())
            _fill(raw, "?")
            raw.execute("PRAGMA user_version = 6")
            raw.commit()
        yield own
        return
    with _empty(own.database) as database:
        database.execute((FOLDER / "6-postgresql.sql").read_text().encode())
        _fill(database, "%s")
        database.execute("INSERT INTO schema_version (version) VALUES (6)")
        database.execute("SELECT setval(pg_get_serial_sequence('jobs', 'seq'), (SELECT max(seq) FROM jobs))")
        database.execute("UPDATE numbered SET seq = (SELECT max(seq) FROM events)")
        from procrastinate.schema import SchemaManager

        database.execute(SchemaManager.get_schema().encode())
        database.execute("INSERT INTO engine_version (version) VALUES (%s)", [engine_version()])
    yield own


@contextmanager
def _empty(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to that database, from which every table was taken. It looks otherwise then, so no other test gets
    it."""
    with connected(url) as database:
        database.execute("DROP SCHEMA public CASCADE")
        database.execute("CREATE SCHEMA public")
        yield database


def _fill(database: Any, mark: str) -> None:
    for table in MADE["rows"]:
        database.execute(f"DELETE FROM {table}")
    for table, rows in MADE["rows"].items():
        for row in rows:
            values = [bytes.fromhex(value) if name in BYTES else value for name, value in row.items()]
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join([mark] * len(row))
            database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)


def shape(settings: Settings) -> set[tuple[str, ...]]:
    """Every table with its columns and their types, and every index and trigger."""
    if isinstance(settings.database, Path):
        with closing(sqlite3.connect(settings.database)) as raw:
            names = raw.execute(
                "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"
            ).fetchall()
            columns = [
                ("column", table, *map(str, column[1:]))
                for kind, table, _ in names
                if kind == "table"
                for column in raw.execute(f"PRAGMA table_info({table})")
            ]
        return {*names, *columns}
    with connected(settings.database) as database:
        columns = database.execute(
            "SELECT 'column', table_name, column_name, data_type, collation_name, is_nullable, column_default "
            "FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
        indexes = database.execute("SELECT 'index', indexname, indexdef FROM pg_indexes").fetchall()
        triggers = database.execute("SELECT 'trigger', tgname FROM pg_trigger WHERE NOT tgisinternal").fetchall()
    return {*columns, *indexes, *triggers}


async def fresh_shape(settings: Settings, tmp_path: Path) -> set[tuple[str, ...]]:
    """The same of a database that is new."""
    place: Path | str = tmp_path / "fresh.db"
    if not isinstance(settings.database, Path):
        place = settings.database
        with _empty(place):
            pass
    await open_store(place).close()
    return shape(
        settings.model_copy(update={"database_url": place if isinstance(place, str) else f"sqlite:///{place}"})
    )


def test_there_is_one_step_for_each_version() -> None:
    assert [step.version for step in STEPS] == list(range(OLDEST + 1, VERSION + 1))
    assert all(step.what_for and step.sql.endswith(";\n") for step in STEPS)


async def test_everything_is_there_and_works_afterwards(old: Settings, make_desk: DeskMaker) -> None:
    anchor = chain.Anchor(MADE["rows"]["events"][-1]["seq"], MADE["rows"]["events"][-1]["hash"])
    assert [step.version for step in standing(old.database).due] == list(range(7, VERSION + 1))
    done = migrate(old.database, now=LATER)
    assert done is not None
    assert (done.before, done.after) == (6, VERSION)
    assert standing(old.database).due == ()
    assert migrate(old.database, now=LATER) is None

    desk = await make_desk(**{name: getattr(old, name) for name in ("secret_key", "database_url")})
    desk.clock.advance(3600)
    good, metered = bearer("good"), bearer("metered")
    listed = (await desk.http.get("/v1/videos", headers=good)).json()["data"]
    assert {video["status"] for video in listed} == {"completed", "queued"}
    assert (await desk.http.get("/v1/videos", headers=bearer("revoked"))).status_code == 401
    await desk.create(good)
    await works_on(desk, metered)
    kinds = [event["kind"] for event in await desk.events()]
    assert kinds.count("database.migrated") == 1
    verdict = chain.verify(old.database, anchor)
    assert verdict.broken is None
    assert verdict.events > anchor.seq


async def works_on(desk: Desk, metered: dict[str, str]) -> None:
    """The jobs that waited are rendered, a token is revoked, and the credits still add up."""
    first = await desk.finished()
    assert first.id in {row["id"] for row in MADE["rows"]["jobs"]}
    assert (await desk.revoke({"cohort": "alpha"})).json()["tokens"] == 2
    assert (await desk.http.get("/v1/videos", headers=metered)).status_code == 401
    assert await desk.claim() is None
    credits = (await desk.http.get("/control/credits", headers=desk.admin)).json()
    assert credits["balanced"] is True, credits


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {MADE['bearers'][name]}"}


async def test_the_result_is_what_a_new_database_is(old: Settings, tmp_path: Path) -> None:
    migrate(old.database, now=LATER)
    migrated = shape(old)
    fresh = await fresh_shape(old, tmp_path)
    assert len(fresh) > 100
    assert migrated == fresh


async def test_a_step_that_fails_changes_nothing(old: Settings) -> None:
    before = shape(old)
    broken = (*STEPS, Step(VERSION + 1, "goes wrong", "CREATE TABLE half (a TEXT);\nUPDATE nothing SET a = 1;\n"))
    with pytest.raises(OperatorError):
        migrate(old.database, now=LATER, steps=broken)
    assert shape(old) == before
    assert standing(old.database).version == 6
    assert chain.verify(old.database).broken is None


async def test_steps_follow_one_another_in_one_go(old: Settings) -> None:
    more = (
        *STEPS,
        Step(VERSION + 1, "a table", "CREATE TABLE later (a TEXT PRIMARY KEY, b REAL);\n"),
        Step(VERSION + 2, "a column", "ALTER TABLE later ADD COLUMN c INTEGER;\nCREATE INDEX later_c ON later (c);\n"),
    )
    done = migrate(old.database, now=LATER, steps=more)
    assert done is not None
    assert done.after == VERSION + 2
    assert ("index", "later_c") in {one[:2] for one in shape(old)}
    with pytest.raises(OperatorError, match=f"version {VERSION + 2}, which a newer leakdrill made; this one reads"):
        open_store(old.database)


async def test_of_several_at_once_one_does_it(old: Settings) -> None:
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _: migrate(old.database, now=LATER), range(3)))
    assert sorted(one is None for one in done) == [False, True, True]
    assert chain.verify(old.database).events == MADE["rows"]["events"][-1]["seq"] + 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_its_copy_a_file_is_left_as_it_is(old: Settings) -> None:
    (old.data / f"leakdrill.db.before-v{VERSION}").mkdir()
    with pytest.raises(OperatorError, match="it is as it was"):
        migrate(old.database, now=LATER)
    assert standing(old.database).version == 6
    assert not list(old.data.glob(".leakdrill.db*"))


async def test_a_database_in_use_is_left_alone(old: Settings) -> None:
    with pytest.raises(OperatorError, match="is in use by gateway r1 at"):
        migrate(old.database, now=MADE["rows"]["replicas"][0]["seen_at"] + 1)
    assert standing(old.database).version == 6


async def test_until_then_nothing_opens_it(old: Settings) -> None:
    with pytest.raises(OperatorError, match=r"schema version 6, this leakdrill reads .*leakdrill database migrate"):
        open_store(old.database)


async def test_the_command(old: Settings, tmp_path: Path) -> None:
    told: dict[str, Any] = {"LEAKDRILL_DATA": str(old.data), "LEAKDRILL_DATABASE_URL": old.database_url}
    due = leakdrill("database", "status", "--json", cwd=tmp_path, **told)
    said = json.loads(due.stdout)
    assert (due.returncode, said["version"], said["reads"]) == (1, 6, VERSION)
    done = leakdrill("database", "migrate", cwd=tmp_path, **told)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"migrated from schema version 6 to {VERSION}" in done.stdout
    if isinstance(old.database, Path):
        kept = old.data / f"leakdrill.db.before-v{VERSION}"
        assert str(kept) in done.stdout
        assert standing(kept).version == 6
        assert chain.verify(kept).broken is None
        assert not list(old.data.glob(".leakdrill.db*"))
    assert leakdrill("database", "status", cwd=tmp_path, **told).returncode == 0


@pytest.mark.parametrize(("version", "words"), [(99, "which a newer leakdrill made"), (5, "from 6 on")])
async def test_a_version_that_cannot_be_read(old: Settings, version: int, words: str) -> None:
    set_version(old, version)
    for use in (
        lambda: standing(old.database),
        lambda: migrate(old.database, now=LATER),
        lambda: open_store(old.database),
    ):
        with pytest.raises(OperatorError, match=words):
            use()


def set_version(settings: Settings, version: int) -> None:
    if isinstance(settings.database, Path):
        with closing(sqlite3.connect(settings.database)) as raw:
            raw.execute(f"PRAGMA user_version = {version}")
    else:
        with connected(settings.database) as database:
            database.execute("UPDATE schema_version SET version = %s", [version])


async def test_a_database_that_is_to_be_made_needs_nothing(settings: Settings, tmp_path: Path) -> None:
    place = tmp_path / "none.db"
    assert (standing(place).version, standing(place).due) == (0, ())
    assert migrate(place, now=LATER) is None
    assert not place.exists()
