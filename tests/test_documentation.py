"""What the documentation says of the program is so: pages made from the code, lines to type, names, links."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest

from desk import Desk
from doc_lines import PAGES, ROOT, Line, calls, understood
from gateway.cli import COMMANDS
from gateway.event_data import TOLD
from gateway.events import EventKind
from gateway.settings import Settings

CALLS = list(calls())
SOURCES = ("gateway", "frontend", "fake_model", "drills", "loadtest", "tests", "scripts", "benchmarks")
ROUTE = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`?\s]*)")


def test_the_reference_is_what_the_code_says() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "scripts.reference", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr


def test_every_kind_of_event_is_told() -> None:
    assert set(TOLD) == set(EventKind)


def test_a_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_command_is_shown_somewhere() -> None:
    first = {line.text.split()[0] for line in CALLS if not line.page.startswith("docs/reference/")}
    assert set(COMMANDS) - first == set()


@pytest.mark.parametrize("page", sorted({line.page for line in CALLS}))
def test_the_program_knows_every_word_that_people_are_told_to_type(page: str) -> None:
    for line in CALLS:
        if line.page == page:
            try:
                understood(line)
            except (click.UsageError, LookupError) as exc:
                pytest.fail(f"{line}\n{exc}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("drill run november-2024 --sped 600", "No such option"),
        ("drill runn november-2024", "no command 'runn'"),
        ("drill run november-2024 --speed fast", "not a valid float"),
        ("tokens issue --cohort alpha", "Missing option"),
        ("audit anchor twice", "takes no 'twice'"),
        ("class open --students 4000 | cat", "is not in the range"),
    ],
)
def test_a_wrong_word_would_be_found(text: str, why: str) -> None:
    with pytest.raises((click.UsageError, LookupError)) as found:
        understood(Line("page", text, True))
    message = found.value.format_message() if isinstance(found.value, click.UsageError) else str(found.value)
    assert why in message


def test_every_make_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert {"demo", "docs", "test"} <= named
    assert named - targets == set()


def test_every_variable_that_is_named_is_read_somewhere() -> None:
    read = {f"LEAKDRILL_{name.upper()}" for name in Settings.model_fields}
    read |= {name for text in sources().values() for name in re.findall(r"LEAKDRILL_[A-Z_]+[A-Z]", text)}
    named = {name for page in PAGES for name in re.findall(r"LEAKDRILL_[A-Z_]+[A-Z]", page.read_text())}
    assert len(named) > 50
    assert named - read == set()


@pytest.mark.anyio
async def test_every_call_that_is_named_is_there(desk: Desk) -> None:
    paths = (await desk.http.get("/openapi.json")).json()["paths"]
    known = [(verb.upper(), re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path))) for path in paths for verb in paths[path]]
    known += [("GET", re.compile("/(openapi.json|docs)"))]
    named = {(str(page.relative_to(ROOT)), *found) for page in PAGES for found in ROUTE.findall(page.read_text())}
    assert len(named) > 100
    assert {
        (page, verb, path)
        for page, verb, path in named
        if not any(verb == own and route.fullmatch(path) for own, route in known)
    } == set()


@cache
def sources() -> dict[Path, str]:
    """Every file of Python in the checkout's own folders."""
    return {path: path.read_text() for part in SOURCES for path in (ROOT / part).rglob("*.py")}


def test_every_file_and_test_that_is_named_is_there() -> None:
    defined = {
        node.name
        for path, text in sources().items()
        if path.name.startswith("test_")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    missing = set()
    for page in PAGES:
        for word in re.findall(r"`([\w/.-]+)`", page.read_text()):
            is_path = re.fullmatch(rf"(?:{'|'.join(SOURCES)}|docs|seeds|deploy)/[\w/.-]+", word)
            if is_path and "NAME" not in word and not (ROOT / word).exists():
                missing.add((page.name, word))
            if re.fullmatch(r"test_\w+", word) and word not in defined:
                missing.add((page.name, word))
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Anchors are the site's to check: `make docs`, `tests/test_site.py`."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?(?: \"[^\"]*\")?\)", page.read_text()):
        assert re.match(r"https?://", target) or (page.parent / target).exists(), target


ROW = re.compile(r"^\| .*\| (`test_[^|]+`) \|$", re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/clients.md"])
def test_each_client_that_is_said_to_work_has_its_tests(page: str) -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / "acceptance").glob("test_*.py"))
    rows = ROW.findall((ROOT / page).read_text())
    assert len(rows) >= 5
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert [name for name in named if f"def {name}(" not in tests] == []


def test_the_versions_of_clients_are_those_that_are_pinned() -> None:
    pins = ("litellm/requirements.txt", "clients/requirements.txt", "../../requirements-dev.txt")
    pinned: dict[str, str] = {}
    for path in pins:  # later ones count: the first has older versions of what the last has
        text = (ROOT / "tests" / "acceptance" / path).read_text()
        pinned |= dict(re.findall(r"^([a-z0-9-]+)==([0-9.]+)", text, re.MULTILINE))
    for folder in ("node", "clients-node"):
        text = (ROOT / "tests" / "acceptance" / folder / "package.json").read_text()
        pinned |= {f"{name} (Node)": version for name, version in re.findall(r'"([@a-z/-]+)": "([0-9.]+)"', text)}
    page = (ROOT / "docs" / "clients.md").read_text()
    shown = re.findall(r"^\| ([^|]+) \| ([0-9.]+) \| .*`test_", page, re.MULTILINE)
    assert len(shown) >= 7
    for client, version in shown:
        name = client.replace("`", "").replace(" (Python)", "").replace("_", "-")
        name = name if "Node" in name else name.lower()
        assert pinned[name].startswith(version), client
