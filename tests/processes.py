"""What this process has started and not ended, as the system knows it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest


def children() -> str:
    """Command names of this process's children, in one text. Skips the test where the system does not tell."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    if not tasks.exists():
        pytest.skip("needs /proc")
    found = []
    for task in tasks.iterdir():
        # A thread, or a child, may end between being listed and being asked: then it has no children, or is none.
        with suppress(FileNotFoundError, ProcessLookupError):
            for pid in (task / "children").read_text().split():
                with suppress(FileNotFoundError, ProcessLookupError):
                    found.append(Path(f"/proc/{pid}/comm").read_text().strip())
    return " ".join(found)
