"""`/fal/{owner}/{alias}`: submit, status, result, cancel.

Source: fal_client 1.0.3 for Python and @fal-ai/client 1.10.1 for JavaScript, as they were seen on the wire, and fal's
inference API reference for the status codes. A job that failed is `COMPLETED`, and its result is an error.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from gateway.errors import APIError, InvalidRequest, NotFound, ServerFault, UnprocessableRequest
from gateway.fal.schemas import (
    Arguments,
    Cancelling,
    Completed,
    File,
    InProgress,
    InQueue,
    Pending,
    Result,
    Submitted,
    status_of,
)
from gateway.faults.failures import MODERATION_BLOCKED
from gateway.jobs import Job, JobStatus, catalog, outputs, service
from gateway.jobs.service import Standing
from gateway.tokens import Token
from gateway.web import links, ordering
from gateway.web.auth import Reader, Writer
from gateway.web.bodies import read_json
from gateway.web.context import Context, Ctx
from gateway.web.described import json_of
from gateway.web.ordering import Order
from gateway.web.parsing import checked
from gateway.web.scenes import Wish, order_scene, unprocessable

router = APIRouter(tags=["fal"])

APP = "/fal/{owner}/{alias}"
FROM_WORDS, FROM_PICTURE = "text-to-video", "image-to-video"
TASKS = (FROM_WORDS, FROM_PICTURE)
# By this header the JavaScript client knows which request a result is of.
ID_HEADER = "x-fal-request-id"

Owner = Annotated[str, Path(json_schema_extra={"enum": [catalog.PUBLISHER]})]
Alias = Annotated[str, Path(json_schema_extra={"enum": list(catalog.MODELS)})]
Task = Annotated[str, Path(json_schema_extra={"enum": list(TASKS)})]


@router.post(APP, openapi_extra=json_of(Arguments))
async def submit(
    owner: Owner, alias: Alias, request: Request, ctx: Ctx, token: Writer, fal_webhook: str | None = None
) -> Submitted:
    """Queues a video."""
    return await _submitted(ctx, request, token, (owner, alias, None), fal_webhook)


@router.post(APP + "/{task}", openapi_extra=json_of(Arguments))
async def submit_task(
    owner: Owner, alias: Alias, task: Task, request: Request, ctx: Ctx, token: Writer, fal_webhook: str | None = None
) -> Submitted:
    """Queues a video, from words or from a picture as the path says."""
    return await _submitted(ctx, request, token, (owner, alias, task), fal_webhook)


@router.get(
    APP + "/requests/{request_id}/status",
    response_model=Completed | InQueue | InProgress,
    responses={202: {"model": Pending, "description": "It is in the queue or in progress."}},
)
async def status(
    owner: Owner,
    alias: Alias,
    request_id: str,
    request: Request,
    response: Response,
    ctx: Ctx,
    token: Reader,
    logs: bool = False,
) -> Completed | Pending:
    """Where a video stands; `logs` asks for how far its render is."""
    _ensure_app(owner, alias)
    now = ctx.clock.now()
    standing = await service.show(ctx.store, ctx.line, token, request_id, now=now)
    if not standing.job.ended:
        response.status_code = 202
    return status_of(standing, _urls(ctx, request, owner, alias, request_id)["response_url"], logs=logs, now=now)


@router.get(APP + "/requests/{request_id}")
async def result(
    owner: Owner, alias: Alias, request_id: str, request: Request, response: Response, ctx: Ctx, token: Reader
) -> Result:
    """The clip of a video that is done, as a signed link."""
    _ensure_app(owner, alias)
    now = ctx.clock.now()
    job = (await service.show(ctx.store, ctx.line, token, request_id, now=now)).job
    if not job.ended:
        raise InvalidRequest("This request is still in progress.", param="request_id", code="video_not_ready")
    if job.status is JobStatus.FAILED:
        raise _failure(job)
    outputs.ready(ctx.settings.media, job, "video", now=now, param="request_id")
    url, _ = links.signed(ctx, request, job.id)
    response.headers[ID_HEADER] = job.id
    return Result(video=File(url=url, file_name=f"{job.id}.mp4", file_size=job.bytes), seed=job.request.seed)


@router.put(APP + "/requests/{request_id}/cancel", status_code=202)
async def cancel(owner: Owner, alias: Alias, request_id: str, ctx: Ctx, token: Writer) -> Cancelling:
    """Ends a video that is queued or being rendered."""
    _ensure_app(owner, alias)
    standing = await service.show(ctx.store, ctx.line, token, request_id, now=ctx.clock.now())
    if standing.job.ended:
        raise InvalidRequest("This request has ended already.", param="request_id", code="already_completed")
    await ordering.cancel(ctx, token, request_id)
    return Cancelling()


async def _submitted(
    ctx: Context, request: Request, token: Token, app: tuple[str, str, str | None], webhook: str | None
) -> Submitted:
    owner, alias, task = app
    _ensure_app(owner, alias, task)
    if webhook is not None:
        raise UnprocessableRequest(
            "fal_webhook is not offered here. Poll the status, or make an endpoint with the same token at "
            "POST /v1/webhook_endpoints, which is told of every video.",
            param="fal_webhook",
        )
    body = await read_json(request, ctx)

    async def place(order: Order) -> Standing:
        with unprocessable():
            form = checked(Arguments, order.body)
            return await order_scene(order, form, _wish(form, alias, task))

    standing = await ordering.placed(place, ctx, request, token, body)
    job = standing.job
    urls = _urls(ctx, request, owner, alias, job.id)
    state: Any = "COMPLETED" if job.ended else "IN_QUEUE" if standing.ahead is not None else "IN_PROGRESS"
    return Submitted(
        status=state, request_id=job.id, gateway_request_id=job.id, queue_position=standing.ahead or 0, **urls
    )


def _wish(form: Arguments, alias: str, task: str | None) -> Wish:
    if task == FROM_PICTURE and form.image_url is None:
        raise InvalidRequest("image_url is required here.", param="image_url", code="missing_required_parameter")
    return Wish(
        alias,
        catalog.size_of(form.resolution, form.aspect_ratio),
        form.duration,
        form.num_inference_steps,
        None if task == FROM_WORDS else form.image_url,
        "image_url",
    )


def _urls(ctx: Context, request: Request, owner: str, alias: str, id: str) -> dict[str, str]:
    # Its client drops what follows owner and alias in an application's name.
    url = f"{links.base_of(ctx, request)}/fal/{owner}/{alias}/requests/{id}"
    return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}


def _ensure_app(owner: str, alias: str, task: str | None = None) -> None:
    name = f"{owner}/{alias}"
    if not catalog.is_published(name) or task not in (None, *TASKS):
        called = name if task is None else f"{name}/{task}"
        raise NotFound(
            f"There is no application {called[:80]!r}; there are {catalog.all_published()}, each with "
            f"/{' and /'.join(TASKS)} behind it.",
            param="alias",
        )


def _failure(job: Job) -> APIError:
    code, message = job.error_code or "render_failed", job.error_message or "The video failed."
    if code == MODERATION_BLOCKED:
        return UnprocessableRequest(message, param="prompt", code=code)
    if code == "cancelled":
        # Not 409, which the Python client repeats ten times.
        return InvalidRequest(message, param="request_id", code=code)
    return ServerFault(message, code=code)
