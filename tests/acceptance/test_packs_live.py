"""Each shipped exercise from a shell, on gateways of its own: its promised verdict, and a report that fits."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from drills.journal import load_journal
from drills.scenario import list_scenarios
from live import leakdrill

# The end of the API replays 250 minutes, the others far less.
LONGEST, LONGEST_SPEED, LONGEST_SECONDS = "september-2026-sunset", 600, 40.0
SPEED = 1800
# Exit code, the headline of its first page, and what else its report must say.
PACKS: dict[str, tuple[int, str, tuple[str, ...]]] = {
    "false-alarm": (0, "Nobody was hit", ("## Notices", "| Who was hit by mistake? | Nobody: ", ", all acknowledged.")),
    "insider-mint": (0, "Contained", ("## Surfaces", "insider_mint")),
    "one-token-on-github": (0, "Contained", ("## Notices", "## Surfaces", "| m3 | leaked | 1 |")),
    "september-2026-sunset": (
        0,
        "Ended as announced",
        ("## The end of the API", "| asleep-001 | nothing |", "calls on"),
    ),
    "slow-provider": (3, "Inconclusive", ("## Surfaces", "| r2 | ")),
}
# Played by tests of their own: the demo, and the runbooks.
ELSEWHERE = {"november-2024", "runbook-rehearsal"}


def test_every_shipped_exercise_is_played_somewhere() -> None:
    assert {one.name for one in list_scenarios()} == {*PACKS, *ELSEWHERE}


@pytest.mark.parametrize("name", PACKS)
def test_an_exercise_comes_to_what_its_notes_promise(name: str, tmp_path: Path) -> None:
    code, headline, words = PACKS[name]
    speed = LONGEST_SPEED if name == LONGEST else SPEED
    done = leakdrill("drill", "run", name, "--speed", str(speed), "--out", "out", cwd=tmp_path, within=180)
    assert done.returncode == code, done.stdout + done.stderr
    journal = load_journal(tmp_path / "out" / "journal.json")
    assert (journal.status, journal.dirty, journal.error) == ("completed", False, None)
    assert journal.chain is not None
    assert journal.chain.broken is None
    if name != "slow-provider":  # it waits for an outage to pass
        assert journal.ended <= LONGEST_SECONDS
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert f"## In one minute: {headline}" in report
    assert [word for word in words if word not in report] == []
    assert "press reports" not in report
    timed = {line.id for _, line in journal.scenario.timed()}
    rows = csv.DictReader((tmp_path / "out" / "timeline.csv").read_text(encoding="utf-8").splitlines())
    played = {row["id"] for row in rows if row["real_seconds"]}
    assert timed <= played
