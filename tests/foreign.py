"""Clients that do not fit into the tests' own environment: installed once, from pinned files, under pytest's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL_SECONDS = 600


def unavailable(reason: str) -> NoReturn:
    """Skips the test with the reason, or fails it where LEAKDRILL_REQUIRE=all."""
    if os.environ.get("LEAKDRILL_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)


def installed(cache: pytest.Cache, name: str, files: Sequence[Path], *commands: Sequence[str]) -> Path:
    """A folder with copies of `files`, in which `commands` have run to their end; a change of a file makes another."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    folder = cache.mkdir(f"{name}-{digest}")
    done = folder / ".installed"
    if done.exists():
        return folder
    for path in files:
        shutil.copy(path, folder)
    for command in commands:
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if ran.returncode != 0:
            unavailable(f"could not install {name}: `{' '.join(command)}` in {folder}: {ran.stderr.strip()[-500:]}")
    done.touch()
    return folder
