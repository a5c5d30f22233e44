"""What is built from the tree holds all of it, and works from an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import httpx
import pytest

from gateway.extras import EXTRAS
from leakdrill_pytest import Gateway, Options
from leakdrill_pytest.program import running

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the source archive."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installer makes of it, without what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    for info in wheel.infolist():
        mode = info.external_attr >> 16
        if mode & 0o111:  # the permission that installers take over
            (folder / info.filename).chmod(mode & 0o777)
    return folder


def tracked(*folders: str) -> set[str]:
    """Files of the repository, with those that the next commit would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def test_the_wheel_holds_every_file_of_every_package_and_the_class_material(wheel: zipfile.ZipFile) -> None:
    expected = tracked(*PACKAGES)
    assert {name.split("/")[0] for name in expected} == set(PACKAGES)
    expected |= {name.replace("docs/class", "seeds/class", 1) for name in tracked("docs/class")}
    found = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert found == expected
    assert "leakdrill_pytest/py.typed" in found
    kinds = {Path(name).suffix for name in found}
    assert kinds >= {".py", ".yaml", ".json", ".j2", ".md", ".css", ".js", ".sh"}


def test_the_wheel_says_what_it_needs_and_offers(wheel: zipfile.ZipFile) -> None:
    (info,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    meta = message_from_string(wheel.read(f"{info}/METADATA").decode())
    needs = [line for line in meta.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert not [line for line in needs if re.match(r"gradio|locust|psycopg|c2pa|pytest", line)]
    assert set(meta.get_all("Provides-Extra", [])) == {"page", "postgres", "load", "provenance", "telemetry"}
    assert meta["Requires-Python"] == ">=3.11"
    entries = wheel.read(f"{info}/entry_points.txt").decode()
    assert "leakdrill = gateway.cli:main" in entries
    # The name of the module itself: `-p leakdrill_pytest` then loads it once, however it was found.
    assert "[pytest11]\nleakdrill_pytest = leakdrill_pytest" in entries


def test_the_source_archive_holds_what_builds_and_tests_it(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        found = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert tracked(*PACKAGES, "docs/class", "tests", "samples") <= found
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile"} <= found
    assert not [name for name in found if name.startswith((".venv", ".leakdrill", "dist"))]


COMMANDS = (
    (["--help"], "Rehearse a token leak"),
    (["drill", "list"], "november-2024"),
    (["drill", "lint", "november-2024"], ""),
    (["drill", "notes", "november-2024"], "inject"),
    (["drill", "schema"], "$schema"),
    (["runbook", "list"], "revoke-by-script"),
    (["runbook", "copy", "revoke-by-script", "mine"], ""),
    (["runbook", "lint", "mine/revoke-by-script.yaml"], ""),
    (["class", "print", "--out", "class"], ""),
    (["load", "--list"], "steady"),
    (["render", "a dog on a skateboard", "-o", "clip.mp4", "--size", "480x480", "--seconds", "1"], "clip.mp4: 480x480"),
)


def test_commands_work_from_what_was_installed_in_an_empty_directory(installed: Path, tmp_path: Path) -> None:
    """Dependencies are this environment's; everything of leakdrill's own is the wheel's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    env = {**kept, "PYTHONPATH": str(installed)}
    where = [sys.executable, "-P", "-c", "import gateway, seeds; print(gateway.__file__, seeds.__file__)"]
    printed = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout
    assert printed.split() == [str(installed / name / "__init__.py") for name in ("gateway", "seeds")]
    for words, expected in COMMANDS:
        command = [sys.executable, "-P", "-m", "gateway", *words]
        ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, (words, ran.stdout, ran.stderr)
        assert expected in ran.stdout, words
    assert os.access(tmp_path / "mine" / "revoke.sh", os.X_OK)
    assert len(list((tmp_path / "class").glob("**/*.html"))) > 3
    assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_plain_installation_makes_videos_without_any_extra(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each module of an extra is there, and fails where anything imports it."""
    for module in (module for modules in EXTRAS.values() for module in modules):
        blocked = tmp_path.joinpath("blocked", *module.split("."))
        blocked.mkdir(parents=True)
        (blocked / "__init__.py").write_text(f"raise ImportError('{module} was imported')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "blocked"), str(installed)]))
    with running(Options(), tmp_path) as program, Gateway(program) as gateway:
        order = {"prompt": "rain", "seconds": "4"}
        headers = gateway.issue().headers
        made = httpx.post(f"{gateway.openai_base_url}/videos", json=order, headers=headers, trust_env=False).json()
        gateway.wait_for("job.completed", job=made["id"], within=60)


def test_what_only_prints_help_imports_little() -> None:
    code = "import sys, gateway.cli; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pydantic", "fastapi", "httpx", "numpy", "gradio", "rich", "yaml", "asyncio"} & set(ran.stdout.split())
