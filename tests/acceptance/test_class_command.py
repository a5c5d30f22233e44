"""`leakdrill class` against a live gateway."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from live import Live, leakdrill, live_gateway

TOKEN = re.compile(r"ldk_[0-9A-Za-z]{36}")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("class") / "data", workers=0) as running:
        yield running


@pytest.fixture
def room(live: Live, tmp_path: Path) -> Iterator[Room]:
    yield Room(live, tmp_path)
    httpx.delete(f"{live.url}/control/class", headers={"Authorization": f"Bearer {live.supervisor.admin_token}"})


class Room:
    """A shell beside the gateway."""

    def __init__(self, live: Live, folder: Path) -> None:
        self.live = live
        self.folder = folder

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        data = str(self.live.supervisor.settings.data)
        done = leakdrill("class", *arguments, "--target", self.live.url, cwd=self.folder, LEAKDRILL_DATA=data)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def join(self, code: str, **more: str) -> dict[str, Any]:
        answer = httpx.post(f"{self.live.url}/join", json={"code": code, **more}, trust_env=False)
        joined: dict[str, Any] = answer.raise_for_status().json()
        return joined


def test_a_lesson_from_the_shell(room: Room) -> None:
    said = room.run("open", "--students", "3").stdout
    code = re.search(r"^code +(\S{4}-\S{4})$", said, re.MULTILINE)
    assert code is not None
    assert "join at  http://127.0.0.1:7860" in said
    token = room.join(code[1], name="Student 02")["token"]
    roster = room.run("roster").stdout
    assert f"code {code[1]}, 1 of 3 seats taken" in roster
    first, second, _ = roster.splitlines()[1:]
    assert "free" in first
    assert "free" not in second
    assert token not in roster
    assert "seat 2 (Student 02) is free" in room.run("reset", "2").stdout
    assert json.loads(room.run("roster", "--json").stdout)["seats"][1]["resets"] == 1
    assert httpx.get(f"{room.live.url}/v1/videos", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert "has ended" in room.run("end").stdout
    assert room.run("roster").stdout == "No class is open.\n"


def test_the_sheet_has_address_code_and_names_and_no_token(room: Room) -> None:
    names = room.folder / "names.txt"
    names.write_text("\ufeff# the class\nZoë Åström\n\n<b>Ada</b>\n", encoding="utf-8")
    opened = json.loads(room.run("open", "--names", str(names), "--json").stdout)
    sheet = room.folder / "sheet.html"
    room.run("sheet", "--out", str(sheet), "--address", "http://room.example:7860")
    html = sheet.read_text(encoding="utf-8")
    for word in (opened["code"], "http://room.example:7860", "Zoë Åström", "&lt;b&gt;Ada&lt;/b&gt;"):
        assert word in html
    assert TOKEN.search(html) is None
    assert re.findall(r"(?:src|href|@import|url\()", html) == []
    assert room.join(opened["code"], name="<b>ada</b>")["seat"] == 2


def test_a_class_on_paper_gets_its_tokens_printed_once(room: Room) -> None:
    opened = json.loads(room.run("open", "--students", "3", "--json").stdout)
    room.join(opened["code"], name="Student 01")
    sheet = room.folder / "sheet.html"
    said = room.run("sheet", "--out", str(sheet), "--tokens").stdout
    tokens = TOKEN.findall(sheet.read_text())
    assert len(tokens) == 2
    assert "2 tokens; keep it safe" in said
    assert not set(tokens) & set(TOKEN.findall(said))
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    for token in tokens:
        assert httpx.get(f"{room.live.url}/v1/videos", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert "paper" in room.run("roster").stdout
    room.run("sheet", "--out", str(sheet), "--tokens")
    assert TOKEN.findall(sheet.read_text()) == []


def test_a_sheet_that_cannot_be_written_costs_no_token(room: Room) -> None:
    room.run("open", "--students", "1")
    away = room.folder / "nowhere" / "sheet.html"
    refused = room.run("sheet", "--out", str(away), "--tokens", code=2)
    assert "cannot be written" in refused.stderr
    assert "0 of 1 seats taken" in room.run("roster").stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no names"),
        (b"Ada\nada\n", "stands twice"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a\x07b\n", "one line of characters that show"),
        (b"x\n" * 201, "names"),
    ],
)
def test_bad_names_are_told_in_one_line(room: Room, content: bytes, said: str) -> None:
    names = room.folder / "names.txt"
    names.write_bytes(content)
    refused = room.run("open", "--names", str(names), code=2)
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert room.run("roster").stdout == "No class is open.\n"


def test_the_material_is_printed_without_a_gateway(tmp_path: Path) -> None:
    done = leakdrill("class", "print", "--out", str(tmp_path / "sheets"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert {path.parent.name for path in paths} == {"students", "instructor"}
    assert all("EXERCISE" in path.read_text(encoding="utf-8") for path in paths)
    (tmp_path / "file").write_text("")
    refused = leakdrill("class", "print", "--out", str(tmp_path / "file"), cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "cannot be written" in refused.stderr


def test_the_page_beside_the_gateway_names_its_visitors(room: Room) -> None:
    code = json.loads(room.run("open", "--students", "1", "--json").stdout)["code"]

    def guess(visitor: str, code: str) -> int:
        headers = {"X-Forwarded-For": visitor}
        return httpx.post(f"{room.live.url}/join", json={"code": code}, headers=headers, trust_env=False).status_code

    answers = [guess("203.0.113.1", "CCCC-CCCC") for _ in range(40)]
    assert answers[:30] == [403] * 30
    assert 429 in answers[30:]
    assert guess("203.0.113.2", code) == 200


def test_what_cannot_be_is_told_in_one_line(room: Room) -> None:
    assert "cannot be read" in room.run("open", "--names", "missing.txt", code=2).stderr
    (room.folder / "two.txt").write_text("Ada\nGrace\n")
    assert "too few" in room.run("open", "--names", "two.txt", "--students", "1", code=2).stderr
    assert "no class is open" in room.run("sheet", code=2).stderr
    assert "No class is open" in room.run("reset", "1", code=2).stderr
    room.run("open", "--students", "1")
    assert "open already" in room.run("open", code=2).stderr
