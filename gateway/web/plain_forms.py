"""The short way through a multipart form that came whole and holds nothing but text fields, as nearly all do.

Clients write such a form in one way only. Where the bytes are that, they are cut at their delimiters; anything else, a
file, another header, a name with an escape, a wrong end, is left to the parser, which reads it or says what is wrong.
"""

from __future__ import annotations

import re
from functools import lru_cache

MOST_BYTES = 64 * 1024
MOST_REMEMBERED = 128  # characters of a part's head
_BEFORE, _BETWEEN = '\r\nContent-Disposition: form-data; name="', '"\r\n\r\n'
_NAME = re.compile(r'[^"%\\\r\n\x80-\U0010ffff]{1,1024}')


def text_fields(boundary: str, raw: bytes, most: int) -> list[tuple[str, str]] | None:
    """At most `most` names and values in their order (RFC 7578, section 4); None where the parser must look at it."""
    if len(raw) > MOST_BYTES:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    # The first delimiter needs no line end before it (RFC 2046, section 5.1.1).
    opening, *parts = f"\r\n{text}".split(f"\r\n--{boundary}")
    if opening or not parts or parts.pop() not in ("--\r\n", "--") or not 0 < len(parts) <= most:
        return None
    fields = []
    for part in parts:
        head, found, value = part.partition(_BETWEEN)
        name = _remembered(head) if len(head) <= MOST_REMEMBERED else _named(head)
        if not found or name is None:
            return None
        fields.append((name, value))
    return fields


def _named(head: str) -> str | None:
    """The name in a part's head up to its end quote; None for a head that is not of the one plain kind."""
    name = head[len(_BEFORE) :]
    return name if head.startswith(_BEFORE) and _NAME.fullmatch(name) is not None else None


_remembered = lru_cache(maxsize=256)(_named)  # forms come again and again with the same few names
