"""The shipped runbooks on real gateways: each comes to the verdict that it names, for the reason that it names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from drills.journal import Journal, load_journal
from drills.runbook_file import load_runbook, shipped
from drills.runbook_run import Question, Reply
from drills.runner import DrillResult, run_drill
from drills.scenario import Scenario, load_scenario
from drills.topology import overridden
from live import Live, leakdrill, live_gateway


async def yes(question: Question) -> Reply:
    return Reply(True, question.owner)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("runbooks") / "data", replicas=2) as running:
        yield running


def hurried(name: str) -> Scenario:
    """What the runbook is rehearsed on, without visitors and with a short after-watch; always on two gateways."""
    rehearsal = load_runbook(name).runbook.rehearsal
    plays = load_scenario(rehearsal.scenario or "runbook-rehearsal")
    nobody = plays.population.traffic.model_copy(update={"arrivals": 0})
    checks = [check for check in plays.steady_state if check.probe != "bystander_job"]
    return plays.model_copy(
        update={
            "population": plays.population.model_copy(update={"traffic": nobody}),
            "steady_state": checks,
            "topology": overridden(plays.topology, 2, rehearsal.consistency, rehearsal.defects, None),
            "containment": plays.containment.model_copy(update={"after_watch_seconds": 1.0}),
        }
    )


def rehearse(live: Live, name: str, out: Path) -> tuple[DrillResult, Journal]:
    result = asyncio.run(
        run_drill(
            hurried(name),
            target=live.url,
            admin_token=live.supervisor.admin_token,
            out=out,
            tells=True,
            runbook=(load_runbook(name), yes),
        )
    )
    return result, load_journal(result.paths["journal.json"])


# Run by the command itself; the others by what it calls.
FROM_A_SHELL = "flawed-link-forgotten"
DONE = "the runbook believes that it is done"
REASONS = {
    "revoke-one-token": "its verify found all that it asked refused; clients saw the same",
    "revoke-cohort": "its verify-again found all that it asked refused; clients saw the same",
    "revoke-by-script": "its verify found all that it asked refused; clients saw the same",
    "flawed-no-verify": f"{DONE} (it never looked), but clients still get in",
    "flawed-link-forgotten": f"{DONE} (its verify found all that it asked refused), but clients still get in",
    "flawed-everyone": f"{DONE} (its verify found all that it asked refused), but clients outside the leak are refused",
}


def test_each_shipped_runbook_has_its_reason() -> None:
    assert set(REASONS) == set(shipped())


@pytest.mark.parametrize("name", [name for name in REASONS if name != FROM_A_SHELL])
def test_a_shipped_runbook_comes_to_what_it_says(live: Live, tmp_path: Path, name: str) -> None:
    expect = load_runbook(name).runbook.rehearsal.expect
    assert expect is not None
    result, journal = rehearse(live, name, tmp_path)
    assert (result.status, result.verdict) == ("completed", expect.verdict), result.reasons
    assert result.reasons[0] == REASONS[name]
    assert journal.runbook is not None
    assert journal.runbook.ended_as == "done"
    assert not journal.dirty
    broken = {name for offence in journal.verdict.offences for name in offence.invariants}
    if name == "flawed-no-verify":
        assert "I1" in broken
        assert {offence.replica for offence in journal.verdict.offences if offence.request} == {"r2"}
    elif name == "flawed-everyone":
        assert broken == {"I5"}
        refused = {offence.who for offence in journal.verdict.offences}
        assert refused == {"bystander-001", "bystander-002"}
    else:
        assert journal.verdict.offences == []
    secret = live.supervisor.admin_token
    for path in result.paths.values():
        text = path.read_text(encoding="utf-8")
        assert secret not in text
        assert "ldk_" not in text


def test_the_command_runs_one_and_ends_with_its_exit_code(live: Live, tmp_path: Path) -> None:
    scenario, token = tmp_path / "hurried.yaml", tmp_path / "admin"
    dumped = hurried(FROM_A_SHELL).model_dump(mode="json", exclude_none=True)
    scenario.write_text(yaml.safe_dump(dumped | {"topology": {"replicas": 2, "consistency": "strict"}}))
    token.write_text(live.supervisor.admin_token)
    where = ("--target", live.url, "--admin-token-file", str(token), "--out", "out", "--scenario", str(scenario))
    done = leakdrill(
        "runbook", "run", FROM_A_SHELL, *where, "--defect", "link-outlives", "--yes", "--as", "Ann", cwd=tmp_path
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert REASONS[FROM_A_SHELL] in done.stdout
    assert "verify-partial" in done.stderr
    assert "Runbook: revoke (revoke)" in done.stdout
    journal = load_journal(tmp_path / "out" / "journal.json")
    assert journal.runbook is not None
    assert (journal.runbook.steps[0].by, journal.runbook.steps[0].got) == ("Ann", "yes")
    assert {(one.rule, one.surface) for one in journal.verdict.offences} == {("late_accept", "signed_link")}
    for text in (done.stdout, done.stderr, (tmp_path / "out" / "journal.json").read_text(encoding="utf-8")):
        assert "ldk_" not in text
        assert live.supervisor.admin_token not in text
