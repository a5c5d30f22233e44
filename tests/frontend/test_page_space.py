"""The folder is a Space as it is: its front matter, its requirements, and a start from a copy of it alone."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio
import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
SPACE = ROOT / "frontend"
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
# The distribution that each module of another origin comes with.
BRINGS = {"gradio": "gradio", "httpx": "httpx", "yaml": "pyyaml", "fastapi": "fastapi", "uvicorn": "uvicorn"}


def front_matter() -> dict[str, Any]:
    _, head, body = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert body.strip()
    found: dict[str, Any] = yaml.safe_load(head)
    return found


def pinned() -> dict[str, str]:
    """Every distribution that leakdrill is tested with."""
    text = (ROOT / "requirements.txt").read_text()
    return {
        name.lower(): version for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", text, re.MULTILINE)
    }


def requirements() -> dict[str, Requirement]:
    lines = (SPACE / "requirements.txt").read_text().split()
    return {Requirement(line).name.lower(): Requirement(line) for line in lines}


def test_the_front_matter_is_that_of_a_space() -> None:
    said = front_matter()
    assert said["sdk"] == "gradio"
    assert said["sdk_version"] == pinned()["gradio"] == gradio.__version__
    assert (SPACE / said["app_file"]).is_file()
    assert {said["colorFrom"], said["colorTo"]} <= COLOURS
    assert len(said["short_description"]) <= 60
    project = re.search(r'^requires-python = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert f"{said['python_version']}.0" in SpecifierSet(project[1])
    assert "EXERCISE" in (SPACE / "README.md").read_text(encoding="utf-8")


def test_the_requirements_are_what_the_page_imports_in_versions_that_are_tested() -> None:
    listed, locked = requirements(), pinned()
    imported = {
        name.split(".")[0]
        for path in SPACE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    foreign = imported - set(sys.stdlib_module_names) - {"frontend"}
    assert {BRINGS[name] for name in foreign} == set(listed)
    for name, requirement in listed.items():
        assert locked[name] in requirement.specifier, name
    assert str(listed["gradio"].specifier) == f"=={locked['gradio']}"


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A copy of the folder under another name, with nothing beside it."""
    copy = tmp_path / "app"
    shutil.copytree(SPACE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def lonely(copy: Path) -> dict[str, str]:
    """An environment in which Python finds the requirements and the copy, but no other part of leakdrill: without
    `site` the links to a checkout are not followed."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(copy.parent),
        "PYTHONPATH": os.pathsep.join((str(copy), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def started(alone: Path, free_port: int) -> Iterator[str]:
    environment = lonely(alone) | {
        "SPACE_ID": "someone/generate",
        "LEAKDRILL_PAGE_HOST": "127.0.0.1",
        "LEAKDRILL_PAGE_PORT": str(free_port),
        "LEAKDRILL_GATEWAY_URL": "http://127.0.0.1:9",
        "LEAKDRILL_PAGE_TOKENS": "ldk_canary",
    }
    log = alone.parent / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-S", front_matter()["app_file"]], cwd=alone, env=environment, stdout=file, stderr=file
        )
        url, deadline = f"http://127.0.0.1:{free_port}", time.monotonic() + 60
        try:
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                try:
                    if httpx.get(f"{url}/state", trust_env=False).is_success:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def test_no_other_part_of_leakdrill_is_found_beside_the_copy(alone: Path) -> None:
    """Of the seeds an installation may have a folder of material there, which is no package."""
    for part in ("gateway", "drills", "seeds", "fake_model"):
        look = f"from importlib.util import find_spec; found = find_spec({part!r}); print(found and found.origin)"
        found = subprocess.run(
            [sys.executable, "-S", "-c", look], cwd=alone, env=lonely(alone), capture_output=True, text=True
        )
        assert (found.stdout, found.stderr) == ("None\n", "")


def test_a_copy_of_the_folder_alone_starts_and_is_the_whole_page(started: str) -> None:
    state = httpx.get(f"{started}/state", trust_env=False).json()
    assert (state["phase"], state["access"]) == ("away", True)
    config = httpx.get(f"{started}/config", trust_env=False).text
    for word in ("a dog on a skateboard", "Join a class", "Your own token", "EXERCISE"):
        assert word in config
    page = httpx.get(started, trust_env=False)
    assert page.is_success
    assert "ldk_canary" not in page.text + config
    assert httpx.get(f"{started}/favicon.ico", trust_env=False).headers["content-type"] == "image/svg+xml"
