"""`leakdrill runbook …` without a gateway: list, copy, lint, schema, dry run, and usage that does not fit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drills.runbook_file import load_runbook, shipped
from gateway.cli import program
from gateway.errors import OperatorError


def call(*arguments: str) -> Result:
    return CliRunner().invoke(program, ["runbook", *arguments])


def test_list_says_what_comes_of_each() -> None:
    lines = call("list").output.splitlines()
    assert [line.split()[0] for line in lines] == sorted(shipped())
    assert [line for line in lines if line.startswith("flawed-")] == [line for line in lines if "not contained" in line]


def test_lint_ends_with_0_1_or_2(tmp_path: Path) -> None:
    fine = call("lint", "revoke-one-token")
    assert (fine.exit_code, fine.output) == (0, "revoke-one-token: fine: revoke-one-token, 5 steps\n")
    flawed = call("lint", "flawed-no-verify")
    assert flawed.exit_code == 1
    assert flawed.output.startswith("seeds/runbooks/flawed-no-verify.yaml:34: revoke-unverified: step revoke")
    assert call("lint", "flawed-everyone").exit_code == 0
    assert call("lint", "flawed-everyone", "--strict").exit_code == 1
    (tmp_path / "bad.yaml").write_text("a: [")
    bad = call("lint", str(tmp_path / "bad.yaml"))
    assert bad.exit_code == 2
    assert "bad.yaml:1: not YAML" in bad.output


def test_copy_brings_the_script_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    done = call("copy", "revoke-by-script", str(folder))
    assert (done.exit_code, sorted(path.name for path in folder.iterdir())) == (
        0,
        ["revoke-by-script.yaml", "revoke.sh"],
    )
    assert os.access(folder / "revoke.sh", os.X_OK)
    assert load_runbook(folder / "revoke-by-script.yaml").folder == folder
    again = call("copy", "revoke-by-script", str(folder))
    assert isinstance(again.exception, OperatorError)
    assert "is there already" in str(again.exception)


def test_the_schema_is_json() -> None:
    assert set(json.loads(call("schema").output)["required"]) == {"name", "description", "owner", "start", "steps"}


def test_a_dry_run_needs_nobody_and_nothing(tmp_path: Path) -> None:
    done = call(
        "run", "revoke-by-script", "--dry-run", "--target", "http://127.0.0.1:9/", "--data", str(tmp_path / "none")
    )
    assert done.exit_code == 0, done.output
    assert "GATEWAY=http://127.0.0.1:9 ADMIN_TOKEN_FILE=<admin_token_file> ./revoke.sh <accessor>" in done.output
    assert "Revoke <accessor> of tester-001 with revoke.sh?" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nobody is at a terminal to answer; give --answer approve=yes, or --yes"),
        (("--answer", "aprove=yes"), "--answer aprove: no decision or manual step; the runbook has approve"),
        (("--answer", "approve=perhaps"), "--answer approve=perhaps: write STEP=yes or STEP=no"),
        (("--yes", "--defect-on", "r1"), "--defect-on goes with --defect"),
        (("--yes", "--target", "http://127.0.0.1:9", "--replicas", "2"), "a target has those that it has"),
        (("--yes", "--scenario", "no-such"), "no such scenario or file"),
    ],
)
def test_usage_that_does_not_fit(options: tuple[str, ...], words: str) -> None:
    done = call("run", "revoke-one-token", *options)
    assert done.exit_code == 2
    assert words in done.output


def test_an_admin_token_file_that_cannot_be_read(tmp_path: Path) -> None:
    options = ("--yes", "--target", "http://127.0.0.1:9", "--admin-token-file", str(tmp_path / "none"))
    done = call("run", "revoke-one-token", *options)
    assert isinstance(done.exception, OperatorError)
    assert "cannot be read" in str(done.exception)
