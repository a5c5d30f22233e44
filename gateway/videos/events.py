"""A video's events: server-sent (HTML standard, section 9.2), for its owner, for as long as the token is accepted.

What is sent is read together with the token, in one snapshot, right before it is handed to the connection; so nothing
that was read before a revocation is sent after it. A reader that is slow gets fewer events and the newest state, and
nothing waits for it in memory.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import Response
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from gateway.errors import APIError, InvalidCredentials, StoreUnavailable
from gateway.jobs import service
from gateway.jobs.service import Standing
from gateway.revocations.watch import Open
from gateway.tokens import Token
from gateway.tokens.service import refusal
from gateway.videos.schemas import wire
from gateway.web.answers import answer
from gateway.web.auth import Reader
from gateway.web.context import Context, Ctx
from gateway.web.faults import leaving, sever, unsent
from gateway.web.surfaces import surface_of

router = APIRouter(tags=["videos"])

FOLLOW_SECONDS = 0.2
# A reader that takes nothing for so long is taken for gone.
STALL_SECONDS = 30.0
MAX_SEQ = 2**63 - 1  # what SQLite's integers hold

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `video`, `line` and `error`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The event that `Last-Event-ID` names, or one before it, has told how the video ended."},
}


@router.get("/v1/videos/{video_id}/events", response_class=Response, responses=_ANSWERS)
async def follow(
    video_id: str,
    ctx: Ctx,
    token: Reader,
    last_event_id: Annotated[int | SkipJsonSchema[None], Header(ge=0, le=MAX_SEQ)] = None,
) -> Response:
    """Where a video stands, whenever that changes, until it has ended; an addition of ours."""
    since = await service.follow_from(ctx.store, token, video_id, last_event_id)
    return Response(status_code=204) if since is None else VideoEvents(ctx, token, video_id, since)


class VideoEvents(Response):
    """One stream. `since` is the event of the list up to which its reader knows everything."""

    media_type = "text/event-stream"

    def __init__(self, ctx: Context, token: Token, id: str, since: int) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._ctx = ctx
        self._token = token
        self._id = id
        self._since = since
        self._told: tuple[object, ...] | None = None
        self._wake = asyncio.Event()
        self._gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        surface = f"GET {scope['route'].path}"
        streams = self._ctx.streams
        stream = await streams.begin(self._token.accessor, self._id, surface, surface_of(scope), self._stop)
        listening = asyncio.create_task(self._listen(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._follow(stream, scope, send)
        finally:
            listening.cancel()
            await streams.end(stream)

    def _stop(self) -> bool:
        self._wake.set()
        return True

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._wake.set()

    async def _follow(self, stream: Open, scope: Scope, send: Send) -> None:
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        while not (self._gone or leaving(scope)):
            text, last = None, False
            if stream.cut:
                text, last = _failed(refusal(), scope), True
            elif not unsent(scope):
                try:
                    text, last = await self._news(stream)
                except APIError as exc:
                    stream.cut = isinstance(exc, InvalidCredentials)
                    text, last = _failed(exc, scope), True
                if text is None and loop.time() - sent_at >= self._ctx.settings.stream_keepalive_seconds:
                    text = ": still here\n\n"
            elif loop.time() - sent_at >= STALL_SECONDS:
                sever(scope)
                return
            if last and unsent(scope):
                sever(scope)  # what waits there was good once; now it must not arrive
                return
            if text is not None:
                sent_at = loop.time()
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            if last:
                break
            await self._pause()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(FOLLOW_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _news(self, stream: Open) -> tuple[str | None, bool]:
        """What to send, if anything, and whether it is the last; raises what ends the stream."""
        now = self._ctx.clock.now()
        try:
            found = await service.look(
                self._ctx.store, self._ctx.line, self._token, self._id, since=self._since, now=now
            )
        except StoreUnavailable:
            return None, False  # nothing can be said, so nothing is; the next look may tell
        if found is None:
            return None, False
        self._since, standing = found
        told = (standing.job.status, standing.job.progress, standing.ahead)
        if told == self._told:
            return None, False
        self._told = told
        stream.passed(now, 1)
        return _written(self._since, standing), standing.job.ended


def _written(id: int, standing: Standing) -> str:
    text = f"id: {id}\nevent: video\ndata: {to_json(wire(standing.job)).decode()}\n\n"
    if standing.ahead is None or standing.eta_seconds is None:
        return text
    line = to_json({"ahead": standing.ahead, "eta_ms": int(standing.eta_seconds * 1000)}).decode()
    # Before the video, whose id says that all of it was told.
    return f"event: line\ndata: {line}\n\n{text}"


def _failed(error: APIError, scope: Scope) -> str:
    """The answer that a new request would get, to the byte."""
    return f"event: error\ndata: {bytes(answer(error, scope).body).decode()}\n\n"
