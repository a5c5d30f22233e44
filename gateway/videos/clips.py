"""A clip or a still as a response: streamed from disk, with ranges and validators, and the envelope where one fails.

What is sent may be kept by a client, but must be asked for again before each use (`no-cache`), and asking takes the
token: the bearer or the link is judged before any validator is looked at, so a revoked one is answered 401 and never
304. `no-store` would say no more, and would keep players and download managers from resuming.

A body under way is noted with its token. Where a revocation cuts it, its connection is reset: the client sees a body
that is too short, and what had not left this machine is thrown away.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

from fastapi.responses import FileResponse, Response
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from gateway.errors import APIError, InvalidRequest, RangeNotSatisfiable
from gateway.jobs import Job, outputs
from gateway.jobs.outputs import Variant
from gateway.revocations.transfers import Transfers
from gateway.revocations.watch import Open
from gateway.web.answers import answer, count_refusal
from gateway.web.faults import sever, unsent, until_gone
from gateway.web.surfaces import surface_of

MEDIA_TYPES: dict[Variant, str] = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
CACHING = "private, no-cache"

_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[str, Any] = {"content": dict.fromkeys(MEDIA_TYPES.values(), _BYTES)}
_ENVELOPE = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
#: For `responses=` of endpoints that answer with a clip.
CLIP_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", **_FILE},
    206: {
        "description": "Parts of it (RFC 9110, section 15.3.7).",
        "content": {**_FILE["content"], "multipart/byteranges": _BYTES},
    },
    304: {"description": "It is still the one that `If-None-Match` or `If-Modified-Since` speaks of."},
    404: {"description": "No such video, its files are gone, or it has no preview now.", "content": _ENVELOPE},
    409: {"description": "The video is not completed.", "content": _ENVELOPE},
    416: {"description": "The range lies outside the file.", "content": _ENVELOPE},
}


class _CutError(Exception):
    """Leaves a response where it is. Never seen outside of this module."""


class ClipResponse(FileResponse):
    """A finished job's file.

    Starlette answers a bad range in plain text and breaks down where a file is gone by the time it is opened; both
    become the envelope. Conditions are those of RFC 9110, section 13, for GET and HEAD.
    """

    chunk_size = 256 * 1024

    def __init__(self, path: Path, job: Job, variant: Variant, transfers: Transfers, status_code: int = 200) -> None:
        try:
            found = path.stat()
        except FileNotFoundError as exc:
            raise outputs.gone(job.id, variant) from exc
        self._job = job
        self._transfers = transfers
        self._handed = False
        self._gone = outputs.gone(job.id, variant)
        self._modified = int(job.completed_at or found.st_mtime)
        # A file is written once, under its attempt's name: name, size and time stand for its content.
        content = f"{path.name} {found.st_size} {found.st_mtime_ns}"
        self._etag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
        super().__init__(
            path,
            status_code,
            media_type=MEDIA_TYPES[variant],
            filename=f"{job.id}{path.suffix}",
            stat_result=found,
            content_disposition_type="inline",
            headers=self._validators(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _unchanged(Headers(scope=scope), self._etag, self._modified):
            await Response(status_code=304, headers=self._validators())(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            await self._stream(scope, receive, send)
            return
        surface, use = f"GET {getattr(scope.get('route'), 'path', scope.get('path', ''))}", surface_of(scope)
        transfer = self._transfers.begin(self._job.accessor, self._job.id, surface, use, lambda: self._stop(scope))
        whole = False
        try:
            await self._stream(scope, receive, self._noting(send, transfer))
            whole = True
        except _CutError:
            await until_gone(scope, receive)
        finally:
            await self._transfers.end(transfer, whole=whole)

    def _noting(self, send: Send, transfer: Open) -> Send:
        async def noting(message: Message) -> None:
            if transfer.cut:
                raise _CutError
            await send(message)
            self._handed = message["type"] == "http.response.body" and not message.get("more_body", False)
            self._transfers.passed(transfer, len(message.get("body", b"")))

        return noting

    def _stop(self, scope: Scope) -> bool:
        """Resets the connection, unless all of this response has left: then it may serve somebody else by now."""
        if self._handed and not unsent(scope):
            return False
        sever(scope)
        return True

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: APIError | None = None
        start: Message | None = None

        async def held(message: Message) -> None:
            """Sends the start with the first bytes: by then the file is open."""
            nonlocal refusal, start
            if message["type"] == "http.response.start":
                start, refusal = message, _refusal(message)
            elif refusal is None:
                if start is not None:
                    await send(start)
                    start = None
                await send(message)

        try:
            await super().__call__(scope, receive, held)
        except FileNotFoundError:
            if start is None:
                raise
            refusal = self._gone
        if refusal is not None:
            count_refusal(Request(scope), refusal)
            await answer(refusal, scope)(scope, receive, send)

    def _validators(self) -> dict[str, str]:
        modified = format_datetime(datetime.fromtimestamp(self._modified, UTC), usegmt=True)
        return {"Cache-Control": CACHING, "ETag": self._etag, "Last-Modified": modified}


class PreviewResponse(Response):
    """A frame of a refinement. It is another one in a moment, and gone after that: nobody shall keep it."""

    media_type = "image/jpeg"

    def __init__(self, frame: bytes) -> None:
        super().__init__(frame, headers={"Cache-Control": "private, no-store"})


def _unchanged(headers: Headers, etag: str, modified: int) -> bool:
    """Whether the client's copy is this one (RFC 9110, section 13.2.2: a tag outweighs a date)."""
    tags = headers.get("if-none-match")
    if tags is not None:
        given = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return etag in given or "*" in given
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return modified <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False  # a date that cannot be read counts as none (section 13.1.3)


def _refusal(start: Message) -> APIError | None:
    if start["status"] == 416:
        span = Headers(raw=start["headers"]).get("content-range", "bytes */*")
        message = f"The range lies outside the clip ({span})."
        return RangeNotSatisfiable(message, param="range", headers={"Content-Range": span})
    if start["status"] == 400:
        return InvalidRequest("The Range header is malformed; send for example bytes=0-999.", param="range")
    return None
