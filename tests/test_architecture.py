"""The house rules that a program can check: who may import whom, no cycle, sizes, words, prefixes."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("gateway", "frontend", "fake_model", "drills", "loadtest", "leakdrill_pytest")
STDLIB_AND_OWN = "stdlib"

# Third parties that each part may import, besides the standard library.
THIRD_PARTIES = {
    # c2pa comes with the extra `provenance`; it and cryptography are imported late.
    "fake_model": {"numpy", "PIL", "imageio_ffmpeg", "yaml", "c2pa", "cryptography"},
    "frontend": {"gradio", "httpx", "yaml", "fastapi", "starlette", "uvicorn"},
    # cryptography signs notices of leaked tokens, and is imported late.
    "drills": {"httpx", "pydantic", "pydantic_core", "yaml", "jinja2", "cryptography", "markdown_it", "markupsafe"},
    # locust and gevent come with the extra `load`.
    # A client of the gateway's that other people's tests load; pytest and httpx are all it has.
    "leakdrill_pytest": {"httpx", "pytest"},
    "loadtest": {"locust", "gevent", "httpx", "pydantic", "yaml", "jinja2"},
}
# Modules of the load test that bring gevent in, which changes the standard library under whoever imports them.
GEVENT_MODULES = {f"loadtest.{name}" for name in ("__main__", "clerk", "users", "fleet", "worker", "run")}
# Floors of the gateway, lowest first. A module may import its own floor and those below it.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "gateway.settings",
        "gateway.clock",
        "gateway.errors",
        "gateway.events",
        "gateway.event_data",
        "gateway.extras",
        "gateway.logs",
    ),
    ("gateway.store", "gateway.outbound"),
    ("gateway.tokens", "gateway.faults", "gateway.signals"),
    (
        "gateway.limits",
        "gateway.clients",
        "gateway.classroom",
        "gateway.jobs",
        "gateway.inputs",
        "gateway.metrics",
        "gateway.revocations",
        "gateway.exercise",
        "gateway.traces",
        "gateway.webhooks",
        "gateway.shares",
        "gateway.notices",
        "gateway.telemetry",
        "gateway.retention",
    ),
    ("gateway.web",),
    (
        "gateway.videos",
        "gateway.fal",
        "gateway.replicate",
        "gateway.together",
        "gateway.hub",
        "gateway.control",
        "gateway.oauth",
        "gateway.hooks",
        "gateway.disclosures",
    ),
    ("gateway.app",),
    ("gateway.serve", "gateway.supervisor"),
    ("gateway.commands", "gateway.cli", "gateway.__main__"),
)
HTTP_ROOMS = next(floor for floor in FLOORS if "gateway.videos" in floor)
# Rooms that know nothing of HTTP.
NO_FASTAPI = tuple(room for floor in FLOORS[:4] for room in floor)
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name, what it imports at all, and what it imports when it is loaded."""

    name: str
    path: Path
    imports: frozenset[str]
    early: frozenset[str]


def modules() -> dict[str, Module]:
    found = {}
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            tree = ast.parse(path.read_text())
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            early = frozenset(imported(tree.body, package))
            found[name] = Module(name, path, frozenset(imported(ast.walk(tree), package)), early)
    return found


