"""`/metrics` for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from gateway.errors import NotFound
from gateway.metrics.exposition import OPENMETRICS, exposition
from gateway.web.auth import admin
from gateway.web.context import Ctx

public = APIRouter()


@public.get(
    "/metrics",
    tags=["status"],
    response_class=PlainTextResponse,
    responses={200: {"content": {OPENMETRICS: {"schema": {"type": "string"}}}}},
)
async def metrics(ctx: Ctx, request: Request) -> Response:
    """Figures for Prometheus, as its text format or OpenMetrics by Accept header. No secrets; by setting open to
    everybody, for the admin alone, or not there."""
    if ctx.settings.metrics == "off":
        raise NotFound("There is nothing at GET /metrics; LEAKDRILL_METRICS is off.")
    if ctx.settings.metrics == "admin":
        await admin(request)
    text, media_type = exposition(await ctx.metrics.scrape(), request.headers.get("accept", ""))
    return Response(text, headers={"content-type": media_type, "cache-control": "no-store"})
