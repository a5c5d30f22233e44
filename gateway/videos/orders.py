"""From a checked form to a queued job: what each kind of video needs to be looked at, kept and asked for.

A video from words alone takes the short way: no file, no thread, no query but the submission.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import Request

from gateway.errors import InvalidRequest
from gateway.faults.service import FATE
from gateway.inputs import characters
from gateway.jobs import Job, RenderRequest, derive, id_at, outputs, service
from gateway.jobs.service import Standing
from gateway.limits import repeats
from gateway.limits.repeats import Attempt
from gateway.telemetry import TRACEPARENT
from gateway.tokens import Token
from gateway.videos import catalog
from gateway.videos.forms import CreateVideo, EditVideo, ExtendVideo, Form, RemixVideo
from gateway.videos.parsing import checked
from gateway.web.bodies import Body, Upload
from gateway.web.context import Context


@dataclass(frozen=True)
class Order:
    """A request for a video: who asks, with what body, what tells it from the same request sent again, the failure that
    its job is bound to meet, and its span where requests are traced."""

    ctx: Context
    token: Token
    body: Body
    attempt: Attempt | None
    fate: str | None
    traceparent: str | None


async def placed(
    place: Callable[[Order], Awaitable[Standing]], ctx: Context, request: Request, token: Token, body: Body
) -> Standing:
    """What `place` makes of this request, or the video that the very same request made before."""
    headers, route = request.scope["headers"], f"POST {request.scope['path']}"
    if body.files:
        files = {name: upload.path for name, upload in body.files.items()}
        attempt = await asyncio.to_thread(repeats.attempt_of, headers, route, body.values, files)
    else:
        attempt = repeats.attempt_of(headers, route, body.values, {})
    if attempt is not None and attempt.repeated:
        made = await service.made_before(ctx.store, ctx.line, token, attempt, now=ctx.clock.now())
        if made is not None:
            return made
    scope = request.scope
    return await place(Order(ctx, token, body, attempt, scope.get(FATE), scope.get(TRACEPARENT)))


async def create(order: Order) -> Standing:
    """`POST /v1/videos`."""
    ctx, token, body = order.ctx, order.token, order.body
    form = checked(CreateVideo, body)
    request = RenderRequest(
        prompt=form.prompt,
        model=form.model,
        variant=catalog.model_behind(form.model),
        size=form.size,
        seconds=form.seconds,
        fps=form.fps,
        seed=_seed(form.seed),
        style=form.style,
        negative_prompt=form.negative_prompt,
        num_inference_steps=form.num_inference_steps,
        guidance_scale=form.guidance_scale,
    )
    if form.characters:
        ids = [named.id for named in form.characters]
        request = replace(request, colours=await characters.colours_of(ctx.store, token, ids))
    if "input_reference" in body.files:
        return await _from_picture(order, request, body.files["input_reference"].path)
    if form.input_reference is not None and form.input_reference.image_url is not None:
        url = form.input_reference.image_url
        fetched = await ctx.inputs.fetched(url, param="input_reference.image_url")
        try:
            return await _from_picture(order, request, fetched)
        finally:
            fetched.unlink(missing_ok=True)
    return await _submit(order, request)


async def remix(order: Order, id: str) -> Standing:
    """`POST /v1/videos/{video_id}/remix`."""
    form = checked(RemixVideo, order.body)
    source = await derive.source(order.ctx.store, order.token, id, param="video_id")
    own = id_at(order.ctx.clock.now())
    request = derive.remix(source, form.prompt, input=f"{own}.mp4")
    return await _from_job(order, request, source, own, param="video_id")


async def edit(order: Order) -> Standing:
    """`POST /v1/videos/edits`."""
    ctx, token, body = order.ctx, order.token, order.body
    form = checked(EditVideo, body)
    variant = None if form.model is None else catalog.model_behind(form.model)
    look = derive.Look(form.model, variant, form.style, form.seed, form.strength)
    upload, id = _clip(form, body, form.video.id if form.video else None)
    if upload is None:
        source = await derive.source(ctx.store, token, id, param="video.id")
        own = id_at(ctx.clock.now())
        request = derive.edit(source, form.prompt, look, input=f"{own}.mp4")
        return await _from_job(order, request, source, own, param="video.id")
    plain = await _of_upload(ctx, upload, form.prompt, "edit")
    request = replace(
        plain,
        model=form.model or plain.model,
        variant=variant or plain.variant,
        seed=plain.seed if form.seed is None else form.seed,
        style=form.style,
        strength=form.strength,
    )
    return await _with_input(order, request, upload.path)


async def extend(order: Order) -> Standing:
    """`POST /v1/videos/extensions`."""
    ctx, token, body = order.ctx, order.token, order.body
    form = checked(ExtendVideo, body)
    upload, id = _clip(form, body, form.video.id if form.video else None)
    if upload is None:
        source = await derive.source(ctx.store, token, id, param="video.id")
        own = id_at(ctx.clock.now())
        request = derive.extend(source, form.prompt, form.seconds, input=f"{own}.mp4")
        return await _from_job(order, request, source, own, param="video.id")
    request = await _of_upload(ctx, upload, form.prompt, "extend")
    total = derive.total_seconds(request.seconds, form.seconds)
    request = replace(request, seconds=total, added_seconds=form.seconds, extensions=1)
    return await _with_input(order, request, upload.path)


def _clip(form: Form, body: Body, id: str | None) -> tuple[Upload | None, str]:
    upload = body.files.get("video")
    if upload is None and id is None:
        raise InvalidRequest(
            "Missing required parameter: 'video'. Send a file, or the id of a video: video[id], or in JSON an object.",
            param="video",
            code="missing_required_parameter",
        )
    return upload, id or ""


async def _of_upload(ctx: Context, upload: Upload, prompt: str, kind: str) -> RenderRequest:
    clip = await ctx.inputs.look_at_clip(upload.path, param="video")
    return RenderRequest(
        kind=kind,
        prompt=prompt,
        model=catalog.DEFAULT_MODEL,
        variant=catalog.model_behind(catalog.DEFAULT_MODEL),
        size=catalog.nearest_size(clip.width, clip.height),
        seconds=clip.seconds,
        fps=min(catalog.MAX_FPS, max(catalog.MIN_FPS, round(clip.fps))),
        seed=_seed(None),
    )


async def _from_picture(order: Order, request: RenderRequest, file: Path) -> Standing:
    await order.ctx.inputs.check_picture(file, request.size, param="input_reference")
    return await _with_input(order, request, file)


async def _with_input(order: Order, request: RenderRequest, file: Path) -> Standing:
    """Keeps the upload for the job; it goes again where the job is not taken."""
    own = id_at(order.ctx.clock.now())
    name = f"{own}.input"
    order.ctx.inputs.keep(file, name)
    return await _submit(order, replace(request, input=name), own)


async def _from_job(order: Order, request: RenderRequest, source: Job, own: str, *, param: str) -> Standing:
    """Keeps the source's clip for the job, where it needs it."""
    ctx = order.ctx
    if request.input is not None:
        now = ctx.clock.now()
        clip = outputs.ready(ctx.settings.media, source, "video", now=now, param=param)
        try:
            ctx.inputs.keep_linked(clip, request.input)
        except FileNotFoundError as exc:
            raise outputs.gone(source.id, "video", param=param) from exc
    return await _submit(order, request, own)


async def _submit(order: Order, request: RenderRequest, id: str | None = None) -> Standing:
    ctx = order.ctx
    try:
        standing = await service.submit(
            ctx.store,
            ctx.line,
            order.token,
            request,
            now=ctx.clock.now(),
            queue_limit=ctx.settings.queue_limit,
            id=id,
            fate=order.fate,
            tier=ctx.limits.tiers.of(order.token.tier),
            attempt=order.attempt,
            traceparent=order.traceparent,
        )
    except BaseException:
        ctx.inputs.drop(request.input)
        raise
    if standing.replayed:
        ctx.inputs.drop(request.input)
    return standing


def _seed(given: int | None) -> int:
    return secrets.randbits(catalog.SEED_BITS) if given is None else given