def imported(nodes: Iterator[ast.AST] | list[ast.stmt], package: str) -> Iterator[str]:
    """Dotted names: `from a import b` counts as `a` and as `a.b`, which may be a module."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


ALL = modules()


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def floor_of(name: str) -> int | None:
    for number, rooms in enumerate(FLOORS):
        if any(within(name, room) for room in rooms):
            return number
    return None


def room_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def test_there_is_something_to_check() -> None:
    assert len(ALL) > 60
    assert {name.split(".")[0] for name in ALL} == set(PARTS)


@pytest.mark.parametrize("part", THIRD_PARTIES)
def test_a_part_imports_its_own_third_parties_and_no_other_part(part: str) -> None:
    import sys

    allowed = THIRD_PARTIES[part] | set(sys.stdlib_module_names) | {part, "seeds"}
    wrong = {
        (module.name, name)
        for module in ALL.values()
        if within(module.name, part)
        for name in module.imports
        if name.split(".")[0] not in allowed
    }
    assert wrong == set()


def test_the_gateway_reaches_other_parts_from_its_commands_and_worker_only() -> None:
    allowed = {
        "gateway.jobs.worker": {"fake_model"},
        "gateway.jobs.rendering": {"fake_model"},
        "gateway.traces.service": {"fake_model"},
        "gateway.inputs.service": {"fake_model"},
        "gateway.faults.latency": {"seeds"},
    }
    wrong = {
        (module.name, name)
        for module in ALL.values()
        if within(module.name, "gateway") and not within(module.name, "gateway.commands")
        for name in module.imports
        if name.split(".")[0]
        in {"frontend", "fake_model", "drills", "loadtest", "leakdrill_pytest", "seeds"}
        - allowed.get(module.name, set())
    }
    assert wrong == set()


def test_no_other_process_imports_gevent() -> None:
    bring = {module.name for module in ALL.values() if {"gevent", "locust"} & {n.split(".")[0] for n in module.imports}}
    assert bring == GEVENT_MODULES
    wrong = {
        (module.name, name)
        for module in ALL.values()
        if module.name not in GEVENT_MODULES
        for name in module.imports
        if name in GEVENT_MODULES
    }
    assert wrong == set()


def test_every_gateway_module_has_a_floor() -> None:
    assert {name for name in ALL if within(name, "gateway") and name != "gateway" and floor_of(name) is None} == set()


def test_the_gateway_imports_downwards_only() -> None:
    wrong = set()
    for module in ALL.values():
        own = floor_of(module.name)
        if own is None:
            continue
        for name in module.imports & set(ALL):
            other = floor_of(name)
            if other is not None and other > own:
                wrong.add((module.name, name))
    assert wrong == set()


def test_http_rooms_know_neither_each_other_nor_the_store() -> None:
    wrong = {
        (module.name, name)
        for module in ALL.values()
        for room in HTTP_ROOMS
        if within(module.name, room)
        for name in module.imports
        for other in (*HTTP_ROOMS, "gateway.store")
        if other != room and within(name, other)
    }
    assert wrong == set()


def test_the_lower_floors_know_no_http_framework() -> None:
    wrong = {
        (module.name, name)
        for module in ALL.values()
        if any(within(module.name, room) for room in NO_FASTAPI)
        for name in module.imports
        if name.split(".")[0] in {"fastapi", "starlette", "uvicorn", "gradio"}
    }
    assert wrong == set()


def test_sql_lives_in_the_store() -> None:
    verb = re.compile(r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\b")
    wrong = {
        module.name
        for module in ALL.values()
        if not within(module.name, "gateway.store")
        for node in ast.walk(ast.parse(module.path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and verb.match(node.value)
    }
    assert wrong == set()


def test_no_import_cycle() -> None:
    graph = {name: {other for other in module.early & set(ALL) if other != name} for name, module in ALL.items()}
    assert list(cycles(graph)) == []


def cycles(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Strongly connected components with more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> Iterator[set[str]]:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                yield from visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = set()
            while True:
                member = stack.pop()
                component.add(member)
                if member == node:
                    break
            if len(component) > 1:
                yield component

    for start in graph:
        if start not in index:
            yield from visit(start)


def test_the_cycle_finder_finds_cycles() -> None:
    assert list(cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == [{"a", "b", "c"}]
    assert list(cycles({"a": {"b"}, "b": set()})) == []


def test_modules_and_functions_stay_readable() -> None:
    long_modules = {m.name: n for m in ALL.values() if (n := len(m.path.read_text().splitlines())) > MAX_MODULE_LINES}
    long_functions = {
        f"{module.name}.{node.name}": length
        for module in ALL.values()
        for node in ast.walk(ast.parse(module.path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := body_lines(node)) > MAX_FUNCTION_LINES
    }
    assert (long_modules, long_functions) == ({}, {})


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of what a function does: without its signature and its docstring."""
    start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or 0) - start.lineno + 1


def test_refused_module_names() -> None:
    assert {name for name in ALL if name.rpartition(".")[2] in {"utils", "helpers", "misc", "common"}} == set()


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Text files that the repository holds, or would: path and content."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix in {
            ".py",
            ".md",
            ".yaml",
            ".toml",
            ".txt",
            ".html",
            ".j2",
            ".js",
            ".css",
            "",
        }:
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue


def test_no_other_vendors_token_and_no_package_index() -> None:
    # Written in pieces, so that this file does not hold what it looks for.
    prefixes = ["sk" + "-proj-", "gh" + "p_", "github" + "_pat_", "h" + "f_", "pypi" + "-AgE", "r" + "8_", "AK" + "IA"]
    secret = re.compile(rf"\b(?:{'|'.join(prefixes)})[A-Za-z0-9]{{16,}}")
    options = ["--" + "index-url", "--" + "extra-index-url"]
    hosts = ["pypi" + ".org", "python" + "hosted", "registry" + ".npmjs"]
    index = re.compile("|".join(re.escape(word) for word in (*options, *hosts)))
    texts = [(name, text) for name, text in tracked_texts() if name != "tests/test_architecture.py"]
    assert len(texts) > 60
    assert [name for name, text in texts if secret.search(text)] == []
    assert [name for name, text in texts if index.search(text)] == []


def test_words_that_the_house_does_not_use() -> None:
    refused = re.compile(r"\b(blacklist|whitelist|hacker|war game|root cause)\b", re.IGNORECASE)
    texts = [(name, text) for name, text in tracked_texts() if name != "tests/test_architecture.py"]
    assert [(name, found.group()) for name, text in texts if (found := refused.search(text))] == []


def test_nothing_waits_in_a_way_that_loses_a_cancellation() -> None:
    """`asyncio.wait_for` of Python 3.11 does, where what it waits for ends in that turn; `asyncio.timeout` does not."""
    found = [name for name, module in ALL.items() if ".wait_for(" in module.path.read_text()]
    assert found == []
