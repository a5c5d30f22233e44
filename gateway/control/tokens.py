"""`/control/tokens`: issue, list, show, move on the ladder."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.control.tombstones import TokenDetail
from gateway.limits.credits import account_of
from gateway.tokens import TokenFilter, TokenState, service
from gateway.tokens.service import NewToken
from gateway.tokens.tombstone import inscription
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body, IssuedToken, Name, Scope, TokenInfo

router = APIRouter(prefix="/control", tags=["control"])

Limit = Annotated[int, Query(ge=1, le=10_000)]


class IssueToken(Body):
    """`expires_in` is seconds; without it the token does not expire. `tier` is one of the tiers' file. `credits` is
    what its videos may cost in all; without it they cost nothing."""

    principal: Name
    cohort: Name
    scopes: list[Scope] = Field(["videos:read", "videos:write"], min_length=1)
    labels: list[Name] = Field([], max_length=20)
    expires_in: float | None = Field(None, gt=0, le=10 * 365 * 86_400)
    tier: str = "standard"
    credits: int | None = Field(None, ge=0, le=10**12)


class TokenPage(BaseModel):
    """Tokens, oldest first."""

    data: list[TokenInfo]


class MoveToken(Body):
    """Where on the ladder the token goes."""

    state: Literal["active", "quarantined", "suspended"]


@router.post("/tokens", status_code=201)
async def issue(body: IssueToken, ctx: Ctx, actor: Admin) -> IssuedToken:
    """A new token; its secret is in this answer and nowhere else."""
    now = ctx.clock.now()
    in_flight = ctx.limits.tiers.named(body.tier).in_flight
    new = NewToken(
        body.principal,
        body.cohort,
        tuple(body.scopes),
        tuple(body.labels),
        body.expires_in,
        body.tier,
        in_flight,
        body.credits,
    )
    secret, token = await service.issue(ctx.store, ctx.keys.tokens, new, now=now, actor=actor)
    return IssuedToken(**TokenInfo.of(token, now).model_dump(), token=secret)


@router.get("/tokens")
async def list_tokens(
    ctx: Ctx,
    actor: Admin,
    cohort: str | None = None,
    principal: str | None = None,
    state: Literal["active", "quarantined", "suspended", "revoked"] | None = None,
    limit: Limit = 1000,
) -> TokenPage:
    """Tokens, oldest first."""
    which = TokenFilter(cohort=cohort, principal=principal, state=TokenState(state) if state else None)
    found = await service.find(ctx.store, which, limit)
    now = ctx.clock.now()
    return TokenPage(data=[TokenInfo.of(token, now) for token in found])


@router.get("/tokens/{accessor}")
async def show(accessor: str, ctx: Ctx, actor: Admin) -> TokenDetail:
    """One token, who disclosed it, when it was first tried after its end, and the credits that it draws on."""
    token = await service.show(ctx.store, accessor)
    account = await account_of(ctx.store, token)
    return TokenDetail.of_everything(token, await inscription(ctx.store, token), account, ctx.clock.now())


@router.patch("/tokens/{accessor}")
async def move(accessor: str, body: MoveToken, ctx: Ctx, actor: Admin) -> TokenInfo:
    """Quarantine, suspend or restore. A revoked token stays revoked."""
    now = ctx.clock.now()
    token = await service.change_state(ctx.store, accessor, TokenState(body.state), now=now, actor=actor)
    return TokenInfo.of(token, now)
