"""`/control/events`: the list in pages, and as a stream of server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic.json_schema import SkipJsonSchema

from gateway.control.schemas import EventInfo, EventPage
from gateway.exercise import service
from gateway.web.auth import Admin
from gateway.web.context import Context, Ctx
from gateway.web.faults import leaving

router = APIRouter(prefix="/control", tags=["control"])

# What SQLite's integers hold.
MAX_SEQ = 2**63 - 1
FOLLOW_SECONDS = 0.2
KEEPALIVE_SECONDS = 15.0


@router.get("/events")
async def page(
    ctx: Ctx,
    actor: Admin,
    after: Annotated[int, Query(ge=0, le=MAX_SEQ)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    kind: Annotated[str, Query(max_length=40)] = "",
) -> EventPage:
    """Events beyond `after`, oldest first; `kind` is a prefix such as `job.`"""
    found = await service.event_page(ctx.store, after=after, limit=limit + 1, kind=kind)
    return EventPage(data=[EventInfo.of(event) for event in found[:limit]], has_more=len(found) > limit)


@router.get("/events/stream", response_class=StreamingResponse)
async def stream(
    request: Request,
    ctx: Ctx,
    actor: Admin,
    kind: Annotated[str, Query(max_length=40)] = "",
    last_event_id: Annotated[int | SkipJsonSchema[None], Header(ge=0, le=MAX_SEQ)] = None,
) -> StreamingResponse:
    """New events as they happen, from `Last-Event-ID` or from now on (HTML standard, section 9.2)."""
    after = await service.last_event(ctx.store) if last_event_id is None else last_event_id
    return StreamingResponse(
        _follow(request, ctx, after, kind), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _follow(request: Request, ctx: Context, after: int, kind: str) -> AsyncIterator[str]:
    silent = 0.0
    while not (leaving(request.scope) or await request.is_disconnected()):
        found = await service.event_page(ctx.store, after=after, limit=200, kind=kind)
        for event in found:
            after = event.seq
            yield f"id: {event.seq}\nevent: {event.kind}\ndata: {EventInfo.of(event).model_dump_json()}\n\n"
        silent = 0.0 if found else silent + FOLLOW_SECONDS
        if silent >= KEEPALIVE_SECONDS:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(FOLLOW_SECONDS)
