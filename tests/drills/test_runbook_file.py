"""Runbook files: what is refused, with line and advice; what lint finds; what ships."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from drills.errors import ScenarioError
from drills.runbook import Runbook
from drills.runbook_file import RunbookFile, load_runbook, shipped
from drills.runbook_lint import lint
from drills.runbook_plan import plan
from drills.runbook_values import MEANINGS, SECRETS, Values, stand_ins

GOOD = """\
name: mine
description: Revokes one token.
owner: on-call
start: approve
steps:
  approve: {type: decision, ask: "Revoke {accessor}?", owner: ann, timeout: 5m, on_true: revoke, on_false: failed}
  revoke:
    type: action
    does: revoke
    owner: on-call
    timeout: 10s
    process: {argv: [./revoke.sh, "{accessor}"], env: {TOKEN: "{admin_token}"}}
    on_success: verify
  verify: {type: verify, owner: on-call, timeout: 10s, bystanders: true, on_success: done}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str = GOOD) -> RunbookFile:
    return load_runbook(written(folder, text))


def test_a_good_runbook_has_nothing_to_do(tmp_path: Path) -> None:
    runbook = loaded(tmp_path)
    assert lint(runbook) == []
    assert runbook.folder == tmp_path
    assert runbook.runbook.longest_seconds() == 320


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("owner: ann", "ownr: ann", ":6: steps.approve.ownr: unknown key (did you mean owner?); allowed: text, owner"),
        ("type: verify", "type: verfy", ":14: steps.verify.type: 'verfy' is not allowed (did you mean verify?)"),
        ("type: decision, ", "", ":6: steps.approve.type: missing; allowed: action, decision, manual"),
        ("does: revoke", "does: revok", ":9: steps.revoke.does: 'revok' is not allowed (did you mean revoke?)"),
        ("timeout: 5m", "timeout: 5 min", ':6: steps.approve.timeout: expected a time such as "10s"'),
        ("timeout: 5m", "timeout: -5", ":6: steps.approve.timeout: expected a time above 0 and up to 24h, found -5"),
        ("argv: [./revoke.sh, ", "argv: [1, ", ":12: steps.revoke.process.argv[0]: input should be a valid string"),
        (
            "on_success: done",
            "on_success: dune",
            ":14: steps.verify.on_success: there is no step dune (did you mean done",
        ),
        ("start: approve", "start: approved", ":4: start: there is no step approved (did you mean approve?)"),
        ("on_success: done", "on_success: approve, on_failure: revoke", ""),
        ('"{accessor}"]', '"{accesor}"]', ":12: steps.revoke.process: there is no {accesor} (did you mean accessor?)"),
        ('"{accessor}"]', '"{token}"]', ":12: steps.revoke.process: {token} is a secret that others could read here"),
        ("ask: ", 'text: "{admin_token}", ask: ', ":6: steps.approve.text: {admin_token} is a secret"),
        (
            "  verify: {",
            "  done: {type: wait, for: 1s, on_success: failed}\n  verify: {",
            "done is where a runbook ends",
        ),
        ("timeout: 10s, b", "timeout: 10s, surfaces: [lisst], b", "'lisst' is not allowed (did you mean list?)"),
        ("    process: {", "    http: {path: /x}\n    process: {", "steps.revoke: give either http or process"),
        ("    on_success: verify", "    expect: {status: 200}\n    on_success: verify", "status and body go with http"),
        (GOOD, "- 1\n", ":1: expected keys and values, found a list"),
        (GOOD, "a: [", "not YAML"),
        (GOOD, "", "the file is empty"),
        (GOOD, "#" * 300_000, "larger than 256000 bytes"),
    ],
)
def test_what_cannot_be_run_is_refused_with_line_and_advice(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    if not words:
        loaded(tmp_path, text)  # a loop with a way out
        return
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, text)
    assert caught.value.exit_code == 2
    assert words in str(caught.value)
    assert str(tmp_path / "mine.yaml") in str(caught.value)


def test_a_loop_without_a_way_out_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace("on_success: done", "on_success: pause, on_failure: revoke")
    text += "  pause: {type: wait, for: 1s, owner: a, on_success: verify}\n"
    with pytest.raises(ScenarioError, match=r"steps\.pause: a loop without a way out"):
        loaded(tmp_path, text)


@pytest.mark.parametrize("name", ["no-such-runbook", "/nowhere/at/all.yaml"])
def test_a_missing_file_names_those_that_ship(name: str) -> None:
    with pytest.raises(ScenarioError, match="no such runbook or file; shipped runbooks: flawed-everyone"):
        load_runbook(name)


