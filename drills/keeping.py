"""Keeping a journal whatever happens, and then the reports.

A disk may be full. What was measured cannot be measured again, so the journal goes wherever it fits: into its
directory, else there compressed, else into the system's temporary directory, plain or compressed.
"""

import gzip
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from drills.errors import DrillError
from drills.journal import write_atomically

NAME = "journal.json"


class OutUnusable(DrillError):
    """Nothing can be written where the reports shall go."""

    exit_code = 2


@dataclass(frozen=True)
class Kept:
    """The files that were written, by name. `error` says what was not."""

    paths: dict[str, Path]
    error: DrillError | None


def make_room(out: Path) -> None:
    """See before the work that its results can be written. Raises OutUnusable."""
    fresh = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as stream:
            stream.write(b"x")
    except OSError as error:
        raise OutUnusable(f"{out}: reports cannot be written there: {error.strerror}") from error
    if fresh:
        out.rmdir()  # a drill that never begins leaves nothing behind


def keep(journal: BaseModel, out: Path, render: Callable[[Path, Path], dict[str, Path]]) -> Kept:
    """Write journal and reports. Never raises for a disk that does not take them."""
    text = journal.model_dump_json(indent=1) + "\n"
    path, refused = _keep_text(text, out)
    if path is None:
        return Kept({}, DrillError(f"the journal could not be written anywhere: {refused}"))
    where = f"; the journal is in {path}" if path != out / NAME else ""
    try:
        paths = render(path, out)
    except OSError as error:
        words = f"the reports could not be written: {error.strerror}; `leakdrill drill report {path}` writes them again"
        return Kept({path.name: path}, DrillError(words))
    return Kept({path.name: path, **paths}, DrillError(f"{refused}{where}") if refused else None)


def _keep_text(text: str, out: Path) -> tuple[Path | None, str]:
    """Where the journal went, and what the first place answered; empty where that took it."""
    refused = ""
    spare = Path(tempfile.gettempdir()) / f"leakdrill-{out.resolve().name}"
    for folder in (out, spare):
        for name, content in ((NAME, text.encode()), (f"{NAME}.gz", gzip.compress(text.encode(), mtime=0))):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_atomically(folder / name, content)
            except OSError as error:
                refused = refused or f"{folder / name} could not be written: {error.strerror}"
            else:
                return folder / name, refused
    with suppress(OSError):  # it may hold what an earlier drill has kept
        spare.rmdir()
    return None, refused
