"""A worker or gateway whose surroundings do not fit says so in one line, ends with 2, and claims nothing."""

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import OperatorError
from gateway.store import open_sqlite, open_store, postgres
from gateway.store.workers import PROTOCOL
from live import leakdrill
from postgres import connected


def start(part: str, data: Path, port: str = "1", **environment: str) -> str:
    """What it says as it ends."""
    option = ("--port", port) if part == "gateway" and port else ()
    ended = leakdrill(part, *option, cwd=data.parent, LEAKDRILL_DATA=str(data), within=60, **environment)
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


def test_a_worker_without_ffmpeg(waiting: Any) -> None:
    said = start("worker", waiting.data, IMAGEIO_FFMPEG_EXE="/nowhere/ffmpeg")
    assert "ffmpeg could not be started" in said
    assert "IMAGEIO_FFMPEG_EXE" in said
    assert waiting.untouched()


@pytest.mark.parametrize("part", ["worker", "gateway"])
@pytest.mark.parametrize(("version", "words"), [(99, "which a newer leakdrill made"), (5, "brings along databases")])
def test_a_database_of_a_version_that_cannot_be_read(waiting: Any, part: str, version: int, words: str) -> None:
    waiting.sql(f"PRAGMA user_version = {version}")
    assert words in start(part, waiting.data)
    assert waiting.untouched()
    assert waiting.sql("PRAGMA user_version") == [(version,)]


def test_a_worker_leaves_an_older_database_to_the_gateway(waiting: Any) -> None:
    waiting.sql("PRAGMA user_version = 6")
    assert "leakdrill database migrate" in start("worker", waiting.data)
    assert waiting.untouched()


@pytest.mark.parametrize("part", ["worker", "gateway"])
def test_a_file_that_is_no_database(tmp_path: Path, part: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "leakdrill.db").write_text("these are notes, and no database at all\n" * 100)
    assert "is it a leakdrill database" in start(part, data).replace("is the directory writable and the file", "is it")


@pytest.mark.parametrize("part", ["worker", "gateway"])
def test_a_file_system_that_is_read_only(waiting: Any, tmp_path: Path, part: str) -> None:
    place = tmp_path / "read-only"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(place)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs leave to mount a file system")
    try:
        assert "set LEAKDRILL_DATA to a directory you can write" in start(part, place / "data")
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = start("gateway", tmp_path / "data", LEAKDRILL_PORT=str(port), port="")
        assert f"cannot listen on 127.0.0.1:{port}" in said
        ended = leakdrill("up", "--port", str(port), cwd=tmp_path, LEAKDRILL_DATA=str(tmp_path / "data"))
        assert (ended.returncode, "choose another port with --port" in ended.stderr) == (2, True)


@pytest.mark.parametrize("part", ["worker", "gateway"])
def test_a_server_that_answers_nothing(tmp_path: Path, part: str) -> None:
    """It takes the connection, as a machine does whose processes hang; the wait is bounded all the same."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2"
        said = start(part, tmp_path / "data", LEAKDRILL_DATABASE_URL=url)
    assert "cannot open the database of LEAKDRILL_DATABASE_URL" in said
    assert "does the server run" in said


def test_an_older_server(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST", 99)
    with pytest.raises(OperatorError, match=r"is PostgreSQL \d+ .*leakdrill needs 99 or newer"):
        open_store(postgres_database)


def test_a_lost_engine(tmp_path: Path, postgres_database: str) -> None:
    with connected(postgres_database) as database:
        database.execute("DROP TABLE procrastinate_jobs CASCADE")
    said = start("worker", tmp_path / "data", LEAKDRILL_DATABASE_URL=postgres_database)
    assert "lacks tables or functions of Procrastinate" in said
