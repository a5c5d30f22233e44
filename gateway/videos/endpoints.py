"""`/v1/videos`: create, list, retrieve, cancel, delete."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway.jobs import outputs, service
from gateway.tokens.service import READ, WRITE
from gateway.videos import orders
from gateway.videos.answers import json_answer, video_answer
from gateway.videos.forms import CreateVideo
from gateway.videos.schemas import Video, VideoDeleted, VideoPage
from gateway.web import ordering
from gateway.web.auth import Reader, Writer, good_for, judged, secret_hash, strike
from gateway.web.bodies import read_body
from gateway.web.context import Ctx, context_of
from gateway.web.described import body_of
from gateway.web.hot import HotCall

router = APIRouter()

# Endpoints that read the id themselves describe it themselves.
VIDEO_ID: dict[str, Any] = {
    "parameters": [{"name": "video_id", "in": "path", "required": True, "schema": {"type": "string"}}]
}


# Polls come first, here and in the application: routes are tried in order.
@router.get("/v1/videos/{video_id}", response_model=Video, openapi_extra=VIDEO_ID, tags=["videos"])
async def retrieve(request: Request) -> Response:
    """Where a video stands."""
    ctx, id = context_of(request), request.path_params["video_id"]
    now = ctx.clock.now()
    found, standing = await service.poll(ctx.store, ctx.line, secret_hash(ctx, request), id, now=now)
    token = judged(ctx, found, READ, request, now)
    await strike(ctx, token, READ, request, now)
    if standing is None:
        raise service.unknown(id)
    # Asked anew: a seeded failure may have taken its time.
    ctx.clients.polled(token.accessor, id, request.scope, ctx.clock.now(), standing.poll_after_ms)
    return video_answer(standing)


@router.post("/v1/videos", response_model=Video, openapi_extra=body_of(CreateVideo), tags=["videos"])
async def create(request: Request) -> Response:
    """Queues a video."""
    ctx = context_of(request)
    token = await good_for(ctx, WRITE, request)
    async with read_body(request, ctx) as body:
        standing = await ordering.placed(orders.create, ctx, request, token, body)
    return video_answer(standing)


@router.get("/v1/videos", response_model=VideoPage, tags=["videos"])
async def list_videos(
    ctx: Ctx,
    token: Reader,
    after: str | None = None,
    limit: Annotated[int, Query(ge=0, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """The token's own videos, newest first unless `order=asc`."""
    found, more = await service.page(ctx.store, token, after=after, limit=limit, newest_first=order == "desc")
    data = [Video.of(job) for job in found]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return json_answer(VideoPage(data=data, first_id=first, last_id=last, has_more=more))


@router.post("/v1/videos/{video_id}/cancel", response_model=Video, tags=["videos"])
async def cancel(video_id: str, ctx: Ctx, token: Writer) -> Response:
    """Ends a video that is queued or being rendered; OpenAI's API has no such call."""
    return video_answer(await ordering.cancel(ctx, token, video_id))


@router.delete("/v1/videos/{video_id}", response_model=VideoDeleted, tags=["videos"])
async def delete(video_id: str, ctx: Ctx, token: Writer) -> Response:
    """Removes a video and its file; one that has not ended is cancelled first."""
    job = await service.delete(ctx.store, token, video_id, now=ctx.clock.now())
    if job.file is not None:
        outputs.remove(ctx.settings.media / job.file)
    ctx.inputs.drop(job.request.input)
    return json_answer(VideoDeleted(id=job.id))


HOT = (HotCall("GET", "/v1/videos/{video_id}", retrieve), HotCall("POST", "/v1/videos", create))
