"""What a reporter has found and not yet seen taken: a file for each batch, so that whoever stops it loses nothing.

A batch is written before it is sent for the first time, and removed once its answer was read. So one that was sent and
not answered is sent again, which the receiver must bear; that is the only doubt a reporter can have. The files hold the
tokens themselves, and only the owner may read them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import OperatorError

DIRECTORY = "disclosure-spool"


@dataclass(frozen=True)
class Spooled:
    """A batch as it waits: its file and the body to send."""

    path: Path
    body: bytes


class Spool:
    """The spool of a data directory. Several reporters may have it open."""

    def __init__(self, data: Path) -> None:
        self.path = data / DIRECTORY

    def add(self, body: bytes) -> None:
        """Keeps a batch behind those that wait; raises OperatorError where that cannot be done."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            draft = self.path / f".{os.getpid()}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            self._enter(draft, hashlib.sha256(body).hexdigest()[:16])
        except OSError as exc:
            raise OperatorError(f"cannot keep a batch in {self.path}: {exc.strerror}") from exc

    def _enter(self, draft: Path, digest: str) -> None:
        """Gives a whole file its place. The content is part of its name: a name stands for one batch for ever, so that
        nobody removes another one under it."""
        waiting = self._files()
        number = int(waiting[-1].name[:8]) + 1 if waiting else 1
        while True:
            try:
                os.link(draft, self.path / f"{number:08d}-{digest}.json")
            except FileExistsError:
                number += 1
            else:
                draft.unlink()
                return

    def oldest(self) -> Spooled | None:
        """The batch to send next; raises OperatorError where it cannot be read."""
        for path in self._files():
            try:
                return Spooled(path, path.read_bytes())
            except FileNotFoundError:  # another reporter has just seen it taken
                continue
            except OSError as exc:
                raise OperatorError(f"cannot read {path}: {exc.strerror}") from exc
        return None

    def remove(self, spooled: Spooled) -> None:
        """Forgets a batch that was taken."""
        spooled.path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._files())

    def _files(self) -> list[Path]:
        """Oldest first. What begins with a dot is not whole."""
        return sorted(path for path in self.path.glob("*.json") if not path.name.startswith("."))
