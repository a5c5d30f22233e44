"""`leakdrill drill run` from a shell: gateways of its own that lie, and a target that is told only what was asked."""

from __future__ import annotations

from pathlib import Path

import httpx

from drills.journal import load_journal
from live import leakdrill, live_gateway

SMALL = str(Path(__file__).parents[1] / "drills" / "small.yaml")


def test_a_drill_starts_replicas_and_finds_the_one_that_lies(tmp_path: Path) -> None:
    options = ("--replicas", "2", "--defect", "evict-fails", "--defect-on", "r2", "--speed", "100", "--out", "out")
    done = leakdrill("drill", "run", SMALL, *options, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "verdict: not contained" in done.stdout
    assert "I1: " in done.stdout
    journal = load_journal(tmp_path / "out" / "journal.json")
    assert [(one.name, one.defects) for one in journal.replicas] == [("r1", []), ("r2", ["evict-fails"])]
    assert {one.replica for one in journal.verdict.offences if one.request is not None} == {"r2"}
    assert not journal.dirty


def test_a_target_is_told_what_was_asked_for_and_put_right(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", replicas=2) as live:
        target = ("--target", live.url, "--admin-token", live.supervisor.admin_token)
        options = ("--consistency", "cache-ttl:300", "--out", "out")
        done = leakdrill("drill", "run", SMALL, *target, *options, cwd=tmp_path)
        assert done.returncode == 1, done.stdout + done.stderr
        status = httpx.get(f"{live.url}/status", trust_env=False).json()
        assert (status["consistency"], status["defects"]) == ("strict", [])
        journal = load_journal(tmp_path / "out" / "journal.json")
        assert [(one.consistency, one.seconds) for one in journal.replicas] == [("cache-ttl", 300)] * 2


def test_options_that_do_not_fit_are_bad_usage(tmp_path: Path) -> None:
    for options, words in (
        (("--target", "http://127.0.0.1:9", "--replicas", "2"), "a target has those that it has"),
        (("--defect-on", "r1"), "goes with --defect"),
        (("--replicas", "2", "--defect", "fail-open", "--defect-on", "r3"), "there is no replica r3"),
        (("--consistency", "Cache"), "topology"),
    ):
        done = leakdrill("drill", "run", SMALL, *options, cwd=tmp_path)
        assert done.returncode == 2, done.stdout + done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
