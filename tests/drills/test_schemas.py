"""The published JSON Schemas: what the program prints, what shipped files keep to, and what editors are pointed at."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from click.testing import CliRunner

from drills.runbook_file import load_runbook
from drills.schemas import MARK, MODELS, for_elsewhere, published, schema_text
from gateway.cli import program

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "seeds"
COMMANDS = {"scenario": ("drill", "schema"), "runbook": ("runbook", "schema")}
FILES = [("scenario", path) for path in sorted((SEEDS / "scenarios").glob("*.yaml"))]
FILES += [("runbook", path) for path in sorted((SEEDS / "runbooks").glob("*.yaml"))]
OF_TESTS = sorted((ROOT / "tests" / "drills").glob("*.yaml"))


def validator(kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(json.loads(published(kind).read_text(encoding="utf-8")))


def faults(kind: str, document: Any) -> list[str]:
    return [
        f"{'.'.join(map(str, each.instance_path))}: {each.message}" for each in validator(kind).iter_errors(document)
    ]


def test_there_are_files_to_check() -> None:
    assert len(FILES) >= 13
    assert len(OF_TESTS) >= 3


@pytest.mark.parametrize("kind", MODELS)
def test_the_published_copy_is_what_the_program_prints(kind: str) -> None:
    text = published(kind).read_text(encoding="utf-8")
    done = CliRunner().invoke(program, COMMANDS[kind])
    assert done.exit_code == 0
    assert text == done.output, f"write it again: leakdrill {' '.join(COMMANDS[kind])} > {published(kind)}"
    assert text == schema_text(kind) + "\n"
    jsonschema_rs.meta.validate(json.loads(text))


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: getattr(value, "stem", value))
def test_a_shipped_file_keeps_to_its_schema_and_names_it(kind: str, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert faults(kind, yaml.safe_load(text)) == []
    named = [line.removeprefix(MARK) for line in text.splitlines() if line.startswith(MARK)]
    assert [(path.parent / one).resolve() for one in named] == [published(kind).resolve()]


@pytest.mark.parametrize("path", OF_TESTS, ids=lambda path: path.stem)
def test_scenarios_of_tests_keep_to_the_schema(path: Path) -> None:
    assert faults("scenario", yaml.safe_load(path.read_text(encoding="utf-8"))) == []


def test_the_schema_refuses_what_the_program_refuses() -> None:
    good = yaml.safe_load((SEEDS / "scenarios" / "november-2024.yaml").read_text(encoding="utf-8"))
    changes: list[tuple[tuple[str | int, ...], Any]] = [
        (("seed",), "seven"),
        (("clock", "minutes"), -1),
        (("scenario", "classification"), "REAL"),
        (("scenario", "basis"), "rumour"),
        (("msel", 0, "at"), "25"),
        (("msel", 0, "unknown"), 1),
        (("population", "cohorts", 0, "issue"), 0),
        (("containment", "surfaces", 0), "everything"),
    ]
    for place, value in changes:
        bad = yaml.safe_load(yaml.safe_dump(good))
        inner = bad
        for part in place[:-1]:
            inner = inner[part]
        inner[place[-1]] = value
        assert faults("scenario", bad), place


def test_a_copied_runbook_points_to_the_schema_from_where_it_lies(tmp_path: Path) -> None:
    done = CliRunner().invoke(program, ["runbook", "copy", "revoke-one-token", str(tmp_path / "mine")])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "mine" / "revoke-one-token.yaml").read_text(encoding="utf-8")
    assert f"{MARK}{published('runbook').as_uri()}\n" in text
    assert for_elsewhere(text, "runbook") == text
    assert load_runbook(tmp_path / "mine" / "revoke-one-token.yaml").runbook.name == "revoke-one-token"
