"""`/control/faults`: named failures on and off."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, Field

from gateway.faults.failures import FAILURES, Options
from gateway.faults.rules import Rule, Wanted
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body, Name

router = APIRouter(prefix="/control", tags=["control"])

Surface = Literal["create", "remix", "edit", "extend", "retrieve", "list", "delete", "content", "any"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class SetFault(Body):
    """A rule. `rate` is the share of requests that are struck, `next` strikes that many and ends; neither strikes all.
    `accessor`, `principal` or `cohort` says whose requests; none of them means everybody's."""

    failure: str = Field(max_length=80, json_schema_extra={"enum": list(FAILURES)})
    surface: Annotated[list[Surface], BeforeValidator(_listed)] = Field([], max_length=9)
    rate: float | None = Field(None, ge=0, le=1)
    next: int | None = Field(None, ge=1, le=1_000_000)
    accessor: str | None = Field(None, min_length=1, max_length=80)
    principal: Name | None = None
    cohort: Name | None = None
    for_seconds: float | None = Field(None, gt=0, le=7 * 86_400)
    seed: int | None = Field(None, ge=0, lt=2**31)
    retry_after: int | None = None
    delay_seconds: float | None = Field(None, allow_inf_nan=False)
    after_bytes: int | None = None
    bytes_per_second: int | None = None

    def wanted(self) -> Wanted:
        """As the service takes it."""
        values = self.model_dump()
        options = Options(**{name: values.pop(name) for name in Options.__dataclass_fields__})
        return Wanted(**{**values, "surface": tuple(values["surface"]), "options": options})


class FaultInfo(BaseModel):
    """A rule at work. `fired` counts its strikes, `remaining` those to come (null where a rate decides); `until` is
    Unix seconds; the seed repeats its choice of requests."""

    id: str
    failure: str
    surface: list[str]
    rate: float | None
    remaining: int | None
    who: dict[str, str] | None
    seed: int
    options: dict[str, float]
    fired: int
    created_at: float
    until: float | None

    @classmethod
    def of(cls, rule: Rule) -> FaultInfo:
        """The rule as it stands."""
        values = {name: getattr(rule, name) for name in cls.model_fields if hasattr(rule, name)}
        who = dict([rule.who]) if rule.who else None
        return cls(**{**values, "surface": list(rule.surfaces), "who": who, "options": rule.options.given()})


class FailureInfo(BaseModel):
    """A failure that there is: what it does, where it can strike, where it usually does, what it takes."""

    name: str
    does: str
    surfaces: list[str]
    usual: list[str]
    options: list[str]


class FaultPage(BaseModel):
    """The rules at work, oldest first."""

    data: list[FaultInfo]


class FaultList(FaultPage):
    """The rules at work, and every failure that there is."""

    failures: list[FailureInfo]


@router.post("/faults", status_code=201)
async def add(body: SetFault, ctx: Ctx, actor: Admin) -> FaultInfo:
    """Lets a named failure strike from now on."""
    return FaultInfo.of(await ctx.faults.add(body.wanted(), now=ctx.clock.now(), actor=actor))


@router.get("/faults")
async def show(ctx: Ctx, actor: Admin) -> FaultList:
    """What is at work, and what there is."""
    rules = await ctx.faults.rules(ctx.clock.now(), fresh=True)
    failures = [FailureInfo(**vars(failure)) for failure in FAILURES.values()]
    return FaultList(data=[FaultInfo.of(rule) for rule in rules], failures=failures)


@router.delete("/faults/{fault_id}")
async def remove(fault_id: str, ctx: Ctx, actor: Admin) -> FaultInfo:
    """Takes one rule away; what it was."""
    return FaultInfo.of(await ctx.faults.remove(fault_id, now=ctx.clock.now(), actor=actor))


@router.delete("/faults")
async def clear(ctx: Ctx, actor: Admin) -> FaultPage:
    """Takes every rule away; those that were at work."""
    return FaultPage(data=[FaultInfo.of(rule) for rule in await ctx.faults.clear(now=ctx.clock.now(), actor=actor)])
