"""`/v1/webhook_endpoints`: create, list, retrieve, update, delete, rotate the secret, test; the event types."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from gateway.errors import InvalidRequest
from gateway.hooks.schemas import (
    CreateEndpoint,
    EndpointDeleted,
    EndpointPage,
    EventTypeList,
    RotateSecret,
    TestEndpoint,
    TestResult,
    UpdateEndpoint,
    WebhookEndpoint,
    WebhookEndpointWithSecret,
    checked,
)
from gateway.web.auth import Reader, Writer
from gateway.web.bodies import read_body
from gateway.web.context import Context, Ctx
from gateway.webhooks import EVENT_TYPES, service
from gateway.webhooks.sending import Sender
from gateway.webhooks.service import Changes

router = APIRouter(tags=["webhooks"])


def _takes(form: type[Any]) -> dict[str, Any]:
    schema = form.model_json_schema()
    return {"requestBody": {"required": "required" in schema, "content": {"application/json": {"schema": schema}}}}


@router.post("/v1/webhook_endpoints", openapi_extra=_takes(CreateEndpoint))
async def create(request: Request, ctx: Ctx, token: Writer) -> WebhookEndpointWithSecret:
    """A new endpoint; its signing secret is in this answer and in that of a rotation, nowhere else."""
    form = checked(CreateEndpoint, await _values(request, ctx))
    endpoint = await service.create(
        ctx.store,
        token,
        name=form.name,
        url=form.url,
        event_types=_once(form.event_types),
        allow_private=ctx.settings.allow_private_targets,
        clock=ctx.clock,
    )
    return WebhookEndpointWithSecret.of(endpoint)


@router.get("/v1/webhook_endpoints")
async def list_endpoints(
    ctx: Ctx, token: Reader, after: str | None = None, limit: Annotated[int, Query(ge=0, le=100)] = 20
) -> EndpointPage:
    """The token's own endpoints, newest first."""
    found, more = await service.page(ctx.store, token, after=after, limit=limit)
    data = [WebhookEndpoint.of(one) for one in found]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return EndpointPage(data=data, first_id=first, last_id=last, has_more=more)


@router.get("/v1/webhook_endpoints/{webhook_endpoint_id}")
async def retrieve(webhook_endpoint_id: str, ctx: Ctx, token: Reader) -> WebhookEndpoint:
    """One endpoint."""
    return WebhookEndpoint.of(await service.show(ctx.store, token, webhook_endpoint_id))


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}", openapi_extra=_takes(UpdateEndpoint))
async def update(webhook_endpoint_id: str, request: Request, ctx: Ctx, token: Writer) -> WebhookEndpoint:
    """Changes name, URL or event types."""
    form = checked(UpdateEndpoint, await _values(request, ctx))
    endpoint = await service.update(
        ctx.store,
        token,
        webhook_endpoint_id,
        Changes(form.name, form.url, None if form.event_types is None else _once(form.event_types)),
        allow_private=ctx.settings.allow_private_targets,
        clock=ctx.clock,
    )
    return WebhookEndpoint.of(endpoint)


@router.delete("/v1/webhook_endpoints/{webhook_endpoint_id}")
async def delete(webhook_endpoint_id: str, ctx: Ctx, token: Writer) -> EndpointDeleted:
    """Removes it; what waits for it is not sent."""
    await service.delete(ctx.store, token, webhook_endpoint_id, clock=ctx.clock)
    return EndpointDeleted(id=webhook_endpoint_id)


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret", openapi_extra=_takes(RotateSecret))
async def rotate_secret(
    webhook_endpoint_id: str, request: Request, ctx: Ctx, token: Writer
) -> WebhookEndpointWithSecret:
    """A new secret; the old one signs for another 24 hours if asked."""
    form = checked(RotateSecret, await _values(request, ctx))
    keep_old = bool(form.keep_old_secret_active_for_24_hours)
    endpoint = await service.rotate(ctx.store, token, webhook_endpoint_id, keep_old=keep_old, clock=ctx.clock)
    return WebhookEndpointWithSecret.of(endpoint)


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}/test", openapi_extra=_takes(TestEndpoint))
async def test(webhook_endpoint_id: str, request: Request, ctx: Ctx, token: Writer) -> TestResult:
    """Sends one event now and tells the status that came back."""
    form = checked(TestEndpoint, await _values(request, ctx))
    sender = Sender(ctx.settings.allow_private_targets, ctx.settings.webhook_timeout_seconds)
    status = await service.test(ctx.store, token, webhook_endpoint_id, form.event_type, sender=sender, clock=ctx.clock)
    return TestResult(webhook_endpoint_id=webhook_endpoint_id, event_type=form.event_type, status_code=status)


@router.get("/v1/webhook_event_types")
async def event_types(token: Reader) -> EventTypeList:
    """What can be subscribed to."""
    return EventTypeList(data=list(EVENT_TYPES))


async def _values(request: Request, ctx: Context) -> dict[str, Any]:
    if "content-type" not in request.headers and request.headers.get("content-length", "0") == "0":
        return {}
    async with read_body(request, ctx) as body:
        if body.files:
            raise InvalidRequest("This takes no files; send JSON.", param=next(iter(body.files))[:80])
        return body.values


def _once(event_types: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event_types))
