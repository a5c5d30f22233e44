"""Render whatever journal it is, a drill's or a watch's."""

import json
from pathlib import Path

from drills.errors import JournalError
from drills.journal import load_journal, read_journal
from drills.report import render_all
from drills.watch.report import OBJECTIVES, load_watch, render_watch


def is_watch(path: Path) -> bool:
    """Whether the file is the journal of a watch. Raises JournalError for what is no JSON object."""
    try:
        found = json.loads(read_journal(path))
    except (ValueError, RecursionError) as error:
        raise JournalError(f"{path}: not a drill journal: the file: {error}") from error
    return isinstance(found, dict) and found.get("format") == "watch-1"


def render(path: Path, out: Path) -> dict[str, Path]:
    """Write a journal's reports into `out`; their paths by file name. Raises JournalError."""
    return render_watch(path, out) if is_watch(path) else render_all(path, out)


def objectives_of(path: Path) -> list[str]:
    """The ids of what can be rated. Raises JournalError."""
    if is_watch(path):
        load_watch(path)
        return [one.id for one in OBJECTIVES]
    return [one.id for one in load_journal(path).scenario.objectives]
