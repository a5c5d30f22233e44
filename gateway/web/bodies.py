"""A request's body, whichever form it comes in, as values and spooled files.

OpenAI's Python client always sends multipart to `POST /videos`; others send JSON or urlencoded forms. All mean the
same: keys in brackets are folded (`video[id]`, `characters[][id]`), and what carries a filename is written to disk as
it arrives, so that an upload costs no memory.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl

from fastapi import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from gateway.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from gateway.web.context import Context
from gateway.web.plain_forms import text_fields

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


def read_body(request: Request, ctx: Context) -> AbstractAsyncContextManager[Body]:
    """The body of this request; files that were not kept are gone when the context ends.

    Raises UnsupportedMediaType, PayloadTooLarge, or InvalidRequest for a body that is malformed or breaks off.
    """
    return _Reading(request, ctx)


async def read_json(request: Request, ctx: Context) -> Body:
    """The body of a request that takes JSON alone; raises as `read_body` does."""
    reading = _Reading(request, ctx)
    kind = reading.kind
    if kind != "application/json":
        raise UnsupportedMediaType(
            f"The content type {kind[:80] or '(none)'!r} is not read here; send application/json."
        )
    return await reading.from_json()


class _Reading(AbstractAsyncContextManager[Body, None]):
    """`read_body`'s context; as a generator it would cost every create more than the reading of a plain form."""

    def __init__(self, request: Request, ctx: Context) -> None:
        self._request = request
        self._data = ctx.settings.data
        self._given = _content_type(request)
        self.kind = self._given.partition(";")[0].strip().lower()  # the media type, without its parameters
        self._form: _Form | None = None

    async def __aenter__(self) -> Body:
        kind = self.kind
        if kind == "multipart/form-data":
            return await self._from_multipart(self._given)
        if kind == "application/json":
            return await self.from_json()
        if kind == "application/x-www-form-urlencoded":
            return Body(_from_urlencoded(await self._text()))
        raise UnsupportedMediaType(
            f"The content type {kind[:80] or '(none)'!r} is not read here; "
            "send multipart/form-data or application/json."
        )

    async def from_json(self) -> Body:
        """The body as JSON."""
        return Body(_from_json(await self._text()))

    async def __aexit__(self, *_: object) -> None:
        if self._form is not None:
            self._form.discard()

    async def _from_multipart(self, content_type: str) -> Body:
        boundary = _boundary(content_type)
        chunk, more = await self._received()
        fields = None if more else text_fields(boundary, chunk, MAX_PARTS)
        if fields is not None:
            values: dict[str, Any] = {}
            for name, value in fields:
                fold(values, name, value)
            return Body(values)
        form = _Form(boundary, self._data)
        try:
            form.feed(chunk)
            while more:
                chunk, more = await self._received()
                form.feed(chunk)
            body = form.finished()
        except BaseException:
            form.discard()
            raise
        self._form = form
        return body

    async def _received(self) -> tuple[bytes, bool]:
        """The next piece of the body, and whether more follows."""
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        return message.get("body", b""), message.get("more_body", False)

    async def _text(self) -> bytes:
        parts, size, more = [], 0, True
        while more:
            chunk, more = await self._received()
            size += len(chunk)
            if size > MAX_TEXT_BYTES:
                raise PayloadTooLarge(f"A body without files may have {MAX_TEXT_BYTES} bytes at the most.")
            parts.append(chunk)
        return b"".join(parts)


def _content_type(request: Request) -> str:
    for name, value in request.scope["headers"]:  # not `request.headers`, which costs each create more
        if name == b"content-type":
            return str(value.decode("latin-1"))
    return ""


def _from_json(raw: bytes) -> dict[str, Any]:
    try:
        # As json.loads does, which would make a decoder for each call.
        value = _DECODER.decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"The body is not valid JSON: {exc}.", code="invalid_json") from exc
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object with the video's parameters.", code="invalid_json")
    # None means the same as an absent field, as OpenAI's clients treat it.
    return {name: item for name, item in value.items() if item is not None}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are unique, as RFC 8259, section 4, asks; readers disagree about what another one means."""
    values = dict(pairs)
    if len(values) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = counts.most_common(1)[0][0][:80]
        printable = twice.encode("utf-8", "backslashreplace").decode()
        raise InvalidRequest(f"{twice!r} is given twice.", param=printable)
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


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

    def __init__(self, boundary: str, data: Path) -> None:
        self._data = data
        self._body = Body()
        self._text: list[bytes] = []
        self._text_bytes = 0
        self._upload: Upload | None = None
        self._file: IO[bytes] | None = None
        self._segment: MultipartSegment | None = None
        self._closing = f"--{boundary}--".encode()
        self._tail = b""  # the last bytes, as many as the closing delimiter and a line end have
        self._ended = False
        try:
            self._parser = PushMultipartParser(
                boundary, max_header_size=MAX_HEADER_BYTES, max_segment_count=MAX_PARTS, strict=True
            )
        except MultipartError as exc:
            raise _malformed(str(exc)) from exc

    def feed(self, chunk: bytes) -> None:
        # What follows the closing delimiter is nobody's (RFC 2046, section 5.1.1), even if it is a chunk of its own.
        if not chunk or self._ended:
            return
        between = False
        try:
            for event in self._parser.parse(chunk):
                between = event is None
                if event is None:
                    self._end()
                elif isinstance(event, MultipartSegment):
                    self._begin(event)
                else:
                    self._take(event)
        except MultipartError as exc:
            raise _malformed(str(exc)) from exc
        most = len(self._closing) + 2
        self._tail = (self._tail + chunk[-most:])[-most:]
        self._ended = between and self._tail.rstrip(b"\r\n").endswith(self._closing)

    def finished(self) -> Body:
        # A body that breaks off must not pass as a shorter one: the closing delimiter ends it (RFC 2046, 5.1.1).
        try:
            self._parser.close()
        except MultipartError as exc:
            raise _malformed("it breaks off before its closing boundary") from exc
        return self._body

    def discard(self) -> None:
        """Removes what was not kept."""
        if self._file is not None:
            self._file.close()
        for upload in (*self._body.files.values(), *([self._upload] if self._upload else [])):
            upload.path.unlink(missing_ok=True)

    def _begin(self, segment: MultipartSegment) -> None:
        self._segment = segment
        self._text = []
        if segment.filename is None:
            return
        if segment.name in self._body.files:
            raise InvalidRequest(f"{segment.name[:80]!r} is given twice.", param=segment.name[:80])
        folder = self._data / "inputs"
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.NamedTemporaryFile(dir=folder, prefix="incoming-", delete=False)  # noqa: SIM115
        self._upload = Upload(segment.name, segment.filename[:255], Path(self._file.name))

    def _take(self, piece: bytes) -> None:
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

    def _end(self) -> None:
        name = self._segment.name if self._segment is not None else ""
        if self._upload is not None and self._file is not None:
            self._file.close()
            self._body.files[name] = self._upload
            self._upload = self._file = None
            return
        try:
            text = b"".join(self._text).decode()
        except UnicodeDecodeError as exc:
            raise _malformed(f"{name[:80]!r} is not UTF-8 text") from exc
        fold(self._body.values, name, text)


@lru_cache(maxsize=64)
def _boundary(content_type: str) -> str:
    _, options = parse_options_header(content_type)
    boundary: str = options.get("boundary", "")
    if not boundary or len(boundary) > 200:
        raise _malformed("its content type names no boundary")
    return boundary


def _malformed(why: str) -> InvalidRequest:
    return InvalidRequest(f"The form is malformed: {why}.", code="invalid_form")
