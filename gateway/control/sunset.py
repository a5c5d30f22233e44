"""`/control/sunset`: plan the end of the API, see who still calls it, take the plan back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, StringConstraints

from gateway.control.schemas import written_out
from gateway.exercise.sunset import MOST_BROWN_OUTS, Planned, Schedule, Standing
from gateway.web.auth import Admin
from gateway.web.context import Context, Ctx
from gateway.web.schemas import Body

router = APIRouter(prefix="/control/sunset", tags=["control"])

# What may stand between < and > in a Link header (RFC 8288).
Link = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[!-;=?-~]+$")]


# With an offset, written out as for the clock.
Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(written_out)]


class SetBrownOut(Body):
    """From `at` until before `until` everybody is answered `status`."""

    at: Time
    until: Time
    status: Literal[503, 410] = 503


class SetSunset(Body):
    """Times are read on the replay clock while there is one, and else on the machine's. Answers bear the headers from
    `announced_at` on."""

    announced_at: Time
    ends_at: Time
    brown_outs: list[SetBrownOut] = Field([], max_length=MOST_BROWN_OUTS)
    link: Link | None = None

    def schedule(self) -> Schedule:
        """As the service takes it."""
        outs = tuple(Planned(one.at.timestamp(), one.until.timestamp(), one.status) for one in self.brown_outs)
        return Schedule(self.announced_at.timestamp(), self.ends_at.timestamp(), outs, self.link)


class BrownOutInfo(BaseModel):
    """A planned outage; times are ISO 8601, UTC."""

    at: str
    until: str
    status: int


class CallerInfo(BaseModel):
    """What one token asked this gateway for since the announcement, by stage; `last_at` is Unix seconds."""

    accessor: str
    announced: int
    brown_out: int
    ended: int
    last_at: float


class SunsetAnswer(BaseModel):
    """How it stands at `time`, on the clock by which the schedule is read. Without a plan the stage is `none`, and the
    schedule's fields are null. `callers` are those of the gateway that answers, most calls after the end first."""

    stage: Literal["none", "planned", "announced", "brown_out", "ended"]
    time: str
    announced_at: str | None
    ends_at: str | None
    brown_outs: list[BrownOutInfo]
    link: str | None
    callers: list[CallerInfo]


@router.get("")
async def show(ctx: Ctx, actor: Admin) -> SunsetAnswer:
    """How far the end of the API is, and who still calls."""
    return await _answer(ctx)


@router.put("")
async def plan(body: SetSunset, ctx: Ctx, actor: Admin) -> SunsetAnswer:
    """Plans the end; it takes the place of what was planned before, and the count of callers begins anew."""
    await ctx.sunset.put(body.schedule(), now=ctx.clock.now(), actor=actor)
    return await _answer(ctx)


@router.delete("")
async def take_back(ctx: Ctx, actor: Admin) -> SunsetAnswer:
    """The API goes on as before."""
    await ctx.sunset.remove(now=ctx.clock.now(), actor=actor)
    return await _answer(ctx)


async def _answer(ctx: Context) -> SunsetAnswer:
    standing: Standing = await ctx.sunset.show(ctx.clock.now())
    schedule = standing.schedule
    outs = schedule.brown_outs if schedule else ()
    return SunsetAnswer.model_validate(
        {
            "stage": str(standing.stage),
            "time": _iso(standing.time),
            "announced_at": _iso(schedule.announced_at) if schedule else None,
            "ends_at": _iso(schedule.ends_at) if schedule else None,
            "brown_outs": [{"at": _iso(one.at), "until": _iso(one.until), "status": one.status} for one in outs],
            "link": schedule.link if schedule else None,
            "callers": [vars(one) for one in ctx.sunset.callers()],
        }
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
