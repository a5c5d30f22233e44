"""Clips over HTTP: by bearer, and by signed link."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.errors import Conflict, NotFound
from gateway.jobs import Job, JobStatus, service
from gateway.videos import links
from gateway.videos.answers import json_answer
from gateway.videos.clips import ClipResponse
from gateway.videos.schemas import SignedLink
from gateway.web.auth import Reader
from gateway.web.context import Context, Ctx

router = APIRouter()


@router.get("/v1/videos/{video_id}/content", tags=["videos"], response_class=ClipResponse)
@router.head("/v1/videos/{video_id}/content", include_in_schema=False)
async def content(video_id: str, ctx: Ctx, token: Reader, variant: Literal["video"] = "video") -> ClipResponse:
    """The clip, video/mp4. Ranges work."""
    standing = await service.show(ctx.store, ctx.line, token, video_id, now=ctx.clock.now())
    return _file(ctx, standing.job)


@router.post("/v1/videos/{video_id}/link", response_model=SignedLink, tags=["videos"])
async def link(video_id: str, request: Request, ctx: Ctx, token: Reader) -> Response:
    """A short-lived link that a `<video>` element can play; OpenAI's API has no such call."""
    now = ctx.clock.now()
    standing = await service.show(ctx.store, ctx.line, token, video_id, now=now)
    _ready_file(ctx, standing.job)
    expires_at = int(now) + ctx.settings.link_seconds
    base = ctx.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return json_answer(SignedLink(url=base + links.path(ctx.keys.links, video_id, expires_at), expires_at=expires_at))


@router.get("/media/{video_id}", tags=["media"], response_class=ClipResponse)
@router.head("/media/{video_id}", include_in_schema=False)
async def media(video_id: str, ctx: Ctx, exp: str = "", sig: str = "") -> ClipResponse:
    """A signed link's clip. The token that the video belongs to is checked at each request."""
    now = ctx.clock.now()
    links.verify(ctx.keys.links, video_id, exp, sig, now=now)
    return _file(ctx, await service.for_link(ctx.store, video_id, now=now))


def _file(ctx: Context, job: Job) -> ClipResponse:
    path = _ready_file(ctx, job)
    return ClipResponse(
        path,
        media_type="video/mp4",
        filename=f"{job.id}.mp4",
        content_disposition_type="inline",
        headers={"Cache-Control": "private, no-store"},
    )


def _ready_file(ctx: Context, job: Job) -> str:
    """The clip's path; raises Conflict before it is done, NotFound once it is gone."""
    if job.status is not JobStatus.COMPLETED or job.file is None:
        raise Conflict(
            f"Video {job.id} is {job.status}; its content exists once it is completed.",
            param="video_id",
            code="video_not_ready",
            headers={"x-should-retry": "false"},
        )
    path = ctx.settings.media / job.file
    expired = job.expires_at is not None and job.expires_at <= ctx.clock.now()
    if expired or not path.is_file():
        raise NotFound(f"The content of video {job.id} has expired.", param="video_id", code="content_expired")
    return str(path)
