"""Sharing a clip: its owner's calls, and the link that plays it without a bearer."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from gateway.errors import NotFound
from gateway.jobs import Job
from gateway.shares import ShareState, service
from gateway.videos.clips import CLIP_ANSWERS, ClipResponse
from gateway.web.auth import Reader, Writer
from gateway.web.context import Context, Ctx
from gateway.web.surfaces import surface_of

router = APIRouter(tags=["videos"])
public = APIRouter(tags=["media"])

PLAY_ANSWERS = {status: answer for status, answer in CLIP_ANSWERS.items() if status != 409}


class VideoShare(BaseModel):
    """Where a share stands. `url` is there while it is approved; `expires_at`, Unix seconds, is when the clip goes."""

    object: Literal["video.share"] = "video.share"
    video_id: str
    state: ShareState
    url: str | None
    expires_at: int | None


@router.post("/v1/videos/{video_id}/share")
async def ask(video_id: str, request: Request, ctx: Ctx, token: Writer) -> VideoShare:
    """Asks for a public link; an addition of ours."""
    approval = ctx.settings.share_approval
    return _share(ctx, request, await service.ask(ctx.store, token, video_id, approval=approval, now=ctx.clock.now()))


@router.get("/v1/videos/{video_id}/share")
async def show(video_id: str, request: Request, ctx: Ctx, token: Reader) -> VideoShare:
    """Where it stands."""
    return _share(ctx, request, await service.show(ctx.store, token, video_id))


@router.delete("/v1/videos/{video_id}/share")
async def withdraw(video_id: str, request: Request, ctx: Ctx, token: Writer) -> VideoShare:
    """Takes the link back; it never works again."""
    return _share(ctx, request, await service.withdraw(ctx.store, token, video_id, now=ctx.clock.now()))


@public.get("/s/{share_id}", response_class=ClipResponse, responses=PLAY_ANSWERS)
@public.head("/s/{share_id}", include_in_schema=False)
async def play(share_id: str, request: Request, ctx: Ctx) -> ClipResponse:
    """A shared clip; ranges work. Whatever the reason why it does not play, the answer is the same."""
    now = ctx.clock.now()
    job = await service.playable(ctx.store, share_id, now=now)
    if job is not None and job.file is not None:
        ctx.usage.note_behind(job.accessor, surface_of(request.scope), now)
        try:
            return ClipResponse(ctx.settings.media / job.file, job, "video", ctx.transfers)
        except NotFound:
            pass  # it names the video, and this answer must not
    raise NotFound("Nothing is shared under this address.")


def _share(ctx: Context, request: Request, job: Job) -> VideoShare:
    base = ctx.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return VideoShare(
        video_id=job.id,
        state=ShareState(job.share),
        url=None if job.share_id is None else f"{base}/s/{job.share_id}",
        expires_at=None if job.expires_at is None else int(job.expires_at),
    )
