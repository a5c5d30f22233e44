"""`/v1/tokens`: a bearer mints tokens that can do less than it can, and die with it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from gateway.tokens import minting
from gateway.tokens.minting import NewChild
from gateway.web.auth import Minter
from gateway.web.context import Ctx
from gateway.web.schemas import Body, IssuedToken, Name, Scope, TokenInfo

router = APIRouter(tags=["tokens"])


class MintToken(Body):
    """Without `scopes` a child gets all of its parent's but `tokens:mint`. `expires_in` is seconds; what would outlive
    the parent ends with it."""

    scopes: list[Scope] | None = Field(None, min_length=1)
    labels: list[Name] = Field([], max_length=20)
    expires_in: float | None = Field(None, gt=0, le=10 * 365 * 86_400)


@router.post("/v1/tokens", status_code=201)
async def mint(body: MintToken, ctx: Ctx, token: Minter) -> IssuedToken:
    """A child token; its secret is in this answer and nowhere else."""
    now = ctx.clock.now()
    new = NewChild(
        scopes=None if body.scopes is None else tuple(dict.fromkeys(body.scopes)),
        labels=tuple(body.labels),
        expires_in=body.expires_in,
        in_flight=ctx.limits.tiers.of(token.tier).in_flight,
    )
    secret, child = await minting.mint(ctx.store, ctx.keys.tokens, token, new, now=now)
    return IssuedToken(**TokenInfo.of(child, now).model_dump(), token=secret)