PARALLEL = """\
  side: {type: parallel, owner: a, timeout: 1m, branches: [one, two], on_success: join}
  one: {type: notify, owner: a, timeout: 1s, to: [x], text: t, on_success: ONE}
  two: {type: notify, owner: a, timeout: 1s, to: [x], text: t, on_success: TWO}
  both: {type: notify, owner: a, timeout: 1s, to: [x], text: t, on_success: join}
  join: {type: notify, owner: a, timeout: 1s, to: [x], text: t, on_success: done}
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("    on_success: verify", "    on_success: done", [":13: revoke-unverified", ":14: unreachable"]),
        ("start: approve", "start: revoke", [":6: unreachable", ":7: irreversible-undecided"]),
        ("on_false: failed", "on_false: failed, on_failure: revoke", []),
        ("owner: ann, timeout: 5m", "text: t", [":6: no-owner", ":6: no-timeout"]),
        ("bystanders: true, ", "", [":14: warning: bystanders-unseen"]),
        ("bystanders: true", "bystanders: true, on_failure: done", [":14: failure-ignored"]),
        ("bystanders: true", "bystanders: true, surfaces: [list]", [":14: warning: verify-partial"]),
        ("    does: revoke", "    does: revoke\n    irreversible: false", [":10: warning: revoke-reversible"]),
        ("    does: revoke", "    does: quarantine", []),
        ("bystanders: true", "bystanders: true, expect: accepted", [":13: revoke-unverified"]),
    ],
)
def test_lint_finds_what_is_missing(tmp_path: Path, old: str, new: str, found: list[str]) -> None:
    assert old in GOOD
    findings = lint(loaded(tmp_path, GOOD.replace(old, new, 1)))
    starts = [f"{tmp_path / 'mine.yaml'}{each}" for each in found]
    assert [str(finding)[: len(start)] for finding, start in zip(findings, starts, strict=True)] == starts
    assert all("; " in finding.message for finding in findings)


def test_a_verify_that_says_what_it_leaves_out_is_complete(tmp_path: Path) -> None:
    (finding,) = lint(loaded(tmp_path, GOOD.replace("bystanders: true", "bystanders: true, surfaces: [submit, list]")))
    assert "may outlive it: signed_link, share_link, open_stream, child_token; ask all" in str(finding)
    left = finding.message.split("does not ask ")[1].split(";")[0]
    text = GOOD.replace("bystanders: true", f"bystanders: true, surfaces: [submit, list], leaves_out: [{left}]")
    assert lint(loaded(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        ("join", "join", None),
        ("done", "join", "branch one of side does not always arrive at join"),
        ("both", "both", "branches one and two of side both come to both"),
        ("side", "join", "branch one of side does not always arrive at join"),
    ],
)
def test_branches_have_to_join(tmp_path: Path, one: str, two: str, words: str | None) -> None:
    text = GOOD.replace("on_success: done", "on_success: side") + PARALLEL.replace("ONE", one).replace("TWO", two)
    found = [str(finding) for finding in lint(loaded(tmp_path, text)) if finding.rule == "branches-apart"]
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_a_decision_in_one_branch_does_not_decide_for_the_other(tmp_path: Path) -> None:
    text = GOOD.replace("start: approve", "start: side").replace("on_true: revoke", "on_true: join")
    text = text.replace("on_success: done", "on_success: join")
    text += PARALLEL.replace("[one, two]", "[approve, two]").replace("TWO", "revoke").replace("ONE", "join")
    found = [finding.message for finding in lint(loaded(tmp_path, text)) if finding.rule == "irreversible-undecided"]
    assert len(found) == 1
    assert "step revoke (revoke) cannot be taken back, and a way leads to it on which nobody decides" in found[0]


def test_the_shipped_runbooks_say_what_comes_of_them() -> None:
    verdicts = {}
    validator = jsonschema_rs.validator_for(Runbook.model_json_schema())
    for name, path in shipped().items():
        runbook = load_runbook(name).runbook
        assert runbook.name == name
        assert runbook.rehearsal.expect is not None
        verdicts[name] = runbook.rehearsal.expect.verdict
        assert list(validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))) == []
    flawed = {name for name in verdicts if name.startswith("flawed-")}
    assert len(flawed) == 3
    assert len(verdicts) == 6
    assert {name for name, verdict in verdicts.items() if verdict == "not_contained"} == flawed
    rules = {name: [finding.rule for finding in lint(load_runbook(name))] for name in verdicts}
    assert {name: found for name, found in rules.items() if found} == {
        "flawed-everyone": ["bystanders-unseen"],
        "flawed-link-forgotten": ["verify-partial"],
        "flawed-no-verify": ["revoke-unverified"],
    }


def test_the_schema_refuses_what_the_program_refuses() -> None:
    validator = jsonschema_rs.validator_for(Runbook.model_json_schema())
    good: dict[str, Any] = yaml.safe_load(GOOD)
    assert validator.is_valid(good)
    changes: list[dict[str, Any]] = [{"start": None}, {"steps": {}}, {"wat": 1}]
    for change in changes:
        assert not validator.is_valid({**good, **change})
    good["steps"]["verify"]["timeout"] = "5 parsecs"
    assert not validator.is_valid(good)


def test_a_dry_run_shows_every_step_and_no_secret(tmp_path: Path) -> None:
    lines = "\n".join(plan(loaded(tmp_path), stand_ins()))
    for name in ("1. approve: decision", "2. revoke: action (revoke, irreversible)", "3. verify: verify"):
        assert name in lines
    assert "TOKEN=[secret] ./revoke.sh <accessor>" in lines
    assert "yes: revoke; no: failed; no answer: failed" in lines


def test_words_in_braces() -> None:
    secret = "ldk_" + "a" * 36
    values = Values({name: name.upper() for name in MEANINGS}, dict.fromkeys(SECRETS, secret), hidden=("other",))
    assert values.fill("{accessor} {{accessor}} %{{http_code}} {1}") == "ACCESSOR {accessor} %{http_code} {1}"
    assert values.fill_all({"{cohort}": ["{token}", 1, None]}, masked=True) == {"COHORT": ["[secret]", 1, None]}
    assert values.redact(f"{secret} another ldk_{'b' * 36}") == "[secret] an[secret] [secret]"
    assert "aaaa" not in repr(values)
    assert json.dumps(values.fill_all({"a": ["{token}"]})) == json.dumps({"a": [secret]})
