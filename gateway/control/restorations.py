"""`/control/restorations`: bring suspended and quarantined tokens back, in batches; how far that is; stop it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.control.revocations import SelectorBody
from gateway.revocations import restoring
from gateway.revocations.restoring import Progress, Wanted
from gateway.tokens import TokenState
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body

router = APIRouter(prefix="/control/restorations", tags=["control"])

Outcome = Literal["waiting", "restored", "already", "final", "failed"]


class Restore(Body):
    """`over_seconds` is 0 for one token and 30 for more unless given, `batch` as many tokens as make it a batch a
    second. `thaw_mint` lifts the mint freeze once everything is back. `confirm` must be "all" where the selector is
    all."""

    selector: SelectorBody
    reason: str = Field(min_length=1, max_length=500)
    to: Literal["active", "quarantined"] = "active"
    over_seconds: float | None = Field(None, ge=0, le=86_400, allow_inf_nan=False)
    batch: int | None = Field(None, ge=1, le=10_000)
    thaw_mint: bool = False
    confirm: Literal["all"] | None = None


class Counts(BaseModel):
    """Tokens by what became of them."""

    waiting: int
    restored: int
    already: int
    final: int
    failed: int


class NotVerified(BaseModel):
    """A token that came back and is not accepted as it should be."""

    accessor: str
    why: str


class BatchInfo(BaseModel):
    """Tokens that came back together. `verified` is null until they were looked at, at `checked_at`."""

    number: int
    at: float
    tokens: int
    verified: bool | None
    checked_at: float | None
    not_verified: list[NotVerified]


class RestorationItem(BaseModel):
    """One token. `already` needs nothing, `final` is revoked or expired, `failed` did not change although it should
    have; `batch` is the one that it came back in."""

    accessor: str
    principal: str
    cohort: str
    outcome: Outcome
    batch: int | None
    verified: bool | None
    why: str | None


class RestorationAnswer(BaseModel):
    """A restoration as it stands. `because` says why it was halted or stopped; `next_at` is null once it has ended.
    Times are Unix seconds."""

    id: str
    selector: dict[str, Any]
    reason: str
    actor: str
    to: Literal["active", "quarantined"]
    over_seconds: float
    batch: int
    thaw_mint: bool
    state: Literal["running", "done", "halted", "stopped"]
    because: str | None
    requested_at: float
    next_at: float | None
    ended_at: float | None
    counts: Counts
    batches: list[BatchInfo]
    items: list[RestorationItem]

    @classmethod
    def of(cls, progress: Progress) -> RestorationAnswer:
        """As the rows say."""
        row, counted = progress.restoration, Counter(item.outcome for item in progress.items)
        return cls.model_validate(
            {
                **{name: getattr(row, name) for name in ("id", "selector", "reason", "actor", "over_seconds")},
                **{name: getattr(row, name) for name in ("because", "requested_at", "ended_at")},
                "to": str(row.target),
                "batch": row.size,
                "thaw_mint": row.thaw,
                "state": str(row.state),
                "next_at": None if row.ended_at is not None else row.next_at,
                "counts": {name: counted[name] for name in Counts.model_fields},
                "batches": [
                    {
                        **vars(batch),
                        "not_verified": [
                            {"accessor": item.accessor, "why": item.why}
                            for item in progress.items
                            if item.batch == batch.number and item.why is not None
                        ],
                    }
                    for batch in progress.batches
                ],
                "items": [vars(item) for item in progress.items],
            }
        )


@router.post("")
async def restore(body: Restore, ctx: Ctx, actor: Admin) -> RestorationAnswer:
    """Brings tokens back. The first batch is back, and was looked at, when this answers; the others follow."""
    wanted = Wanted(
        selector=body.selector.selector(),
        reason=body.reason,
        to=TokenState(body.to),
        over_seconds=body.over_seconds,
        batch=body.batch,
        thaw=body.thaw_mint,
        confirmed=body.confirm == "all",
    )
    id = await restoring.start(ctx.store, ctx.keys.tokens, wanted, actor=actor, clock=ctx.clock)
    await ctx.ramps.step()
    return RestorationAnswer.of(await restoring.show(ctx.store, id))


@router.get("/{restoration_id}")
async def show_restoration(restoration_id: str, ctx: Ctx, actor: Admin) -> RestorationAnswer:
    """How far it is: each batch with when, how many, and whether they are accepted."""
    return RestorationAnswer.of(await restoring.show(ctx.store, restoration_id))


@router.post("/{restoration_id}/stop")
async def stop_restoration(restoration_id: str, ctx: Ctx, actor: Admin) -> RestorationAnswer:
    """Brings nothing more back; what came back stays. One that has ended stays as it is."""
    return RestorationAnswer.of(await restoring.stop(ctx.store, restoration_id, actor=actor, now=ctx.clock.now()))
