"""action.yml: its shape, and each of its `run` steps, as a runner's bash would run it in a directory of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
INSTALL, DRILL, KEEP = STEPS
PAGE = (ROOT / "docs" / "testing.md").read_text()
(WORKFLOW,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# `on` is a truth value in YAML 1.1.
JOB = yaml.safe_load(WORKFLOW)["jobs"]["drill"]
# Where what leakdrill depends on is installed here.
LENT = os.pathsep.join(entry for entry in sys.path if entry.endswith("site-packages"))
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


def test_it_is_a_composite_action_whose_words_lead_somewhere() -> None:
    assert ACTION["runs"]["using"] == "composite"
    inputs = {name: one for name, one in ACTION["inputs"].items() if one["description"] and "default" in one}
    assert inputs.keys() == ACTION["inputs"].keys()
    used = set(EXPRESSION.findall((ROOT / "action.yml").read_text()))
    known = {f"inputs.{name}" for name in inputs} | {"github.action_path"}
    known |= {f"steps.drill.outputs.{name}" for name in ("verdict", "exit-code")}
    assert used == known
    for step in STEPS:
        if "run" in step:
            assert step["shell"] == "bash"
            # What a caller gives reaches the shell through the environment alone: there it is no code.
            assert not EXPRESSION.search(step["run"])
    assert (KEEP["if"], KEEP["with"]["path"]) == ("always()", "${{ inputs.out }}")
    assert re.fullmatch(r"actions/upload-artifact@v\d+", KEEP["uses"])


def test_the_page_describes_the_action_and_its_workflow_uses_it() -> None:
    for name, one in ACTION["inputs"].items():
        assert f"`{name}`" in PAGE
        if one["default"]:
            assert f"`{one['default']}`" in PAGE
    assert {name for name in ACTION["outputs"] if f"`{name}`" not in PAGE} == set()
    (ours,) = [step for step in JOB["steps"] if "leakdrill@" in step.get("uses", "")]
    assert set(ours["with"]) <= set(ACTION["inputs"])
    outputs = {name.removeprefix("steps.drill.outputs.") for name in EXPRESSION.findall(WORKFLOW)}
    assert outputs <= set(ACTION["outputs"])


class Runner:
    """A directory, the files that steps write to, and what they have put into PATH."""

    def __init__(self, folder: Path) -> None:
        self.work, self.temp = folder / "work", folder / "temp"
        self.files = {name: folder / name for name in ("GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for made in (self.work, self.temp):
            made.mkdir()
        for file in self.files.values():
            file.touch()

    def run(self, step: dict[str, Any], inputs: dict[str, str], **more: str) -> subprocess.CompletedProcess[str]:
        values = {f"inputs.{name}": one["default"] for name, one in ACTION["inputs"].items()}
        values |= {f"inputs.{name}": value for name, value in inputs.items()} | {"github.action_path": str(ROOT)}
        own = {name: EXPRESSION.sub(lambda found: values[found[1]], text) for name, text in step["env"].items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
        path = os.pathsep.join([*self.files["GITHUB_PATH"].read_text().splitlines()[::-1], kept["PATH"]])
        given = {**kept, "PATH": path, "RUNNER_TEMP": str(self.temp), **own, **more}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.work,
            env=given | {name: str(file) for name, file in self.files.items()},
            capture_output=True,
            text=True,
            timeout=240,
        )

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.files["GITHUB_OUTPUT"].read_text().splitlines())


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """After the first step, which installs leakdrill; what it depends on is lent by this environment, to be quick.
    pip reads its variable the other way round: 0 is no isolation."""
    made = Runner(tmp_path_factory.mktemp("runner"))
    quick = {"PYTHONPATH": LENT, "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    installed = made.run(INSTALL, {"python": sys.executable}, **quick)
    assert installed.returncode == 0, installed.stderr
    assert (made.temp / "leakdrill" / "bin" / "leakdrill").exists()
    return made


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "contained"), (1, "not contained"), (2, "none"), (3, "inconclusive"), (4, "none")]
)
def test_the_verdict_follows_the_exit_code(code: int, verdict: str, tmp_path: Path) -> None:
    """A program that only ends with the code stands for a drill of half a minute."""
    made = Runner(tmp_path)
    program = tmp_path / "leakdrill"
    program.write_text(f'#!/bin/sh\nmkdir report && echo the report >report/report.md\necho "$@"\nexit {code}\n')
    program.chmod(0o755)
    made.files["GITHUB_PATH"].write_text(f"{tmp_path}\n")
    ran = made.run(DRILL, {"out": "report", "arguments": "--seed 7"})
    assert (ran.returncode, made.outputs()) == (code, {"verdict": verdict, "exit-code": str(code)})
    assert ran.stdout == "drill run november-2024 --speed 600 --out report --seed 7\n"
    assert made.files["GITHUB_STEP_SUMMARY"].read_text() == "the report\n"


def test_a_runbook_that_leaves_something_open_fails(runner: Runner) -> None:
    inputs = {"runbook": "revoke-one-token", "scenario": "runbook-rehearsal", "arguments": "--defect child-survives"}
    ran = runner.run(DRILL, inputs, PYTHONPATH=LENT)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert runner.outputs() == {"verdict": "not contained", "exit-code": "1"}
    kept = {path.name for path in (runner.work / ACTION["inputs"]["out"]["default"]).iterdir()}
    assert {"report.html", "report.md", "junit.xml", "journal.json"} <= kept
    assert "not contained" in runner.files["GITHUB_STEP_SUMMARY"].read_text().lower()


def test_what_cannot_be_run_has_no_verdict(runner: Runner) -> None:
    ran = runner.run(DRILL, {"scenario": "$(touch here); no-such"}, PYTHONPATH=LENT)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert runner.outputs() == {"verdict": "none", "exit-code": "2"}
    assert not (runner.work / "here").exists()
