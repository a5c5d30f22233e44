"""Runbooks in the place of a drill's own revocation, against a gateway in memory and in virtual time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drills import runbook_run
from drills.journal import Journal, load_journal
from drills.runbook_file import load_runbook
from drills.runbook_run import Question, Reply
from drills.runner import DrillResult, run_drill
from drills.scenario import Scenario, load_scenario
from drills.testing import Fault, MemoryGateway, run_virtual


def hurried() -> Scenario:
    """The short exercise, without visitors, and begun at once."""
    small = load_scenario(Path(__file__).with_name("small.yaml"))
    early = [line.model_copy(update={"at": 0.0 if line.id == "m1" else 1.0}) for line in small.msel]
    nobody = small.population.traffic.model_copy(update={"arrivals": 0})
    return small.model_copy(
        update={
            "msel": early,
            "clock": small.clock.model_copy(update={"minutes": 1.0}),
            "population": small.population.model_copy(update={"traffic": nobody}),
            "containment": small.containment.model_copy(update={"after_watch_seconds": 1.5}),
        }
    )


SMALL = hurried()
HEAD = "name: mine\ndescription: d\nowner: on-call\nstart: START\nsteps:\n"
REVOKE = """\
  NAME:
    type: action
    does: revoke
    timeout: 10s
    http: {path: /control/revocations, json: {selector: {SELECTOR}, reason: r}}
    on_success: THEN
    on_failure: ELSE
