"""`leakdrill doctor`, and what commands say that need an extra which is not installed."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import sys
from pathlib import Path

import pytest

from gateway import extras
from gateway.cli import main
from gateway.commands.checks import Finding, clock, findings
from gateway.errors import OperatorError
from gateway.settings import Settings
from gateway.store import open_sqlite, open_store
from gateway.store.looking import ensure_wal, look
from gateway.store.schema import VERSION
from gateway.supervisor import free_port
from leakdrill_pytest import Gateway
from live import leakdrill as run

NOW = 1_732_627_800.0 + 365 * 86_400


def found(data: Path, **settings: object) -> dict[str, Finding]:
    own = Settings.model_validate({"data": data, "port": free_port(), "page_port": free_port(), **settings})
    return {one.name: one for one in findings(own)}


def missing(found: dict[str, Finding]) -> set[str]:
    return {name for name, one in found.items() if one.standing == "missing"}


def test_a_machine_that_has_everything_is_told_so_and_left_as_it_was(tmp_path: Path) -> None:
    looked = found(tmp_path / "new" / "data")
    assert missing(looked) == set()
    assert list(tmp_path.iterdir()) == []
    assert "encodes H.264" in looked["ffmpeg"].found
    assert "is made at the first start" in looked["data directory"].found
    assert "the first start makes the tables" in looked["database"].found
    assert {name for name in looked if name.startswith("extra ")} == {f"extra {name}" for name in extras.EXTRAS}
    assert all(one.todo for one in looked.values() if one.standing != "good")


def test_the_command_ends_with_0_or_1_and_speaks_json(tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--page-port", str(free_port()))
    good = run("doctor", *ports, cwd=tmp_path)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.endswith("leakdrill can start here.\n")
    assert list(tmp_path.iterdir()) == []

    broken = run("doctor", "--json", *ports, cwd=tmp_path, IMAGEIO_FFMPEG_EXE="/bin/false")
    assert broken.returncode == 1, broken.stdout + broken.stderr
    told = json.loads(broken.stdout)
    assert told["ok"] is False
    (ffmpeg,) = [one for one in told["findings"] if one["standing"] == "missing"]
    assert ffmpeg["name"] == "ffmpeg"
    assert "IMAGEIO_FFMPEG_EXE" in ffmpeg["todo"]

    refused = run("doctor", cwd=tmp_path, LEAKDRILL_PORT="none")
    assert refused.returncode == 2
    assert refused.stderr.startswith("leakdrill: LEAKDRILL_PORT")


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    looked = found(tmp_path / "file" / "data")
    assert {"data directory", "SQLite"} <= missing(looked)
    assert "set LEAKDRILL_DATA" in looked["data directory"].todo
    with pytest.raises(OperatorError, match="write-ahead log does not work in"):
        ensure_wal(tmp_path / "file")


def test_a_port_that_somebody_has_is_missing_unless_it_is_a_gateway(tmp_path: Path, leakdrill: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        looked = found(tmp_path / "data", page_port=port)
        assert missing(looked) == {"page port"}
        assert "--page-port" in looked["page port"].todo
    ours = found(tmp_path / "data", port=int(leakdrill.url.rpartition(":")[2]))
    assert ours["gateway port"].found == f"a gateway answers at {leakdrill.url}"


def test_the_data_of_a_gateway_that_runs_are_good(leakdrill: Gateway) -> None:
    looked = found(leakdrill.data)
    assert missing(looked) == set()
    assert looked["database"].found == f"SQLite {sqlite3.sqlite_version}, schema {VERSION}"
    assert "0 clips" in looked["media"].found


def test_a_database_of_another_version_and_a_file_that_is_none(tmp_path: Path) -> None:
    database = tmp_path / "leakdrill.db"
    asyncio.run(open_sqlite(database).close())

    def of_version(number: int) -> Finding:
        session = sqlite3.connect(database)
        session.execute(f"PRAGMA user_version = {number}")
        session.close()
        return found(tmp_path)["database"]

    newer, older, oldest = of_version(VERSION + 1), of_version(VERSION - 1), of_version(1)
    assert (newer.standing, older.standing, oldest.standing) == ("missing", "note", "missing")
    assert "which a newer leakdrill made" in newer.found
    assert "leakdrill database migrate" in older.todo
    assert look(database).schema == 1

    database.write_bytes(b"these are no tables, " * 100)
    looked = found(tmp_path)
    assert missing(looked) == {"database"}
    assert f"cannot read {database}" in looked["database"].found


def test_media_that_belong_to_another_database_are_named(tmp_path: Path) -> None:
    asyncio.run(open_sqlite(tmp_path / "leakdrill.db").close())
    session = sqlite3.connect(tmp_path / "leakdrill.db")
    with session:
        session.execute("INSERT INTO deployment (id, name) VALUES (1, 'ours')")
    session.close()
    assert missing(found(tmp_path)) == {"media"}
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / ".database").write_text("theirs\n")
    assert missing(found(tmp_path)) == {"media"}
    (tmp_path / "media" / ".database").write_text("ours\n")
    assert missing(found(tmp_path)) == set()


def test_a_server_is_looked_at_and_not_changed(postgres_database: str, tmp_path: Path) -> None:
    looked = found(tmp_path, database_url=postgres_database)
    assert missing(looked) <= {"media"}
    assert looked["database"].found.startswith("PostgreSQL ")
    opened = open_store(postgres_database)
    asyncio.run(opened.close())
    assert look(postgres_database).schema == VERSION
    away = found(tmp_path, database_url="postgresql://me:secret@127.0.0.1:1/none")
    assert missing(away) == {"database"}
    assert "secret" not in away["database"].found


def test_a_clock_that_cannot_be_right_is_missing() -> None:
    assert clock(None, NOW).standing == "good"
    assert clock(NOW + 30, NOW).standing == "good"
    behind = clock(NOW + 3600, NOW)
    assert behind.standing == "missing"
    assert "3600 s before the database's newest event" in behind.found
    assert clock(None, 0.0).standing == clock(None, 5e9).standing == "missing"


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends with 2, which is one line."""
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("words", [["page"], ["demo"], ["up", "--page"]])
def test_without_the_page_what_needs_it_says_how_to_get_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    said = told(words, capsys)
    assert 'needs gradio, which is not installed; install it with: pip install "leakdrill[page]"' in said


def test_without_an_extra_the_doctor_names_it_and_minds_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for modules in extras.EXTRAS.values():
        for module in modules:
            monkeypatch.setitem(sys.modules, module, None)
    looked = found(tmp_path / "data")
    assert missing(looked) == set()
    for extra in extras.EXTRAS:
        one = looked[f"extra {extra}"]
        assert (one.standing, one.todo) == ("note", f'pip install "leakdrill[{extra}]"')
    assert "page port" not in looked
    asked = found(tmp_path / "data", database_url="postgresql://localhost/none")
    assert missing(asked) == {"extra postgres", "database"}


def test_the_extras_are_those_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert set(extras.EXTRAS) == set(project["optional-dependencies"])
    page = (Path(__file__).parents[1] / "docs" / "install.md").read_text()
    assert {extra for extra in extras.EXTRAS if f"| `{extra}` |" not in page} == set()
