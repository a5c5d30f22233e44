"""What a scenario asks for and a target cannot do is refused before the drill begins: which line, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drills.journal import load_journal
from live import Live, leakdrill, live_gateway


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Quarantines what a notice names, and calls this machine's receivers."""
    data = tmp_path_factory.mktemp("targets") / "data"
    with live_gateway(data, disclosure_policy="quarantine", allow_private_targets="loopback") as running:
        yield running


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Quarantines too, and calls nobody on this machine."""
    with live_gateway(tmp_path_factory.mktemp("closed") / "data", workers=0) as running:
        yield running


def ensure_refused(live: Live, cwd: Path, *command: str, words: tuple[str, ...]) -> None:
    before = live.control("GET", "/control/state")
    done = leakdrill(*command, "--target", live.url, "--out", "out", cwd=cwd,
                     LEAKDRILL_ADMIN_TOKEN=live.supervisor.admin_token)  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    after = live.control("GET", "/control/state")
    for name in ("phase", "replay_clock", "tokens", "jobs"):
        assert after[name] == before[name]
    assert not (cwd / "out").exists()
    assert live.control("GET", "/control/drill") == {"drill": None}


@pytest.mark.parametrize("command", ["drill", "runbook"])
def test_notices_need_the_targets_own_data_directory(live: Live, tmp_path: Path, command: str) -> None:
    scenario = tmp_path / "scenario.yaml"
    text = (Path(__file__).parents[1] / "drills" / "small.yaml").read_text(encoding="utf-8")
    notice = "inject: disclosure\n    notice: {about: unknown}"
    scenario.write_text(text.replace("inject: message", notice), encoding="utf-8")
    played = {
        "drill": ("drill", "run", str(scenario)),
        "runbook": ("runbook", "run", "revoke-one-token", "--yes", "--scenario", str(scenario)),
    }[command]
    words = (
        "msel m2 (disclosure)",
        "does not know the key",
        "--data naming the target's data directory",
        "--target out",
    )
    ensure_refused(live, tmp_path, *played, "--data", "elsewhere", words=words)


def test_with_the_targets_data_directory_a_scenario_with_notices_is_played(live: Live, tmp_path: Path) -> None:
    data = str(live.supervisor.settings.data)
    done = leakdrill("drill", "run", "false-alarm", "--target", live.url, "--data", data, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {call.outcome for call in load_journal(tmp_path / "out" / "journal.json").notices} == {"taken"}


def test_a_target_that_treats_reported_tokens_otherwise_is_refused(live: Live, tmp_path: Path) -> None:
    words = (
        "msel ",
        "(access_ended, containment.by notice)",
        "revoke; the target is set to quarantine",
        "LEAKDRILL_DISCLOSURE_POLICY=revoke",
    )
    data = str(live.supervisor.settings.data)
    ensure_refused(live, tmp_path, "drill", "run", "one-token-on-github", "--data", data, words=words)


def test_a_target_that_calls_no_receiver_is_refused(closed: Live, tmp_path: Path) -> None:
    words = ("topology.sinks needs", "LEAKDRILL_ALLOW_PRIVATE_TARGETS=loopback")
    ensure_refused(closed, tmp_path, "drill", "run", "false-alarm", words=words)
    every = str(Path(__file__).parents[1] / "drills" / "every-surface.yaml")
    words = ("containment.surfaces: webhook needs", "LEAKDRILL_ALLOW_PRIVATE_TARGETS=loopback")
    ensure_refused(closed, tmp_path, "drill", "run", every, words=words)


def test_where_nothing_leaks_a_runbook_has_nothing_to_cut(closed: Live, tmp_path: Path) -> None:
    words = ("false-alarm", "no token leaks", "plot leak")
    for more in ((), ("--dry-run",)):
        ensure_refused(
            closed,
            tmp_path,
            "runbook",
            "run",
            "revoke-one-token",
            "--scenario",
            "false-alarm",
            "--yes",
            *more,
            words=words,
        )


def test_a_comparison_needs_a_cut_to_choose(tmp_path: Path) -> None:
    done = leakdrill("drill", "compare", "false-alarm", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no token leaks" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
