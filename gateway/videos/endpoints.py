"""`/v1/videos`, `/v1/models` and `/media`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from gateway.errors import Conflict, NotFound
from gateway.jobs import Job, JobStatus, service
from gateway.jobs.service import Standing
from gateway.videos import catalog, links, parsing
from gateway.videos.clips import ClipResponse
from gateway.videos.schemas import CreateVideo, Model, ModelPage, SignedLink, Video, VideoDeleted, VideoPage
from gateway.web.auth import Reader, Writer
from gateway.web.context import Context, Ctx

router = APIRouter()

MODELS_CREATED = 1_732_579_200  # 26 November 2024, 00:00 UTC
FORMS = ("application/json", "multipart/form-data")
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {form: {"schema": CreateVideo.model_json_schema()} for form in FORMS},
    }
}


@router.post("/v1/videos", response_model=Video, openapi_extra=BODY, tags=["videos"])
async def create(request: Request, ctx: Ctx, token: Writer) -> Response:
    """Queues a video."""
    wanted = await parsing.create_request(request)
    standing = await service.submit(ctx.store, token, wanted, now=ctx.clock.now(), queue_limit=ctx.settings.queue_limit)
    return _video(standing)


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
    return _json(VideoPage(data=data, first_id=first, last_id=last, has_more=more))


@router.get("/v1/videos/{video_id}", response_model=Video, tags=["videos"])
async def retrieve(video_id: str, ctx: Ctx, token: Reader) -> Response:
    """Where a video stands."""
    return _video(await service.show(ctx.store, token, video_id, now=ctx.clock.now()))


@router.post("/v1/videos/{video_id}/cancel", response_model=Video, tags=["videos"])
async def cancel(video_id: str, ctx: Ctx, token: Writer) -> Response:
    """Ends a video that is queued or being rendered; OpenAI's API has no such call."""
    return _video(await service.cancel(ctx.store, token, video_id, now=ctx.clock.now()))


@router.delete("/v1/videos/{video_id}", response_model=VideoDeleted, tags=["videos"])
async def delete(video_id: str, ctx: Ctx, token: Writer) -> Response:
    """Removes a video and its file; one that has not ended is cancelled first."""
    job = await service.delete(ctx.store, token, video_id, now=ctx.clock.now())
    if job.file is not None:
        (ctx.settings.media / job.file).unlink(missing_ok=True)
    return _json(VideoDeleted(id=job.id))


@router.get("/v1/videos/{video_id}/content", tags=["videos"], response_class=ClipResponse)
@router.head("/v1/videos/{video_id}/content", include_in_schema=False)
async def content(video_id: str, ctx: Ctx, token: Reader, variant: Literal["video"] = "video") -> ClipResponse:
    """The clip, video/mp4. Ranges work."""
    standing = await service.show(ctx.store, token, video_id, now=ctx.clock.now())
    return _file(ctx, standing.job)


@router.post("/v1/videos/{video_id}/link", response_model=SignedLink, tags=["videos"])
async def link(video_id: str, request: Request, ctx: Ctx, token: Reader) -> Response:
    """A short-lived link that a `<video>` element can play; OpenAI's API has no such call."""
    now = ctx.clock.now()
    standing = await service.show(ctx.store, token, video_id, now=now)
    _ready_file(ctx, standing.job)
    expires_at = int(now) + ctx.settings.link_seconds
    base = ctx.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return _json(SignedLink(url=base + links.path(ctx.keys.links, video_id, expires_at), expires_at=expires_at))


@router.get("/media/{video_id}", tags=["media"], response_class=ClipResponse)
@router.head("/media/{video_id}", include_in_schema=False)
async def media(video_id: str, ctx: Ctx, exp: str = "", sig: str = "") -> ClipResponse:
    """A signed link's clip. The token that the video belongs to is checked at each request."""
    now = ctx.clock.now()
    links.verify(ctx.keys.links, video_id, exp, sig, now=now)
    return _file(ctx, await service.for_link(ctx.store, video_id, now=now))


@router.get("/v1/models", response_model=ModelPage, tags=["models"])
async def models(token: Reader) -> Response:
    """The models, and what each takes."""
    return _json(ModelPage(data=[_model(name) for name in catalog.MODELS]))


@router.get("/v1/models/{model}", response_model=Model, tags=["models"])
async def model(model: str, token: Reader) -> Response:
    """One model."""
    if model not in (*catalog.MODELS, *catalog.ALIASES):
        raise NotFound(f"There is no model {model[:80]!r}; there are {', '.join(catalog.MODELS)}.", param="model")
    return _json(_model(model))


def _model(name: str) -> Model:
    return Model(
        id=name,
        created=MODELS_CREATED,
        owned_by="leakdrill",
        sizes=list(catalog.SIZES),
        seconds={"min": catalog.MIN_SECONDS, "max": catalog.MAX_SECONDS},
        styles=list(catalog.STYLES),
    )


def _json(body: BaseModel, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


def _video(standing: Standing) -> Response:
    job = standing.job
    headers = {"leakdrill-seed": str(job.request.seed)}
    if standing.ahead is not None:
        headers["leakdrill-queue-ahead"] = str(standing.ahead)
    if job.status is JobStatus.IN_PROGRESS and job.step is not None:
        headers["leakdrill-step"] = f"{job.step}/{job.steps}"
    if standing.eta_seconds is not None:
        eta = int(standing.eta_seconds * 1000)
        headers["leakdrill-eta-ms"] = str(eta)
        # OpenAI's poll helper keeps the first value it sees, so it must suit the whole wait.
        headers["openai-poll-after-ms"] = str(min(2000, max(200, eta // 5)))
    return _json(Video.of(job), headers)


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
