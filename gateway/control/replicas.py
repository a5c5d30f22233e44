"""`/control/replicas`: the gateways that share a database, how late each learns of a revocation, and its mistakes."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.faults import consistency, modes
from gateway.faults.defects import DEFECTS, Defect
from gateway.faults.modes import Standing
from gateway.web.auth import Admin
from gateway.web.context import Context, Ctx
from gateway.web.schemas import Body

router = APIRouter(prefix="/control", tags=["control"])


class SetMode(Body):
    """What a gateway, or without `replica` each of them, does from now on. What is not given stays as it is.

    `seconds` is the bound of a profile that has one. `defects` replaces those that were on; an empty list takes all of
    them away. Everything is right again after `for_seconds`.
    """

    replica: str | None = Field(None, min_length=1, max_length=32)
    profile: str | None = Field(None, max_length=40, examples=["strict"])
    seconds: float | None = Field(None, gt=0, le=consistency.MOST_SECONDS)
    defects: list[str] | None = Field(None, max_length=len(DEFECTS))
    for_seconds: float = Field(3600.0, gt=0, le=modes.MOST_SECONDS)


class ReplicaInfo(BaseModel):
    """A gateway. `alive` says that it was heard of in the last seconds; `seconds` is the bound of its lag, null where
    there is none; `until` (Unix seconds) is when everything is right again, null where it is."""

    name: str
    url: str
    alive: bool
    started_at: float
    consistency: str
    seconds: float | None
    defects: list[str]
    until: float | None

    @classmethod
    def of(cls, one: Standing) -> ReplicaInfo:
        """The gateway as it stands."""
        return cls(
            name=one.replica.name,
            url=one.replica.url,
            alive=one.alive,
            started_at=one.replica.started_at,
            consistency=one.mode.consistency.name,
            seconds=one.mode.consistency.seconds,
            defects=sorted(one.mode.defects),
            until=one.mode.until,
        )


class ConsistencyInfo(BaseModel):
    """A consistency profile that there is, and what it is modelled on."""

    name: str
    kind: str
    seconds: float | None
    description: str
    source: str


class DefectInfo(BaseModel):
    """A seeded defect that there is: what it does, what a client sees, where it was seen, what it needs to show."""

    name: Defect
    does: str
    symptom: str
    reference: str
    needs: str


class ReplicaPage(BaseModel):
    """Gateways, by name."""

    data: list[ReplicaInfo]


class ReplicaList(ReplicaPage):
    """Every gateway, and what one can be told."""

    profiles: list[ConsistencyInfo]
    known_defects: list[DefectInfo]


@router.get("/replicas")
async def show(ctx: Ctx, actor: Admin) -> ReplicaList:
    """Who there is, what each does, and what there is to do wrong."""
    profiles = [ConsistencyInfo(**one.model_dump(mode="json")) for one in consistency.available().values()]
    known = [
        DefectInfo(name=name, does=one.does, symptom=one.symptom, reference=one.reference, needs=one.needs)
        for name, one in DEFECTS.items()
    ]
    return ReplicaList(data=await _all(ctx), profiles=profiles, known_defects=known)


@router.patch("/replicas")
async def tell(body: SetMode, ctx: Ctx, actor: Admin) -> ReplicaPage:
    """Tells gateways what to do; those that were told. The others than this one heed it within a quarter second."""
    wanted = modes.Wanted(**body.model_dump())
    told = await modes.tell(ctx.store, wanted, now=ctx.clock.now(), actor=actor)
    ctx.sight.forget()
    return ReplicaPage(data=[ReplicaInfo.of(one) for one in told])


async def _all(ctx: Context) -> list[ReplicaInfo]:
    return [ReplicaInfo.of(one) for one in await modes.show(ctx.store, ctx.clock.now())]
