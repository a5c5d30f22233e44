"""OpenAI's kinds of videos: from a form to the request for a job, and what each needs to be looked at and kept."""

from __future__ import annotations

from dataclasses import replace

from gateway.errors import InvalidRequest
from gateway.inputs import characters
from gateway.jobs import Job, RenderRequest, catalog, derive, id_at, outputs
from gateway.jobs.service import Standing
from gateway.videos.forms import CreateVideo, EditVideo, ExtendVideo, RemixVideo
from gateway.web.bodies import Body, Upload
from gateway.web.context import Context
from gateway.web.fields import Form
from gateway.web.ordering import Order, seed, submit, submit_from_address, submit_from_picture, submit_with
from gateway.web.parsing import checked


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
        seed=seed(form.seed),
        style=form.style,
        negative_prompt=form.negative_prompt,
        num_inference_steps=form.num_inference_steps,
        guidance_scale=form.guidance_scale,
    )
    if form.characters:
        ids = [named.id for named in form.characters]
        request = replace(request, colours=await characters.colours_of(ctx.store, token, ids))
    if "input_reference" in body.files:
        return await submit_from_picture(order, request, body.files["input_reference"].path, param="input_reference")
    if form.input_reference is not None and form.input_reference.image_url is not None:
        url = form.input_reference.image_url
        return await submit_from_address(order, request, url, param="input_reference", at="input_reference.image_url")
    return await submit(order, request)


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
    return await submit_with(order, request, upload.path)


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
    return await submit_with(order, request, upload.path)


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
        seed=seed(None),
    )


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
    return await submit(order, request, own)
