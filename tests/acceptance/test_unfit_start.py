"""A worker or gateway whose surroundings do not fit says so in one line, ends with 2, and claims nothing."""

import asyncio
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import OperatorError
from gateway.store import open_sqlite, open_store, postgres
from gateway.store.workers import PROTOCOL
from live import leakdrill
from postgres import connected


def start(part: str, data: Path, **environment: str) -> str:
    """What it says as it ends."""
    port = ("--port", "1") if part == "gateway" else ()
    ended = leakdrill(part, *port, cwd=data.parent, LEAKDRILL_DATA=str(data), within=60, **environment)
    assert ended.returncode == 2, (ended.returncode, ended.stdout, ended.stderr)
    assert ended.stderr.startswith("leakdrill: "), ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


@pytest.fixture
def waiting(tmp_path: Path) -> Any:
    """A data directory with a job in line; `waiting.sql(…)` runs SQL in its database."""

    class Waiting:
        data = tmp_path / "data"
        database = f"sqlite:///{data / 'leakdrill.db'}"

        def sql(self, text: str) -> list[Any]:
            session = sqlite3.connect(self.data / "leakdrill.db")
            with session:
                found = session.execute(text).fetchall()
            session.close()
            return found

        def untouched(self) -> bool:
            return self.sql("SELECT status, attempt FROM jobs") == [("queued", 0)]

    made = Waiting()
    (made.data / "media").mkdir(parents=True)
    asyncio.run(open_sqlite(made.data / "leakdrill.db").close())
    made.sql("PRAGMA foreign_keys = OFF")
    request = json.dumps({"prompt": "rain"})
    made.sql(
        "INSERT INTO jobs (id, accessor, status, request, created_at) "
        f"VALUES ('video_1', 'tok_1', 'queued', '{request}', 0)"
    )
    return made


@pytest.mark.parametrize("part", ["worker", "gateway"])
def test_another_version_beside_it(waiting: Any, part: str) -> None:
    now = time.time()
    waiting.sql(
        "INSERT INTO workers (name, host, pid, slots, started_at, heartbeat_at, protocol, version) "
        f"VALUES ('old-1', 'h', 1, 1, {now}, {now + 50}, {PROTOCOL + 1}, '9.9')"
    )
    said = start(part, waiting.data)
    assert f"worker old-1 runs leakdrill 9.9 with protocol {PROTOCOL + 1}" in said
    assert waiting.untouched()


def test_a_worker_with_a_media_directory_that_is_not_the_gateways(waiting: Any, tmp_path: Path) -> None:
    waiting.sql("INSERT INTO deployment (id, name) VALUES (1, 'abc')")
    elsewhere = tmp_path / "elsewhere"
    said = start("worker", elsewhere, LEAKDRILL_DATABASE_URL=waiting.database)
    assert "is not the media directory of this database: the gateways use another" in said
    (elsewhere / "media" / ".database").write_text("def\n")
    assert "it is another database's" in start("worker", elsewhere, LEAKDRILL_DATABASE_URL=waiting.database)
    assert waiting.untouched()


def test_a_worker_without_a_media_directory(waiting: Any) -> None:
    (waiting.data / "media").rmdir()
    (waiting.data / "media").write_text("")
    assert "cannot create" in start("worker", waiting.data)
    assert waiting.untouched()


def test_a_worker_that_may_not_write_its_clips(waiting: Any) -> None:
    media = waiting.data / "media"
    if os.geteuid() == 0:  # who may write everywhere, but not here
        media.rmdir()
        media.symlink_to("/proc")
    else:
        media.chmod(0o500)
    try:
        assert "cannot write in" in start("worker", waiting.data)
    finally:
        if not media.is_symlink():
            media.chmod(0o700)
    assert waiting.untouched()


def test_a_wrong_database(tmp_path: Path) -> None:
    said = start("worker", tmp_path / "data", LEAKDRILL_DATABASE_URL="mysql://h/d")
    assert "LEAKDRILL_DATABASE_URL: must start with sqlite:/// or postgresql://" in said
    said = start("worker", tmp_path / "data", LEAKDRILL_DATABASE_URL="postgresql://u:geheim@127.0.0.1:1/d")
    assert "cannot open the database of LEAKDRILL_DATABASE_URL" in said
    assert "geheim" not in said


def test_an_older_server(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST", 99)
    with pytest.raises(OperatorError, match=r"is PostgreSQL \d+ .*leakdrill needs 99 or newer"):
        open_store(postgres_database)


def test_a_lost_engine(tmp_path: Path, postgres_database: str) -> None:
    with connected(postgres_database) as database:
        database.execute("DROP TABLE procrastinate_jobs CASCADE")
    said = start("worker", tmp_path / "data", LEAKDRILL_DATABASE_URL=postgres_database)
    assert "lacks tables or functions of Procrastinate" in said
