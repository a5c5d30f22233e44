"""New videos from old ones, and characters. These paths are declared before `/v1/videos/{video_id}`."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.inputs import characters
from gateway.videos import orders
from gateway.videos.answers import json_answer, video_answer
from gateway.videos.forms import CreateCharacter, EditVideo, ExtendVideo, RemixVideo
from gateway.videos.schemas import Character, Video
from gateway.web.auth import Reader, Writer
from gateway.web.bodies import read_body
from gateway.web.context import Ctx
from gateway.web.described import body_of
from gateway.web.ordering import placed
from gateway.web.parsing import checked, required_file

router = APIRouter()


@router.post("/v1/videos/edits", response_model=Video, openapi_extra=body_of(EditVideo), tags=["videos"])
async def edit(request: Request, ctx: Ctx, token: Writer) -> Response:
    """Queues a video that is another one, or an upload, changed by what the prompt names."""
    async with read_body(request, ctx) as body:
        standing = await placed(orders.edit, ctx, request, token, body)
    return video_answer(standing)


@router.post("/v1/videos/extensions", response_model=Video, openapi_extra=body_of(ExtendVideo), tags=["videos"])
async def extend(request: Request, ctx: Ctx, token: Writer) -> Response:
    """Queues a video that is another one, or an upload, and `seconds` more. `seconds` of the answer is the whole."""
    async with read_body(request, ctx) as body:
        standing = await placed(orders.extend, ctx, request, token, body)
    return video_answer(standing)


@router.post(
    "/v1/videos/characters",
    response_model=Character,
    openapi_extra=body_of(CreateCharacter, json=False, files=("video",)),
    tags=["videos"],
)
async def create_character(request: Request, ctx: Ctx, token: Writer) -> Response:
    """Takes the colours of an MP4 clip, of 2 to 4 seconds at best, so that later videos can show them again."""
    async with read_body(request, ctx) as body:
        form = checked(CreateCharacter, body)
        if "video" not in body.files:
            raise required_file("video")
        colours = await ctx.inputs.palette(body.files["video"].path, param="video")
    made = await characters.create(ctx.store, token, name=form.name, colours=colours, now=ctx.clock.now())
    return json_answer(Character(id=made.id, name=made.name, created_at=int(made.created_at)))


@router.get("/v1/videos/characters/{character_id}", response_model=Character, tags=["videos"])
async def show_character(character_id: str, ctx: Ctx, token: Reader) -> Response:
    """One of the token's characters."""
    found = await characters.show(ctx.store, token, character_id)
    return json_answer(Character(id=found.id, name=found.name, created_at=int(found.created_at)))


@router.post("/v1/videos/{video_id}/remix", response_model=Video, openapi_extra=body_of(RemixVideo), tags=["videos"])
async def remix(video_id: str, request: Request, ctx: Ctx, token: Writer) -> Response:
    """Queues a video like a finished one, with another prompt: seed, size, seconds, model and style stay."""
    async with read_body(request, ctx) as body:
        standing = await placed(partial(orders.remix, id=video_id), ctx, request, token, body)
    return video_answer(standing)
