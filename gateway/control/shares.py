"""`/control/shares`: what people want to show, and the operator's word on it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.shares import Shared, ShareState, service
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body

router = APIRouter(prefix="/control/shares", tags=["control"])


class ShareInfo(BaseModel):
    """One shared, or to be shared, clip. `live`: its link plays now. Times are Unix seconds."""

    video_id: str
    accessor: str
    principal: str
    prompt: str
    state: ShareState
    expires_at: float | None
    live: bool

    @classmethod
    def of(cls, shared: Shared) -> ShareInfo:
        """Without the link: the operator has the clip, not the right to hand it round."""
        return cls(**{name: getattr(shared, name) for name in cls.model_fields})


class SharePage(BaseModel):
    """What waits for a decision first."""

    data: list[ShareInfo]


class Decide(Body):
    """`reason` goes to the event list."""

    decision: Literal["approve", "refuse"]
    reason: str | None = Field(None, min_length=1, max_length=500)


class Decision(BaseModel):
    """Where the share stands after the decision."""

    video_id: str
    state: ShareState


@router.get("")
async def list_shares(
    ctx: Ctx,
    actor: Admin,
    state: Literal["pending", "approved", "refused"] | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> SharePage:
    """Shares, pending ones first, in order of arrival."""
    which = None if state is None else ShareState(state)
    found = await service.listed(ctx.store, state=which, now=ctx.clock.now(), limit=limit)
    return SharePage(data=[ShareInfo.of(one) for one in found])


@router.post("/{video_id}")
async def decide(video_id: str, body: Decide, ctx: Ctx, actor: Admin) -> Decision:
    """Approves or refuses; refusing an approved share ends it."""
    job = await service.decide(
        ctx.store,
        video_id,
        approve=body.decision == "approve",
        reason=body.reason,
        now=ctx.clock.now(),
        actor=actor,
    )
    return Decision(video_id=job.id, state=ShareState(job.share))
