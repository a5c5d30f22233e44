"""What seats are called."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from gateway.errors import InvalidRequest

# Unicode's categories of control characters, halves of pairs, and what is not assigned or breaks a line.
_UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})


def standard_name(number: int) -> str:
    """What a seat is called unless a name was given for it, and what its token is called in any case."""
    return f"Student {number:02}"


def tidied(names: Iterable[str]) -> list[str]:
    """The names as they are kept: one line each, in any script, no two that a student could take for one another."""
    tidy: dict[str, str] = {}
    for name in names:
        if not name.strip() or any(unicodedata.category(letter) in _UNSEEN for letter in name):
            raise InvalidRequest(f"The name {name!r} is not one line of characters that show.", param="names")
        if folded(name) in tidy:
            raise InvalidRequest(f"The name {name!r} stands twice in the list.", param="names")
        tidy[folded(name)] = " ".join(name.split())
    return list(tidy.values())


def folded(name: str) -> str:
    """The name without case and with single spaces, by which it is looked for."""
    return " ".join(name.split()).casefold()
