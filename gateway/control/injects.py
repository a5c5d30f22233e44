"""`/control/injects`: what became of the planned injects of an exercise; one is fired, held, skipped, or put back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, StringConstraints

from gateway.errors import InvalidRequest
from gateway.exercise import injects
from gateway.exercise.injects import Injects, InjectState, Moved
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body

router = APIRouter(prefix="/control/injects", tags=["control"])

InjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class MoveInject(Body):
    """`line` goes on every page with the firing; without it the inject is told in another way. `by_clock` says that its
    time had come and nobody pressed a button: then one that is held or skipped is not fired."""

    state: InjectState = Field(strict=False)
    line: Line | None = None
    by_clock: bool = False


class SetByClock(Body):
    """Whether injects are fired by themselves once their replay time has come."""

    by_clock: bool


class InjectInfo(BaseModel):
    """Where an inject stands since `at` (Unix seconds), `replay_at` (ISO 8601, null without a replay clock)."""

    id: str
    state: InjectState
    at: float
    replay_at: str | None
    actor: str

    @classmethod
    def of(cls, moved: Moved) -> InjectInfo:
        """As it stands."""
        return cls(**vars(moved))


class InjectsAnswer(BaseModel):
    """The injects that something was done with; all others wait."""

    by_clock: bool
    data: list[InjectInfo]

    @classmethod
    def of(cls, found: Injects) -> InjectsAnswer:
        """As they stand."""
        return cls(by_clock=found.by_clock, data=[InjectInfo.of(one) for one in found.moved.values()])


@router.get("")
async def show(ctx: Ctx, actor: Admin) -> InjectsAnswer:
    """How they stand."""
    return InjectsAnswer.of(await injects.show(ctx.store))


@router.put("")
async def set_by_clock(body: SetByClock, ctx: Ctx, actor: Admin) -> InjectsAnswer:
    """Says whether the clock is to fire them. The gateway fires nothing itself: whoever has the plan does."""
    return InjectsAnswer.of(await injects.set_by_clock(ctx.store, body.by_clock, now=ctx.clock.now(), actor=actor))


@router.put("/{inject_id}")
async def move(inject_id: InjectId, body: MoveInject, ctx: Ctx, actor: Admin) -> InjectInfo:
    """Fires an inject, holds it, skips it, or has it wait again. Fired is final: a second one is answered 409."""
    if body.state is not InjectState.FIRED and (body.line is not None or body.by_clock):
        raise InvalidRequest("line and by_clock are for an inject that is fired.", param="state")
    moved = await injects.move(
        ctx.store,
        inject_id,
        body.state,
        line=body.line,
        by_clock=body.by_clock,
        now=ctx.clock.now(),
        actor=actor,
    )
    return InjectInfo.of(moved)
