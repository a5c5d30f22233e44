"""What is not documented does not exist: settings, routes, error codes, event kinds, commands, links between pages."""

import re
from pathlib import Path

import pytest

from desk import Desk
from gateway.cli import COMMANDS
from gateway.errors import APIError
from gateway.events import EventKind
from gateway.settings import Settings

ROOT = Path(__file__).parents[1]
API = (ROOT / "docs" / "api.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description
    row = re.search(rf"^\| `LEAKDRILL_{name.upper()}` \| (.*?) \| (.*) \|$", API, re.MULTILINE)
    assert row is not None
    default = str(field.default)
    assert row[1] == (f"`{default}`" if default else "empty")
    assert row[2] == field.description


@pytest.mark.parametrize("kind", EventKind)
def test_every_event_kind_is_documented(kind: EventKind) -> None:
    assert f"`{kind}`" in API


def test_every_error_is_documented() -> None:
    leaves = APIError.__subclasses__()
    assert len(leaves) > 10
    for leaf in leaves:
        assert f"| {leaf.status} | `{leaf.code}` |" in API, leaf


def test_every_code_in_the_source_is_documented() -> None:
    found = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        found |= set(re.findall(r'\bcode="([a-z_]+)"', path.read_text()))
    assert "unknown_parameter" in found
    assert {code for code in found if f"`{code}`" not in API} == set()


@pytest.mark.anyio
async def test_every_route_is_documented(desk: Desk) -> None:
    document = (await desk.http.get("/openapi.json")).json()
    routes = {f"{verb.upper()} {path}" for path, verbs in document["paths"].items() for verb in verbs}
    assert len(routes) > 25
    assert {route for route in routes if f"`{route}`" not in API} == set()


def test_every_command_is_shown_somewhere() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert {name for name in COMMANDS if f"leakdrill {name}" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


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
