"""`/together/v2/videos`: create and retrieve.

Source: together 3.1.1 for Python, as it was seen on the wire.
"""

from __future__ import annotations

from fastapi import APIRouter, Request

from gateway.errors import InvalidRequest, NotFound
from gateway.jobs import catalog, service
from gateway.jobs.service import Standing
from gateway.together.schemas import CreateVideo, VideoJob, video_of
from gateway.web import links, ordering
from gateway.web.auth import Reader, Writer
from gateway.web.bodies import read_json
from gateway.web.context import Ctx
from gateway.web.described import json_of
from gateway.web.ordering import Order
from gateway.web.parsing import checked
from gateway.web.scenes import Wish, order_scene

router = APIRouter(tags=["together"])


@router.post("/together/v2/videos", openapi_extra=json_of(CreateVideo))
async def create(request: Request, ctx: Ctx, token: Writer) -> VideoJob:
    """Queues a video."""
    body = await read_json(request, ctx)
    job = (await ordering.placed(_place, ctx, request, token, body)).job
    return video_of(job, links.playable(ctx, request, job))


@router.get("/together/v2/videos/{video_id}")
async def retrieve(video_id: str, request: Request, ctx: Ctx, token: Reader) -> VideoJob:
    """Where a video stands."""
    job = (await service.show(ctx.store, ctx.line, token, video_id, now=ctx.clock.now())).job
    return video_of(job, links.playable(ctx, request, job))


async def _place(order: Order) -> Standing:
    form = checked(CreateVideo, order.body)
    if not catalog.is_published(form.model):
        raise NotFound(
            f"Unable to access model {form.model[:80]!r}; there are {catalog.all_published()}.",
            param="model",
            code="model_not_available",
        )
    images = form.frame_images or (form.media.frame_images if form.media is not None else None)
    where = "frame_images" if form.frame_images else "media.frame_images"
    wish = Wish(
        form.model.partition("/")[2],
        _size(form),
        form.seconds,
        form.steps,
        images[0].input_image if images else None,
        f"{where}.0.input_image",
    )
    return await order_scene(order, form, wish)


def _size(form: CreateVideo) -> str | None:
    """The size that was asked for, if one was."""
    if form.width is None and form.height is None:
        return catalog.size_of(form.resolution, form.ratio)
    size = f"{form.width}x{form.height}"
    if size not in catalog.SIZES:
        raise InvalidRequest(
            f"width and height must be one of {', '.join(catalog.SIZES)}, not {size}.",
            param="width" if form.width is not None else "height",
        )
    return size
