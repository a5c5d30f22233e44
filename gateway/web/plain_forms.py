"""The short way through a multipart form that came whole and holds nothing but text fields, as nearly all do.

Clients write such a form in one way only. Where the bytes are that, they are cut at their delimiters; anything else, a
file, another header, a name with an escape, a wrong end, is left to the parser, which reads it or says what is wrong.
"""

from __future__ import annotations

import re

MOST_BYTES = 64 * 1024
_BEFORE, _BETWEEN = b'\r\nContent-Disposition: form-data; name="', b'"\r\n\r\n'
_FROM = len(_BEFORE)
_NAME = re.compile(rb'[^"%\\\r\n\x80-\xff]{1,1024}')


def text_fields(boundary: str, raw: bytes, most: int) -> list[tuple[str, str]] | None:
    """At most `most` names and values in their order (RFC 7578, section 4); None where the parser must look at it."""
    if len(raw) > MOST_BYTES:
        return None
    # The first delimiter needs no line end before it (RFC 2046, section 5.1.1).
    opening, *parts = (b"\r\n" + raw).split(b"\r\n--" + boundary.encode())
    if opening or not parts or parts.pop() not in (b"--\r\n", b"--") or not 0 < len(parts) <= most:
        return None
    fields = []
    for part in parts:
        head, found, value = part.partition(_BETWEEN)
        name = head[_FROM:]
        if not found or not head.startswith(_BEFORE) or _NAME.fullmatch(name) is None:
            return None
        try:
            fields.append((name.decode(), value.decode()))
        except UnicodeDecodeError:
            return None
    return fields
