"""`/control/profile`: how long a render seems to take."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.faults import latency
from gateway.faults.latency import Latency
from gateway.web.auth import Admin
from gateway.web.context import Context, Ctx
from gateway.web.schemas import Body

router = APIRouter(prefix="/control", tags=["control"])


class SetProfile(Body):
    """`speed` divides every simulated time: 60 s hold a slot for 6 s at 10. `for_seconds` puts the present profile back
    by itself; without it the new one stays."""

    name: str = Field(max_length=80, examples=["instant"])
    speed: float = Field(1.0, ge=0.001, le=100_000, allow_inf_nan=False)
    seed: int = Field(1, ge=0, lt=2**31)
    for_seconds: float | None = Field(None, gt=0, le=7 * 86_400)


class ProfileInfo(BaseModel):
    """A profile that there is."""

    name: str
    description: str
    source: str


class ProfileAnswer(BaseModel):
    """The profile in force. `until` (Unix seconds), `remaining_seconds` and `then`, the name of the one that follows,
    are null where it stays."""

    name: str
    speed: float
    seed: int
    since: float
    until: float | None
    remaining_seconds: float | None
    then: str | None
    available: list[ProfileInfo]


@router.get("/profile")
async def show(ctx: Ctx, actor: Admin) -> ProfileAnswer:
    """What is in force, and what there is."""
    now = ctx.clock.now()
    return _answer(ctx, await latency.show(ctx.store, now), now)


@router.put("/profile")
async def set_profile(body: SetProfile, ctx: Ctx, actor: Admin) -> ProfileAnswer:
    """Puts a profile in force for every job that is claimed from now on."""
    now = ctx.clock.now()
    wanted = latency.Wanted(**body.model_dump())
    profiles = latency.available(ctx.settings.profiles_dir)
    return _answer(ctx, await latency.set_profile(ctx.store, profiles, wanted, now=now, actor=actor), now)


def _answer(ctx: Context, found: Latency, now: float) -> ProfileAnswer:
    one = found.now
    return ProfileAnswer(
        name=one.profile.name,
        speed=one.speed,
        seed=one.seed,
        since=one.since,
        until=one.until,
        remaining_seconds=None if one.until is None else one.until - now,
        then=found.then.profile.name if found.then else None,
        available=[
            ProfileInfo(name=profile.name, description=profile.description, source=profile.source)
            for profile in latency.available(ctx.settings.profiles_dir).values()
        ],
    )
