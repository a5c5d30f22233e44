"""The main job from one command: everything up, the morning replayed, the report written."""

import csv
from pathlib import Path

from gateway.supervisor import free_port
from live import leakdrill


def test_the_demo_replays_november_2024_and_is_contained(tmp_path: Path) -> None:
    ports = ("--port", str(free_port()), "--page-port", str(free_port()))
    done = leakdrill("demo", "--speed", "600", "--exit", *ports, cwd=tmp_path, within=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: contained" in done.stdout
    (out,) = (tmp_path / ".leakdrill" / "reports").iterdir()
    names = {"journal.json", "report.html", "report.md", "junit.xml", "timeline.csv"}
    assert {path.name for path in out.iterdir()} == names
    for name in names:
        assert str(out / name) in done.stdout
    report = (out / "report.md").read_text()
    lines = {
        row["id"] for row in csv.DictReader((out / "timeline.csv").read_text().splitlines()) if row["kind"] != "action"
    }
    for number in range(1, 10):
        assert f"| m{number} (" in report
        assert f"m{number}" in lines
    # Afterwards nothing of it runs on, and the leaked tokens are nowhere but in the file that the page reads.
    leaked = (tmp_path / ".leakdrill" / "demo" / "page.tokens").read_text().split()
    assert len(leaked) == 12
    for path in out.iterdir():
        text = path.read_text()
        assert [token for token in leaked if token in text] == []
