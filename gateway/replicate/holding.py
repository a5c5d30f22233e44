"""`Prefer: wait` (RFC 7240, section 4.3): a creation is held open until its video has ended.

What is held is looked after like an open stream: it ends within a quarter second of its token, with the public 401.
"""

from __future__ import annotations

import asyncio
import re

from fastapi import Request

from gateway.errors import InvalidCredentials, StoreUnavailable, StreamsExceeded
from gateway.jobs import service
from gateway.jobs.service import Standing
from gateway.tokens import Token
from gateway.tokens.service import refusal
from gateway.web.context import Context
from gateway.web.faults import leaving
from gateway.web.surfaces import surface_of

LOOK_SECONDS = 0.2
MOST_SECONDS = 60
_WAIT = re.compile(r"wait(?:\s*=\s*\"?([0-9]{1,4})\"?)?")


def seconds_preferred(request: Request) -> int | None:
    """How long the caller would wait, 1 to 60 s; None where it would not."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        matched = _WAIT.fullmatch(preference.partition(";")[0].strip().lower())
        if matched is not None:
            return min(MOST_SECONDS, max(1, int(matched[1] or MOST_SECONDS)))
    return None


async def until_ended(ctx: Context, request: Request, token: Token, standing: Standing, seconds: float) -> Standing:
    """How the token's own job stands once it has ended, or after `seconds`; at once where the token has as many streams
    open as it may. Raises InvalidCredentials as soon as the token is not accepted any more."""
    job, wake = standing.job, asyncio.Event()
    if job.ended:
        return standing

    def stop() -> bool:
        wake.set()
        return True

    surface = f"POST {request.scope['route'].path}"
    try:
        stream = await ctx.streams.begin(token.accessor, job.id, surface, surface_of(request.scope), stop)
    except (StreamsExceeded, StoreUnavailable):
        return standing
    loop, since = asyncio.get_running_loop(), 0
    until = loop.time() + seconds
    try:
        while loop.time() < until and not leaving(request.scope) and not await request.is_disconnected():
            try:
                now = ctx.clock.now()
                found = await service.look(ctx.store, ctx.line, token, job.id, since=since, now=now)
            except InvalidCredentials as exc:
                stream.cut = True
                # The request was accepted when it began: how it ends is told as a stream's end, not as a refusal.
                raise refusal() from exc
            except StoreUnavailable:
                found = None  # the video is in line; the next look may tell
            if found is not None:
                since, standing = found
                if standing.job.ended:
                    break
            try:
                async with asyncio.timeout(min(LOOK_SECONDS, max(0.0, until - loop.time()))):
                    await wake.wait()
            except TimeoutError:
                continue
            raise refusal()
    finally:
        await ctx.streams.end(stream)
    return standing
