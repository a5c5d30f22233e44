"""`/control/tokens` and `/control/revocations`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from gateway.control.schemas import (
    ApplyRevocation,
    IssuedToken,
    IssueToken,
    Item,
    JobCounts,
    MoveToken,
    PreviewAnswer,
    PreviewRevocation,
    RevocationAnswer,
    RevocationPage,
    TokenInfo,
    TokenPage,
)
from gateway.revocations import service as revocation_service
from gateway.tokens import TokenFilter, TokenState, service
from gateway.tokens.service import NewToken
from gateway.web.auth import Admin
from gateway.web.context import Ctx

router = APIRouter(prefix="/control", tags=["control"])

Limit = Annotated[int, Query(ge=1, le=10_000)]


@router.post("/tokens", status_code=201)
async def issue(body: IssueToken, ctx: Ctx, actor: Admin) -> IssuedToken:
    """A new token; its secret is in this answer and nowhere else."""
    now = ctx.clock.now()
    in_flight = ctx.limits.tiers.named(body.tier).in_flight
    new = NewToken(
        body.principal, body.cohort, tuple(body.scopes), tuple(body.labels), body.expires_in, body.tier, in_flight
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
async def show(accessor: str, ctx: Ctx, actor: Admin) -> TokenInfo:
    """One token."""
    return TokenInfo.of(await service.show(ctx.store, accessor), ctx.clock.now())


@router.patch("/tokens/{accessor}")
async def move(accessor: str, body: MoveToken, ctx: Ctx, actor: Admin) -> TokenInfo:
    """Quarantine, suspend or restore. A revoked token stays revoked."""
    now = ctx.clock.now()
    token = await service.change_state(ctx.store, accessor, TokenState(body.state), now=now, actor=actor)
    return TokenInfo.of(token, now)


@router.post("/revocations/preview")
async def preview(body: PreviewRevocation, ctx: Ctx, actor: Admin) -> PreviewAnswer:
    """What a revocation would take, without taking it."""
    found = await revocation_service.preview(ctx.store, ctx.keys.tokens, body.selector.selector(), now=ctx.clock.now())
    return PreviewAnswer(
        tokens=len(found.tokens),
        jobs=JobCounts(queued=found.jobs_queued, running=found.jobs_running),
        bystanders=found.bystanders,
        items=[Item(accessor=one.accessor, principal=one.principal, cohort=one.cohort) for one in found.tokens],
    )


@router.post("/revocations")
async def revoke(body: ApplyRevocation, ctx: Ctx, actor: Admin) -> RevocationAnswer:
    """Revokes. When this has answered, no request that starts afterwards is accepted."""
    revocation = await revocation_service.apply(
        ctx.store,
        ctx.keys.tokens,
        body.selector.selector(),
        reason=body.reason,
        actor=actor,
        clock=ctx.clock,
        confirmed=body.confirm == "all",
    )
    return RevocationAnswer.of(revocation)


@router.get("/revocations")
async def list_revocations(ctx: Ctx, actor: Admin, limit: Limit = 100) -> RevocationPage:
    """The newest first."""
    found = await revocation_service.newest(ctx.store, limit)
    return RevocationPage(data=[RevocationAnswer.of(one) for one in found])


@router.get("/revocations/{revocation_id}")
async def show_revocation(revocation_id: str, ctx: Ctx, actor: Admin) -> RevocationAnswer:
    """One revocation."""
    return RevocationAnswer.of(await revocation_service.show(ctx.store, revocation_id))
