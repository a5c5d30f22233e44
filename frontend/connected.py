"""How many Generate pages are open and visible: those that asked for the state in the last seconds."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable

# A page asks each second while it is visible.
SECONDS = 5.0
MOST = 2000
_NUMBER = re.compile(r"[0-9a-f]{16}")


class Connected:
    """Pages by a random number that each makes when it is loaded and keeps nowhere: it is gone with the page, says
    nothing about who looks at it, and is forgotten here after `SECONDS`. What is kept is bounded."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._asked_at: OrderedDict[str, float] = OrderedDict()

    def asked(self, number: str) -> None:
        """A page with that number asked for the state; anything else is no page of ours."""
        if not _NUMBER.fullmatch(number):
            return
        self._asked_at[number] = self._monotonic()
        self._asked_at.move_to_end(number)
        while len(self._asked_at) > MOST:
            self._asked_at.popitem(last=False)

    def count(self) -> int:
        """How many there are."""
        oldest = self._monotonic() - SECONDS
        while self._asked_at and next(iter(self._asked_at.values())) < oldest:
            self._asked_at.popitem(last=False)
        return len(self._asked_at)

    def words(self) -> str:
        """The same in words."""
        number = self.count()
        return f"{number}{' or more' if number == MOST else ''} page{'' if number == 1 else 's'} connected"
