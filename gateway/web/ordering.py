"""From a checked body to a queued job, whichever API it came in by: what is looked at, kept and asked for.

A video from words alone takes the short way: no file, no thread, no query but the submission.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import Request

from gateway.errors import ANSWER_HEADERS
from gateway.faults.service import FATE
from gateway.jobs import RenderRequest, catalog, id_at, service
from gateway.jobs.service import Standing
from gateway.limits import repeats
from gateway.limits.repeats import Attempt
from gateway.telemetry import TRACEPARENT
from gateway.tokens import Token
from gateway.web.bodies import Body
from gateway.web.context import Context

REPLAYED = (b"idempotent-replayed", b"true")


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
    """What `place` makes of this request, or the video that the very same request made before; the answer says so."""
    standing = await _placed(place, ctx, request, token, body)
    if standing.replayed:
        request.scope.setdefault(ANSWER_HEADERS, []).append(REPLAYED)
    return standing


async def _placed(
    place: Callable[[Order], Awaitable[Standing]], ctx: Context, request: Request, token: Token, body: Body
) -> Standing:
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


async def submit(order: Order, request: RenderRequest, id: str | None = None) -> Standing:
    """Queues the job; what was kept for it goes again where it is not taken."""
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


async def submit_with(order: Order, request: RenderRequest, file: Path) -> Standing:
    """The same for a job that begins with an upload, which is kept for it."""
    own = id_at(order.ctx.clock.now())
    name = f"{own}.input"
    order.ctx.inputs.keep(file, name)
    return await submit(order, replace(request, input=name), own)


async def submit_from_picture(order: Order, request: RenderRequest, file: Path, *, param: str) -> Standing:
    """The same for a picture of exactly the video's size; raises InvalidRequest naming `param`."""
    await order.ctx.inputs.check_picture(file, request.size, param=param)
    return await submit_with(order, request, file)


async def submit_from_address(
    order: Order, request: RenderRequest, url: str, *, param: str, at: str | None = None
) -> Standing:
    """The same for a picture behind a data URL or an address, which came in the field `at`, or in `param`.

    Raises UrlRefused, FetchFailed or InvalidRequest.
    """
    fetched = await order.ctx.inputs.fetched(url, param=at or param)
    try:
        return await submit_from_picture(order, request, fetched, param=param)
    finally:
        fetched.unlink(missing_ok=True)


async def cancel(ctx: Context, token: Token, id: str) -> Standing:
    """Ends one of the token's own jobs, if it has not ended, and drops what was kept for it; raises NotFound."""
    standing = await service.cancel(ctx.store, ctx.line, token, id, now=ctx.clock.now())
    ctx.inputs.drop(standing.job.request.input)
    return standing


def seed(given: int | None) -> int:
    """The seed that was given, or one by chance."""
    return secrets.randbits(catalog.SEED_BITS) if given is None else given
