"""`/replicate/v1`: predictions by model or version, and the models.

Source: replicate 1.0.7 for Python and 1.4.0 for JavaScript, as they were seen on the wire.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response

from gateway.errors import NotFound, UnprocessableRequest
from gateway.jobs import Job, catalog, service
from gateway.jobs.service import Standing
from gateway.replicate.holding import seconds_preferred, until_ended
from gateway.replicate.schemas import (
    CREATED_AT,
    CreateByVersion,
    CreatePrediction,
    Input,
    Model,
    Prediction,
    PredictionPage,
    Version,
    prediction_of,
    variant_of,
    version_id,
)
from gateway.tokens import Token
from gateway.web import links, ordering
from gateway.web.auth import Reader, Writer
from gateway.web.bodies import read_json
from gateway.web.context import Context, Ctx
from gateway.web.described import json_of
from gateway.web.ordering import Order
from gateway.web.parsing import checked
from gateway.web.scenes import Wish, order_scene, unprocessable

router = APIRouter(tags=["replicate"])

V1 = "/replicate/v1"
MODEL = V1 + "/models/{owner}/{name}"
PAGE = 100
# The client reshapes what came from tools older than 0.3.9.
COG_VERSION = "0.14.0"

Owner = Annotated[str, Path(json_schema_extra={"enum": [catalog.PUBLISHER]})]
Name = Annotated[str, Path(json_schema_extra={"enum": list(catalog.MODELS)})]


@router.post(f"{V1}/predictions", status_code=201, openapi_extra=json_of(CreateByVersion))
async def create(request: Request, response: Response, ctx: Ctx, token: Writer) -> Prediction:
    """Queues a video, by a model's version."""
    return await _created(ctx, request, response, token, None)


@router.post(MODEL + "/predictions", status_code=201, openapi_extra=json_of(CreatePrediction))
async def create_by_model(
    owner: Owner, name: Name, request: Request, response: Response, ctx: Ctx, token: Writer
) -> Prediction:
    """Queues a video, by its model."""
    _ensure_model(owner, name)
    return await _created(ctx, request, response, token, name)


@router.get(f"{V1}/predictions")
async def list_predictions(request: Request, ctx: Ctx, token: Reader, cursor: str | None = None) -> PredictionPage:
    """The token's own videos, newest first, a hundred a page; `cursor` is what `next` has."""
    found, more = await service.page(ctx.store, token, after=cursor, limit=PAGE, newest_first=True)
    following = f"{links.base_of(ctx, request)}{V1}/predictions?cursor={quote(found[-1].id)}" if more else None
    results = [_shown(ctx, request, job) for job in found]
    return PredictionPage(previous=None, next=following, results=results)


@router.get(V1 + "/predictions/{prediction_id}")
async def get(prediction_id: str, request: Request, ctx: Ctx, token: Reader) -> Prediction:
    """Where a video stands."""
    standing = await service.show(ctx.store, ctx.line, token, prediction_id, now=ctx.clock.now())
    return _shown(ctx, request, standing.job)


@router.post(V1 + "/predictions/{prediction_id}/cancel")
async def cancel(prediction_id: str, request: Request, ctx: Ctx, token: Writer) -> Prediction:
    """Ends a video that is queued or being rendered."""
    return _shown(ctx, request, (await ordering.cancel(ctx, token, prediction_id)).job)


@router.get(MODEL)
async def model(owner: Owner, name: Name, request: Request, ctx: Ctx, token: Reader) -> Model:
    """One model."""
    _ensure_model(owner, name)
    return Model(
        url=f"{links.base_of(ctx, request)}{V1}/models/{owner}/{name}",
        owner=owner,
        name=name,
        description="Synthetic clips, made without a model.",
        run_count=0,
        latest_version=_version(name),
    )


@router.get(MODEL + "/versions/{version_id}")
async def version(
    owner: Owner,
    name: Name,
    version_id: Annotated[str, Path(json_schema_extra={"enum": [version_id(one) for one in catalog.MODELS]})],
    token: Reader,
) -> Version:
    """A model's version."""
    _ensure_model(owner, name)
    if variant_of(version_id) != name:
        raise NotFound(f"{owner}/{name} has no version {version_id[:80]!r}.", param="version_id")
    return _version(name)


async def _created(ctx: Context, request: Request, response: Response, token: Token, variant: str | None) -> Prediction:
    seconds = seconds_preferred(request)
    body = await read_json(request, ctx)

    async def place(order: Order) -> Standing:
        with unprocessable():
            form = checked(CreatePrediction if variant is not None else CreateByVersion, order.body)
            _ensure_no_webhook(form)
            return await order_scene(order, form.input, _wish(form, variant))

    standing = await ordering.placed(place, ctx, request, token, body)
    if seconds is None:
        return _shown(ctx, request, standing.job)
    response.headers["Preference-Applied"] = f"wait={seconds}"
    standing = await until_ended(ctx, request, token, standing, seconds)
    return _shown(ctx, request, standing.job, waited=True)


def _wish(form: CreatePrediction, named: str | None) -> Wish:
    variant = named or (variant_of(form.version) if isinstance(form, CreateByVersion) else None)
    if variant is None:
        raise UnprocessableRequest(
            f"Invalid version or not permitted. There are {catalog.all_published()}.",
            param="version",
        )
    wanted = form.input
    return Wish(
        variant,
        catalog.size_of(wanted.resolution, wanted.aspect_ratio),
        wanted.duration,
        wanted.num_inference_steps,
        wanted.image,
        "input.image",
    )


def _ensure_no_webhook(form: CreatePrediction) -> None:
    for name in ("webhook", "webhook_completed"):
        if getattr(form, name) is not None:
            raise UnprocessableRequest(
                f"{name} is not offered here. Poll the prediction, or make an endpoint with the same token at "
                "POST /v1/webhook_endpoints, which is told of every video.",
                param=name,
            )


def _ensure_model(owner: str, name: str) -> None:
    called = f"{owner}/{name}"
    if not catalog.is_published(called):
        raise NotFound(f"There is no model {called[:80]!r}; there are {catalog.all_published()}.", param="name")


def _shown(ctx: Context, request: Request, job: Job, *, waited: bool = False) -> Prediction:
    url = f"{links.base_of(ctx, request)}{V1}/predictions/{job.id}"
    return prediction_of(job, url=url, output=links.playable(ctx, request, job), waited_in_vain=waited)


def _version(variant: str) -> Version:
    schemas = {"Input": Input.model_json_schema(), "Output": {"type": "string", "format": "uri", "title": "Output"}}
    document = {"openapi": "3.0.2", "info": {"title": "Cog", "version": "0.1.0"}, "paths": {}}
    return Version(
        id=version_id(variant),
        created_at=CREATED_AT,
        cog_version=COG_VERSION,
        openapi_schema={**document, "components": {"schemas": schemas}},
    )
