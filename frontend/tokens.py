"""The access the page was given: tokens from its environment, and from a file that may change while it runs."""

from __future__ import annotations

import random
from pathlib import Path

from frontend.settings import TOKEN


class PageTokens:
    """Spreads generations over all the tokens of the page, the way the page of the incident did."""

    def __init__(self, fixed: tuple[str, ...], file: Path | None, rng: random.Random) -> None:
        self._fixed = fixed
        self._file = file
        self._rng = rng
        self._seen: tuple[int, int, int] | None = None
        self._from_file: tuple[str, ...] = ()
        self._given: str | None = None
        self._worked: set[str] = set()

    def current(self) -> tuple[str, ...]:
        self._reread()
        if self._given is not None:
            return (self._given,)
        return tuple(dict.fromkeys((*self._fixed, *self._from_file)))

    def pick(self) -> str | None:
        tokens = self.current()
        return self._rng.choice(tokens) if tokens else None

    def give(self, token: str) -> None:
        """The page uses this token and no other, until its file changes or the process ends."""
        self._reread()
        self._given = token

    def note_worked(self, token: str) -> None:
        """The gateway took an order with this token."""
        self._worked.add(token)

    def worked(self, token: str) -> bool:
        """Whether the gateway ever took an order with this token, since the page started."""
        return token in self._worked

    def _reread(self) -> None:
        if self._file is None:
            return
        try:
            stat = self._file.stat()
            # Size and inode too: two writes can share one tick of a coarse file clock.
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._from_file = _parse(self._file.read_text(encoding="utf-8", errors="replace"))
                self._seen, self._given = seen, None
        except OSError:
            self._from_file, self._seen = (), None


def _parse(text: str) -> tuple[str, ...]:
    """One token per line; blank lines, `#` comments and lines that cannot be a token are passed over."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if not line.startswith("#") and TOKEN.fullmatch(line))
