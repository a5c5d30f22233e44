"""Who is asking: the bearer's token, or the admin (RFC 6750, section 2.1: the Authorization header only)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request

from gateway.errors import InvalidCredentials, InvalidRequest
from gateway.faults.defects import Defect
from gateway.tokens import Token, service
from gateway.web.context import ACCESSOR, Context, context_of
from gateway.web.faces import face_of
from gateway.web.surfaces import surface_of

ACTOR_HEADER = "leakdrill-actor"
MOST_NAME = 40


def bearer_of(request: Request) -> str | None:
    """The token as it was shown, in the scheme that this path's API has, or None. The scheme's case does not matter
    (RFC 9110, section 11.1)."""
    for name, value in request.scope["headers"]:  # not `request.headers`, which costs every poll twice as much
        if name == b"authorization":
            scheme, _, bearer = value.decode("latin-1").partition(" ")
            return bearer.strip() or None if scheme.lower() in face_of(request.scope["path"]).schemes else None
    return None


def secret_hash(ctx: Context, request: Request) -> bytes:
    """By what the bearer's row is found; raises InvalidCredentials."""
    bearer = bearer_of(request)
    if bearer is None:
        raise service.missing(face_of(request.scope["path"]).scheme)
    return service.hash_of(ctx.keys.tokens, bearer)


def judged(ctx: Context, token: Token | None, scope: str, request: Request, now: float) -> Token:
    """The token, once it is good for `scope` at `now`, a moment before it was read; every request that carries a
    bearer passes here.

    Raises InvalidCredentials, with one public text for every reason, InsufficientScope, or RateLimitExceeded.
    """
    token = service.ensure_accepted(token, now)
    service.ensure_scope(token, scope)
    ctx.usage.note(token.accessor, surface_of(request.scope), now)
    request.scope[ACCESSOR] = token.accessor
    ctx.metrics.counts.judged("accepted")
    ctx.clients.arrived(token, request.scope, now)
    ctx.limits.admit(token, request.scope, now)
    return token


async def strike(ctx: Context, token: Token, scope: str, request: Request, now: float) -> None:
    """Tells a request whose token is good of the API's end, and lets a seeded failure strike it; raises what it is
    answered with.

    Where that took time, the token is judged again: it may have been revoked meanwhile.
    """
    if ctx.sunset.armed(now):
        await ctx.sunset.meet(request.scope, token.accessor, now)
    if ctx.faults.armed(request.scope, now) and await ctx.faults.strike(token, request.scope, now):
        again = service.ensure_accepted(await service.by_hash(ctx.store, secret_hash(ctx, request)), ctx.clock.now())
        service.ensure_scope(again, scope)


async def strike_link(accessor: str, request: Request) -> bool:
    """`strike` for a signed link that was found good, which stands for a token. True where it must be judged again."""
    ctx = context_of(request)
    now = ctx.clock.now()
    if ctx.sunset.armed(now):
        await ctx.sunset.meet(request.scope, accessor, now)
    if not ctx.faults.armed(request.scope, now):
        return False
    return await ctx.faults.strike(await service.show(ctx.store, accessor), request.scope, now)


async def good_for(ctx: Context, scope: str, request: Request) -> Token:
    """The caller's token, once it is good for `scope` and no seeded failure has struck."""
    now = ctx.clock.now()
    found = await service.by_hash(ctx.store, secret_hash(ctx, request))
    if (
        found is not None
        and request.scope["path"].endswith("/content")
        and ctx.sight.makes(Defect.LEGACY_PATH_UNCHECKED)
    ):
        ctx.usage.note(found.accessor, surface_of(request.scope), now)
        ctx.metrics.counts.judged("accepted")
        return found
    token = judged(ctx, found, scope, request, now)
    await strike(ctx, token, scope, request, now)
    return token


async def reader(request: Request) -> Token:
    """The caller's token, good for reading."""
    return await good_for(context_of(request), service.READ, request)


async def writer(request: Request) -> Token:
    """The caller's token, good for creating."""
    return await good_for(context_of(request), service.WRITE, request)


async def minter(request: Request) -> Token:
    """The caller's token, good for minting others."""
    return await good_for(context_of(request), service.MINT, request)


async def admin(request: Request) -> str:
    """The actor's name for the event list; raises InvalidCredentials for anybody but the admin.

    Several people may share the admin token; `leakdrill-actor` says who of them asks, in their own words.
    """
    ctx = context_of(request)
    bearer = bearer_of(request)
    if bearer is None or not ctx.keys.is_admin(bearer):
        raise InvalidCredentials(
            f"This needs the admin token. It is in the file admin.token of the gateway's data directory "
            f"({ctx.settings.data}), or in LEAKDRILL_ADMIN_TOKEN.",
            given=bearer is not None,
            reason="missing" if bearer is None else "not_admin",
        )
    ctx.metrics.counts.judged("admin")
    return _named(request.headers.get(ACTOR_HEADER, ""))


def _named(given: str) -> str:
    """The admin under the name that the header gives, in percent-encoded UTF-8; raises InvalidRequest."""
    name = " ".join(unquote(given).split())
    if len(name) > MOST_NAME or not name.isprintable():
        raise InvalidRequest(f"{ACTOR_HEADER} must be at most {MOST_NAME} printable characters, percent-encoded.")
    return f"admin ({name})" if name else "admin"


Reader = Annotated[Token, Depends(reader)]
Writer = Annotated[Token, Depends(writer)]
Minter = Annotated[Token, Depends(minter)]
Admin = Annotated[str, Depends(admin)]
