"""A request's body, whichever form it comes in, as values and spooled files.

OpenAI's Python client always sends multipart to `POST /videos`; others send JSON or urlencoded forms. All mean the
same: keys in brackets are folded (`video[id]`, `characters[][id]`), and what carries a filename is written to disk as
it arrives, so that an upload costs no memory.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from gateway.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from gateway.web.context import Context

MAX_PARTS = 64
MAX_HEADER_BYTES = 4096
# Room for a picture of 20,971,520 characters as a data URL, the vendor's limit, and the fields beside it.
MAX_TEXT_BYTES = 22 * 1024 * 1024
HEAD_BYTES = 64

_KEY = re.compile(r"([^\[\]]+)(\[\])?(?:\[([^\[\]]+)\])?")


@dataclass
class Upload:
    """A file that came with a form. `head` holds its first 64 bytes, `size` is bytes; the part's own media type is not
    kept, because clients guess it."""

    field: str
    filename: str
    path: Path
    size: int = 0
    head: bytes = b""

    def keep(self, target: Path) -> Path:
        """Moves the file to `target`, where it outlives the request."""
        return self.path.rename(target)


@dataclass
class Body:
    """`values` are strings from forms, any JSON from JSON; None counts as absent."""

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)


@asynccontextmanager
async def read_body(request: Request, ctx: Context) -> AsyncIterator[Body]:
    """The body of this request; files that were not kept are gone when the context ends.

    Raises UnsupportedMediaType, PayloadTooLarge, or InvalidRequest for a body that is malformed or breaks off.
    """
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind == "multipart/form-data":
        form = _Form(request.headers["content-type"], ctx.settings.data / "inputs")
        try:
            async for chunk in request.stream():
                form.feed(chunk)
            yield form.finished()
        finally:
            form.discard()
    elif kind == "application/json":
        yield Body(_from_json(await _text(request)))
    elif kind == "application/x-www-form-urlencoded":
        yield Body(_from_urlencoded(await _text(request)))
    else:
        raise UnsupportedMediaType(
            f"The content type {kind[:80] or '(none)'!r} is not read here; "
            "send multipart/form-data or application/json."
        )


async def _text(request: Request) -> bytes:
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_TEXT_BYTES:
            raise PayloadTooLarge(f"A body without files may have {MAX_TEXT_BYTES} bytes at the most.")
        parts.append(chunk)
    return b"".join(parts)


def _from_json(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"The body is not valid JSON: {exc}.", code="invalid_json") from exc
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object with the video's parameters.", code="invalid_json")
    # None means the same as an absent field, as OpenAI's clients treat it.
    return {name: item for name, item in value.items() if item is not None}


def _from_urlencoded(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("ascii")
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            errors="strict",
            max_num_fields=MAX_PARTS,
        )
    except ValueError as exc:
        raise InvalidRequest(f"The form is malformed: {exc}.", code="invalid_form") from exc
    values: dict[str, Any] = {}
    for name, value in pairs:
        fold(values, name, value)
    return values


def fold(values: dict[str, Any], name: str, value: str) -> None:
    """Puts one form field into `values`; raises InvalidRequest where it is given twice or its brackets are odd."""
    if "[" not in name and "]" not in name:
        if name in values:
            raise InvalidRequest(f"{name[:80]!r} is given twice.", param=name[:80])
        values[name] = value
        return
    matched = _KEY.fullmatch(name)
    if matched is None:
        raise InvalidRequest(
            f"{name[:80]!r} is not a name that is read here; brackets go like video[id] or characters[][id].",
            param=name[:80],
            code="unknown_parameter",
        )
    outer, listed, inner = matched.groups()
    present = values.setdefault(outer, [] if listed else {})
    if isinstance(present, list) and listed:
        if inner is None:
            present.append(value)
            return
        if not present or not isinstance(present[-1], dict) or inner in present[-1]:
            present.append({})
        present[-1][inner] = value
    elif isinstance(present, dict) and not listed and inner is not None and inner not in present:
        present[inner] = value
    else:
        raise InvalidRequest(f"{outer[:80]!r} is given twice, or in two forms at once.", param=outer[:80])


class _Form:
    """A multipart form as it arrives (RFC 7578)."""

    def __init__(self, content_type: str, folder: Path) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary or len(boundary) > 200:
            raise _malformed("its content type names no boundary")
        self._folder = folder
        self._body = Body()
        self._header = b""
        self._content = b""
        self._disposition = b""
        self._name = ""
        self._text: list[bytes] = []
        self._text_bytes = self._header_bytes = self._parts = 0
        self._upload: Upload | None = None
        self._file: IO[bytes] | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        if not chunk:
            return
        try:
            self._parser.write(chunk)
        except MultipartParseError as exc:
            raise _malformed(str(exc).rstrip(".")) from exc

    def finished(self) -> Body:
        # A body that breaks off must not pass as a shorter one: the closing delimiter ends it (RFC 2046, 5.1.1).
        if self._parser.state != MultipartState.END:
            raise _malformed("it breaks off before its closing boundary")
        return self._body

    def discard(self) -> None:
        """Removes what was not kept."""
        if self._file is not None:
            self._file.close()
        for upload in (*self._body.files.values(), *([self._upload] if self._upload else [])):
            upload.path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _malformed(f"it has more than {MAX_PARTS} parts")
        self._header_bytes = 0
        self._disposition = b""
        self._text = []

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._content += data[start:end]

    def _count_header(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _malformed(f"a part's headers are longer than {MAX_HEADER_BYTES} bytes")

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._content
        self._header = self._content = b""

    def _on_headers_finished(self) -> None:
        self._name, filename = _names(self._disposition)
        if filename is None:
            return
        if self._name in self._body.files:
            raise InvalidRequest(f"{self._name[:80]!r} is given twice.", param=self._name[:80])
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.NamedTemporaryFile(dir=self._folder, prefix="incoming-", delete=False)  # noqa: SIM115
        self._upload = Upload(self._name, filename, Path(self._file.name))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._upload is None or self._file is None:
            self._text_bytes += len(piece)
            if self._text_bytes > MAX_TEXT_BYTES:
                raise PayloadTooLarge(f"The text fields of a form may have {MAX_TEXT_BYTES} bytes at the most.")
            self._text.append(piece)
            return
        if self._upload.size < HEAD_BYTES:
            self._upload.head = (self._upload.head + piece)[:HEAD_BYTES]
        self._upload.size += len(piece)
        self._file.write(piece)

    def _on_part_end(self) -> None:
        if self._upload is not None and self._file is not None:
            self._file.close()
            self._body.files[self._name] = self._upload
            self._upload = self._file = None
            return
        try:
            text = b"".join(self._text).decode()
        except UnicodeDecodeError as exc:
            raise _malformed(f"{self._name[:80]!r} is not UTF-8 text") from exc
        fold(self._body.values, self._name, text)


@lru_cache(maxsize=256)
def _names(disposition: bytes) -> tuple[str, str | None]:
    """The field's name, and the file's where it is a file."""
    kind, options = parse_options_header(disposition)
    if kind != b"form-data" or not options.get(b"name"):
        raise _malformed("a part has no Content-Disposition: form-data with a name")
    name = options[b"name"].decode(errors="replace")
    filename = options.get(b"filename")
    return name, None if filename is None else filename.decode(errors="replace")[:255]


def _malformed(why: str) -> InvalidRequest:
    return InvalidRequest(f"The form is malformed: {why}.", code="invalid_form")