"""
VERIFY = "  NAME: {type: verify, timeout: 2s, bystanders: true, on_success: THEN, on_failure: ELSE}\n"
DECIDE = "  NAME: {type: decision, ask: 'Revoke {accessor}?', timeout: 10m, on_true: THEN, on_false: ELSE}\n"
MANUAL = "  NAME: {type: manual, text: Turn the key., timeout: 10m, on_success: THEN, on_failure: ELSE}\n"
WAIT = "  NAME: {type: wait, for: 1s, on_success: THEN}\n"
NOTIFY = "  NAME: {type: notify, to: [ann], text: '{principal} is out', on_success: THEN}\n"
ALPHA, ONE = "cohort: '{cohort}'", "accessor: '{accessor}'"


def step(template: str, name: str, then: str = "done", other: str = "failed", selector: str = ALPHA) -> str:
    for word, value in (("NAME", name), ("SELECTOR", selector), ("THEN", then), ("ELSE", other)):
        template = template.replace(word, value)
    return template


async def yes(question: Question) -> Reply:
    return Reply(True, "ann")


async def no(question: Question) -> Reply:
    return Reply(False, "ann")


async def after_a_while(question: Question) -> Reply:
    await asyncio.sleep(90)
    return Reply(True, "ann")


async def never(question: Question) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError("nobody answers")


def drill(folder: Path, *steps: str, faults: tuple[Fault, ...] = (), ask: Any = yes, **more: Any) -> DrillResult:
    path = folder / "mine.yaml"
    start = steps[0].split(":")[0].strip()
    path.write_text(HEAD.replace("START", start) + "".join(steps), encoding="utf-8")
    gateway = MemoryGateway(faults=frozenset(faults))

    async def play() -> DrillResult:
        return await run_drill(
            SMALL, target="http://memory", admin_token="admin", out=folder / "out", transport=gateway,
            wall=lambda: 1e9, runbook=(load_runbook(path), ask), **more,
        )  # fmt: skip

    return run_virtual(play())


def journal_of(result: DrillResult) -> Journal:
    return load_journal(result.paths["journal.json"])


def steps_of(result: DrillResult) -> list[tuple[str, str, str]]:
    record = journal_of(result).runbook
    assert record is not None
    return [(each.step, each.outcome, each.next) for each in record.steps]


def test_a_runbook_revokes_and_its_verify_tells_the_truth(tmp_path: Path) -> None:
    result = drill(tmp_path, step(REVOKE, "cut", "look"), step(VERIFY, "look", "tell"), step(NOTIFY, "tell"))
    assert (result.status, result.verdict, result.exit_code) == ("completed", "contained", 0)
    assert result.reasons[0] == "its look found all that it asked refused; clients saw the same"
    assert steps_of(result) == [("cut", "ok", "look"), ("look", "ok", "tell"), ("tell", "ok", "done")]
    journal = journal_of(result)
    assert journal.revoke is not None
    assert journal.revoke.tokens == 3
    assert journal.jobs
    assert journal.runbook is not None
    assert journal.runbook.belief == "contained"
    assert journal.runbook.steps[2].text == "ann: tester-003 is out"
    assert "revoke-unverified" not in str(journal.runbook.findings)
    report = result.paths["report.md"].read_text(encoding="utf-8")
    assert "| Believes | contained |" in report
    assert "| 1 | cut | action: revoke | on-call |" in report
    assert "ann: tester-003 is out" in result.paths["report.html"].read_text(encoding="utf-8")
    assert 'classname="small.runbook" name="1-cut"' in result.paths["junit.xml"].read_text(encoding="utf-8")
    assert ",runbook,look," in result.paths["timeline.csv"].read_text(encoding="utf-8")


def test_a_verify_that_finds_something_alive_fails(tmp_path: Path) -> None:
    result = drill(tmp_path, step(REVOKE, "cut", "look"), step(VERIFY, "look"), faults=("link_lives",))
    assert (result.verdict, result.exit_code) == ("not_contained", 1)
    assert result.reasons[0].startswith("the runbook ended as failed (step look: 1 accepted: signed_link; ")
    assert result.reasons[0].endswith("; clients still get in")
    assert '<failure message="expected refused: all surfaces; got 1 accepted: signed_link' in (
        result.paths["junit.xml"].read_text(encoding="utf-8")
    )


def test_a_runbook_that_never_looks_believes_that_it_is_done(tmp_path: Path) -> None:
    result = drill(tmp_path, step(REVOKE, "cut"), faults=("link_lives",))
    assert (result.verdict, result.exit_code) == ("not_contained", 1)
    assert result.reasons[0] == "the runbook believes that it is done (it never looked), but clients still get in"
    assert '<failure message="believes: not verified; clients saw: not contained"' in (
        result.paths["junit.xml"].read_text(encoding="utf-8")
    )


def test_what_a_verify_finds_leads_to_more(tmp_path: Path) -> None:
    """Three tokens have leaked; the one that was noticed is revoked first."""
    result = drill(
        tmp_path,
        step(REVOKE, "cut-one", "look", selector=ONE),
        step(VERIFY, "look", "done", "cut-all"),
        step(REVOKE, "cut-all", "look-again"),
        step(VERIFY, "look-again"),
    )
    assert result.exit_code == 0, result
    assert steps_of(result) == [
        ("cut-one", "ok", "look"),
        ("look", "failed", "cut-all"),
        ("cut-all", "ok", "look-again"),
        ("look-again", "ok", "done"),
    ]
    journal = journal_of(result)
    assert journal.revoke is not None
    assert len(journal.revoke.accessors) == 3
    assert journal.revoke.end > journal.revoke.start + 2


@pytest.mark.parametrize(
    ("steps", "faults", "ask", "verdict", "reasons"),
    [
        ([step(NOTIFY, "tell")], (), yes, "not_contained", ["the runbook believes that it is done (it cut nothing)"]),
        (
            [step(DECIDE, "ask", "cut"), step(REVOKE, "cut")], (), no, "inconclusive",
            ["the runbook ended as failed (step ask: no); it cut nothing", "no revocation was sent"],
        ),
        (
            [step(REVOKE, "cut")], ("revoke_503",), yes, "inconclusive",
            ["the runbook ended as failed (step cut: status 503", "the revocation may or may not have happened"],
        ),
        (
            [step(REVOKE, "cut")], ("revoke_timeout",), yes, "inconclusive",
            ["the runbook ended as failed (step cut: no answer within 10 s)", "the revocation may or may not"],
        ),
        (
            [step(REVOKE, "cut", selector="all: true")], (), yes, "inconclusive",
            ["the runbook ended as failed (step cut: status 400", "the revocation was refused (status 400)"],
        ),
        (
            [step(REVOKE, "cut").replace("r}}", "r}}\n    expect: {body: {tokens: 1, more: 2}}")],
            (), yes, "inconclusive",
            ["the runbook ended as failed (step cut: status 200, tokens is 3, not 1, no more in it)", "the revocation"],
        ),
        (
            [step(MANUAL, "key", "cut"), step(REVOKE, "cut")], (), no, "inconclusive",
            ["the runbook ended as failed (step key: not done); it cut nothing"],
        ),
    ],
)  # fmt: skip
def test_each_ending_has_its_verdict_and_its_words(
    tmp_path: Path, steps: list[str], faults: tuple[Fault, ...], ask: Any, verdict: str, reasons: list[str]
) -> None:
    result = drill(tmp_path, *steps, faults=faults, ask=ask)
    assert (result.status, result.verdict) == ("completed", verdict)
    for found, start in zip(result.reasons, reasons, strict=False):
        assert found.startswith(start)


def test_a_persons_time_and_name_are_kept_and_the_drill_waits_calmly(tmp_path: Path) -> None:
    result = drill(
        tmp_path,
        step(DECIDE, "ask", "key"), step(MANUAL, "key", "cut"), step(REVOKE, "cut", "look"), step(VERIFY, "look"),
        ask=after_a_while,
    )  # fmt: skip
    assert result.exit_code == 0, result
    journal = journal_of(result)
    assert journal.runbook is not None
    took = [(each.by, round(each.took)) for each in journal.runbook.steps]
    assert took == [("ann", 90), ("ann", 90), (None, 0), (None, 0)]
    assert journal.runbook.person_seconds == pytest.approx(180, abs=0.1)
    assert len(journal.exchanges) < 4000
    assert "180.000 s of it people's" in result.paths["report.md"].read_text(encoding="utf-8")


def test_nobody_answers_in_time(tmp_path: Path) -> None:
    text = step(DECIDE, "ask", "cut").replace("10m, ", "30s, on_failure: cut, ")
    result = drill(tmp_path, text, step(REVOKE, "cut", "look"), step(VERIFY, "look"), ask=never)
    assert result.exit_code == 0, result
    assert steps_of(result)[0] == ("ask", "timeout", "cut")


def test_going_round_in_circles_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runbook_run, "MOST_STEPS", 20)
    text = step(VERIFY, "look", "done", "rest").replace("2s", "100ms")
    result = drill(tmp_path, step(WAIT, "rest", "look").replace("1s", "100ms"), text)
    assert (result.verdict, result.exit_code) == ("inconclusive", 3)
    assert "more than 20 steps: it goes round in circles at " in result.reasons[0]


PARALLEL = "  NAME: {type: parallel, timeout: 30s, branches: [one, two], on_success: THEN, on_failure: ELSE}\n"


def test_branches_run_side_by_side_and_join(tmp_path: Path) -> None:
    result = drill(
        tmp_path,
        step(PARALLEL, "side", "look"),
        step(WAIT, "one", "one-cut"), step(REVOKE, "one-cut", "look", selector=ONE),
        step(WAIT, "two", "two-cut"), step(REVOKE, "two-cut", "look"),
        step(VERIFY, "look"),
    )  # fmt: skip
    assert result.exit_code == 0, result
    record = journal_of(result).runbook
    assert record is not None
    by_name = {each.step: each for each in record.steps}
    assert (by_name["one-cut"].branch, by_name["two-cut"].branch, by_name["look"].branch) == ("one", "two", None)
    assert by_name["two"].started < by_name["one"].end
    assert by_name["side"].took == pytest.approx(1.0, abs=0.5)


def test_a_branch_that_fails_fails_the_step_and_leaves_the_other(tmp_path: Path) -> None:
    result = drill(
        tmp_path,
        step(PARALLEL, "side", "look"),
        step(MANUAL, "one", "look"), step(WAIT, "two", "cut"), step(REVOKE, "cut", "look"),
        step(VERIFY, "look"),
        ask=no,
    )  # fmt: skip
    assert sorted(steps_of(result)) == [
        ("cut", "ok", "look"), ("one", "failed", "failed"), ("side", "failed", "failed"), ("two", "ok", "cut"),
    ]  # fmt: skip
    assert "step one: not done" in result.reasons[0]
    assert result.verdict == "contained"


def test_breaking_off_keeps_what_was_done(tmp_path: Path) -> None:
    async def play() -> DrillResult:
        path = tmp_path / "mine.yaml"
        path.write_text(HEAD.replace("START", "ask") + step(DECIDE, "ask"), encoding="utf-8")
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(12, stop.set)
        return await run_drill(
            SMALL, target="http://memory", admin_token="admin", out=tmp_path / "out", transport=MemoryGateway(),
            runbook=(load_runbook(path), never), stop=stop,
        )  # fmt: skip

    result = run_virtual(play())
    assert (result.status, result.exit_code) == ("interrupted", 3)
    assert steps_of(result) == [("ask", "interrupted", "")]
    assert "the runbook did not come to its end" in " ".join(result.reasons)


def test_the_files_of_secrets_are_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    seen: list[tuple[str, int]] = []

    async def look(question: Question) -> Reply:
        for path in tmp_path.glob("leakdrill-runbook-*/*"):
            seen.append((path.name, path.stat().st_mode & 0o777))
        return Reply(True, "ann")

    result = drill(tmp_path, step(DECIDE, "ask", "cut"), step(REVOKE, "cut"), ask=look)
    assert sorted(seen) == [("admin_token", 0o600), ("token", 0o600)]
    assert list(tmp_path.glob("leakdrill-runbook-*")) == []
    assert result.exit_code == 0


def test_a_script_that_revokes_nobody_is_found_out_and_its_secrets_are_hidden(tmp_path: Path) -> None:
    """It says that it is done, and prints what it was trusted with. On the clock on the wall, since it is a process."""
    script = tmp_path / "revoke.sh"
    text = '#!/bin/sh\necho "revoked $1 by $PWD"; cat "$ADMIN"; echo; cat "$FILE"; echo; echo "$TOKEN"\n'
    script.write_text(text, encoding="utf-8")
    script.chmod(0o755)
    path = tmp_path / "mine.yaml"
    env = "{ADMIN: '{admin_token_file}', FILE: '{token_file}', TOKEN: '{token}'}"
    cut = step(REVOKE, "cut", "look").replace(
        f"http: {{path: /control/revocations, json: {{selector: {{{ALPHA}}}, reason: r}}}}",
        f"process: {{argv: [./revoke.sh, '{{accessor}}'], env: {env}}}\n    expect: {{contains: revoked}}",
    )
    look = step(VERIFY, "look").replace("2s", "500ms")
    path.write_text(HEAD.replace("START", "cut") + cut + look, encoding="utf-8")
    gateway = MemoryGateway(admin="s3cret-admin")
    result = asyncio.run(
        run_drill(
            SMALL,
            target="http://memory",
            admin_token="s3cret-admin",
            out=tmp_path / "out",
            transport=gateway,
            runbook=(load_runbook(path), yes),
        )
    )
    assert (result.verdict, result.exit_code) == ("not_contained", 1)
    assert result.reasons[0].startswith("the runbook ended as failed (step look: ")
    assert result.reasons[0].endswith("; clients still get in")
    record = journal_of(result).runbook
    assert record is not None
    assert (record.steps[0].outcome, record.steps[0].got) == ("ok", "exit code 0")
    assert record.steps[0].output.splitlines() == [f"revoked tok_3 by {tmp_path.resolve()}", *["[secret]"] * 3]
    for file in result.paths.values():
        found = file.read_text(encoding="utf-8")
        assert "s3cret-admin" not in found
        assert not any(token in found for token in gateway.tokens)
