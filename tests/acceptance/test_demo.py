"""The main job from one command: everything up, the morning replayed, the report written."""

import csv
import json
from pathlib import Path

import pytest

from gateway.supervisor import free_port
from live import leakdrill


@pytest.mark.parametrize("number", ["0", "201", "many"])
def test_a_class_that_cannot_be_is_told_before_anything_is_started(tmp_path: Path, number: str) -> None:
    done = leakdrill("demo", "--class", number, cwd=tmp_path)
    assert done.returncode == 2
    assert "--class" in done.stderr
    assert ("1<=x<=200" in done.stderr) or ("not a valid integer" in done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_replays_november_2024_with_a_class_and_is_contained(tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--page-port", str(free_port()))
    done = leakdrill("demo", "--speed", "600", "--exit", "--class", "4", *ports, cwd=tmp_path, within=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: contained" in done.stdout
    (out,) = (tmp_path / ".leakdrill" / "reports").iterdir()
    names = {"journal.json", "report.html", "report.md", "junit.xml", "timeline.csv"}
    assert {path.name for path in out.iterdir()} == names | {"class.json"}
    for name in names | {"class.json"}:
        assert str(out / name) in done.stdout
    report = (out / "report.md").read_text()
    lines = {
        row["id"] for row in csv.DictReader((out / "timeline.csv").read_text().splitlines()) if row["kind"] != "action"
    }
    for number in range(1, 10):
        assert f"| m{number} (" in report
        assert f"m{number}" in lines
    asked = json.loads((out / "journal.json").read_text())["exchanges"]
    fired = [one["path"] for one in asked if one["who"] == "inject" and one["method"] == "PUT" and one["status"] == 200]
    assert fired == [*(f"/control/injects/m{number}" for number in range(1, 10)), "/control/broadcast"]
    assert_the_class_was_there_and_cut_off(out, done.stdout)
    # Afterwards nothing of it runs on, and the leaked tokens are nowhere but in the file that the page reads.
    leaked = (tmp_path / ".leakdrill" / "demo" / "page.tokens").read_text().split()
    assert len(leaked) == 12
    for path in out.iterdir():
        text = path.read_text()
        assert [token for token in leaked if token in text] == []


def assert_the_class_was_there_and_cut_off(out: Path, said: str) -> None:
    """Every student joined, made clips, was cut off with everybody else, and found no way back in."""
    record = json.loads((out / "class.json").read_text())
    journal = json.loads((out / "journal.json").read_text())
    assert (record["students"], record["joined"], record["late_accepts"], record["failures"]) == (4, 4, [], [])
    assert record["clips"] > 0
    (cut,) = record["cuts"]
    assert cut["revocation"] == journal["revoke"]["id"]
    assert journal["revoke"]["tokens"] >= 12 + 3 + 4
    for student in record["each"]:
        assert student["refused_after"] > 0
        assert student["tried_after_the_drill"] > 0
    later = [one for one in record["requests"] if one["started"] > cut["acknowledged_at"]]
    assert {one["status"] for one in later} == {401}
    assert {one["surface"] for one in later} >= {"submit", "list"}
    for line in ("joined                  4 of 4", "late accepts            0", "failures                0"):
        assert line in said
