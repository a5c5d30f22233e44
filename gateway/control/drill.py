"""`/control/drill`: whose drill has the gateway; begin one, renew its lease, end it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from gateway.exercise import DrillLease, lease
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body

router = APIRouter(prefix="/control/drill", tags=["control"])

Words = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[ -~]+$")]
Seconds = Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)]


class BeginDrill(Body):
    """`who` is where the drill runs, for whoever is refused meanwhile. The lease lasts `lease_seconds`, and so long
    again with each renewal."""

    scenario: Words
    who: Words
    lease_seconds: Seconds = 30.0


class RenewDrill(Body):
    """From now on for so long."""

    lease_seconds: Seconds = 30.0


class DrillInfo(BaseModel):
    """A drill that has the gateway. Times are Unix seconds; at `until` its lease ends unless it is renewed."""

    id: str
    scenario: str
    who: str
    since: float
    until: float

    @classmethod
    def of(cls, found: DrillLease) -> DrillInfo:
        """As the row says."""
        return cls(id=found.drill, scenario=found.scenario, who=found.who, since=found.since, until=found.until)


class DrillStanding(BaseModel):
    """Null where no drill has the gateway."""

    drill: DrillInfo | None


@router.get("")
async def show(ctx: Ctx, actor: Admin) -> DrillStanding:
    """Which drill has the gateway."""
    found = await lease.show(ctx.store, now=ctx.clock.now())
    return DrillStanding(drill=None if found is None else DrillInfo.of(found))


@router.post("", status_code=201)
async def begin(body: BeginDrill, ctx: Ctx, actor: Admin) -> DrillInfo:
    """Takes the gateway for a drill. While another has it, this is refused with 409 `drill_under_way`."""
    return DrillInfo.of(
        await lease.begin(
            ctx.store, body.scenario, body.who, seconds=body.lease_seconds, now=ctx.clock.now(), actor=actor
        )
    )


@router.put("/{drill_id}")
async def renew(drill_id: str, body: RenewDrill, ctx: Ctx, actor: Admin) -> DrillInfo:
    """The drill runs still. 409 where another has taken its place, 404 where its lease was ended."""
    return DrillInfo.of(await lease.renew(ctx.store, drill_id, seconds=body.lease_seconds, now=ctx.clock.now()))


@router.delete("/{drill_id}")
async def end(drill_id: str, ctx: Ctx, actor: Admin) -> DrillInfo:
    """The drill is over: another may begin."""
    return DrillInfo.of(await lease.end(ctx.store, drill_id, now=ctx.clock.now(), actor=actor))
