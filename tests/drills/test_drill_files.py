"""What a drill writes: JUnit that fits its schema whatever names it bears, and a journal that outlives a full disk."""

import gzip
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import xmlschema

from drills.errors import JournalError
from drills.journal import load_journal
from drills.junit import Case, junit
from drills.keeping import OutUnusable, keep, make_room
from drills.report import render_all, render_junit

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
SCHEMA = xmlschema.XMLSchema(HERE / "junit.xsd")
NAMES = ["plain", "<b>&\"']]>", "\x00\x1b[31m\x7f\ufffe", "\ud800", "line\nbreak\ttab", "日本語 🎬", "x" * 5000]


def test_the_reports_of_a_drill_fit_the_schema() -> None:
    SCHEMA.validate(render_junit(load_journal(GOLDEN / "journal.json")))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_fit_the_schema(name: str) -> None:
    cases = [Case(name, name, state, name) for state in ("passed", "failure", "error", "skipped")]
    text = junit(name, cases, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 1.5)
    SCHEMA.validate(text.encode())
    assert text.encode().count(b"<testcase") == 4


def test_the_schema_refuses_what_no_build_server_reads() -> None:
    text = render_junit(load_journal(GOLDEN / "journal.json"))
    for old, new in (("tests=", "test="), ("<failure ", "<failed "), ('time="0"', 'time="soon"')):
        assert old in text
        assert not SCHEMA.is_valid(text.replace(old, new))


def render_nothing(path: Path, out: Path) -> dict[str, Path]:
    return {}


def test_a_journal_that_does_not_fit_is_kept_compressed_and_read_again(tmp_path: Path) -> None:
    plain, packed = (GOLDEN / "journal.json").read_bytes(), gzip.compress((GOLDEN / "journal.json").read_bytes())
    limit = (len(plain) + len(packed)) // 2
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom drills.journal import load_journal\n"
        "from drills.keeping import keep\n"
        f"journal = load_journal(Path({str(GOLDEN / 'journal.json')!r}))\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        f"kept = keep(journal, Path({str(tmp_path)!r}), lambda path, out: {{}})\n"
        "print(kept.error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "journal.json could not be written" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["journal.json.gz"]
    assert load_journal(tmp_path / "journal.json.gz") == load_journal(GOLDEN / "journal.json")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


def test_reports_that_cannot_be_written_leave_the_journal(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    (tmp_path / "report.html" / "in-the-way").touch()
    kept = keep(load_journal(GOLDEN / "journal.json"), tmp_path, render_all)
    assert list(kept.paths) == ["journal.json"]
    assert "leakdrill drill report" in str(kept.error)
    assert load_journal(tmp_path / "journal.json").seed == 7


def test_a_place_that_takes_nothing_is_told_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutUnusable, match="reports cannot be written there") as caught:
        make_room(tmp_path / "file" / "out")
    assert caught.value.exit_code == 2
    make_room(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", [b"\x1f\x8bnot gzip", gzip.compress(b"{}", mtime=0)[:-3], b"\xff\xfe"])
def test_a_journal_that_is_broken_is_told(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "journal.json.gz"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.json\.gz: "):
        load_journal(path)
