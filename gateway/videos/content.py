"""Clips over HTTP: by bearer, and by signed link."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.jobs import Job, outputs, service
from gateway.jobs.outputs import Asked
from gateway.videos.answers import json_answer
from gateway.videos.clips import CLIP_ANSWERS, ClipResponse, PreviewResponse
from gateway.videos.schemas import SignedLink
from gateway.web import links
from gateway.web.auth import Reader, strike_link
from gateway.web.context import Context, Ctx
from gateway.web.surfaces import surface_of

router = APIRouter()


@router.get("/v1/videos/{video_id}/content", tags=["videos"], response_class=ClipResponse, responses=CLIP_ANSWERS)
@router.head("/v1/videos/{video_id}/content", include_in_schema=False)
async def content(video_id: str, ctx: Ctx, token: Reader, variant: Asked = "video") -> Response:
    """The clip, or a still of it. Ranges and conditional requests work.

    A `preview` is the frame that the refinement has come to: there only meanwhile, and not to be kept.
    """
    standing = await service.show(ctx.store, ctx.line, token, video_id, now=ctx.clock.now())
    return await _file(ctx, standing.job, variant)


@router.post("/v1/videos/{video_id}/link", response_model=SignedLink, tags=["videos"])
async def link(video_id: str, request: Request, ctx: Ctx, token: Reader, variant: Asked = "video") -> Response:
    """A short-lived link that a `<video>` or `<img>` element can show; OpenAI's API has no such call."""
    now = ctx.clock.now()
    standing = await service.show(ctx.store, ctx.line, token, video_id, now=now)
    if variant == "preview":
        await _preview(ctx, standing.job)
    else:
        outputs.ready(ctx.settings.media, standing.job, variant, now=now)
    url, expires_at = links.signed(ctx, request, video_id, variant)
    return json_answer(SignedLink(url=url, expires_at=expires_at))


@router.get("/media/{video_id}", tags=["media"], response_class=ClipResponse, responses=CLIP_ANSWERS)
@router.head("/media/{video_id}", include_in_schema=False)
async def media(
    video_id: str, request: Request, ctx: Ctx, exp: str = "", sig: str = "", variant: Asked = "video"
) -> Response:
    """A signed link's file. The token that the video belongs to is checked at each request."""
    now = ctx.clock.now()
    links.verify(ctx.keys.links, video_id, exp, sig, now=now, variant=variant)
    job = await service.for_link(ctx.store, video_id, now=now)
    ctx.usage.note_behind(job.accessor, surface_of(request.scope), now)
    if await strike_link(job.accessor, request):
        job = await service.for_link(ctx.store, video_id, now=ctx.clock.now())
    return await _file(ctx, job, variant)


async def _file(ctx: Context, job: Job, variant: Asked) -> Response:
    if variant == "preview":
        return PreviewResponse(await _preview(ctx, job))
    path = outputs.ready(ctx.settings.media, job, variant, now=ctx.clock.now())
    return ClipResponse(path, job, variant, ctx.transfers)


async def _preview(ctx: Context, job: Job) -> bytes:
    return await asyncio.to_thread(outputs.preview, ctx.settings.media, job)
