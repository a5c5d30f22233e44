"""`/control/clients`: what each token's client does right and wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from gateway.clients.habits import HABITS, is_fault
from gateway.clients.report import ClientReport, report, report_one
from gateway.tokens import TokenFilter
from gateway.web.auth import Admin
from gateway.web.context import Ctx

router = APIRouter(prefix="/control/clients", tags=["control"])


class FindingInfo(BaseModel):
    """A habit that was seen. `kind` is fault, tolerated (a fault, seen too rarely to matter) or good; times are Unix
    seconds; `example` is the newest case."""

    finding: str
    kind: Literal["fault", "tolerated", "good"]
    count: int
    first_at: float
    last_at: float
    example: dict[str, Any]
    advice: str


class ClientInfo(BaseModel):
    """A token's client. `advice` has a sentence for each fault."""

    accessor: str
    principal: str
    cohort: str
    tier: str
    state: str
    last_used_at: float | None
    verdict: Literal["well-behaved", "needs work"]
    advice: list[str]
    findings: list[FindingInfo]

    @classmethod
    def of(cls, one: ClientReport, now: float) -> ClientInfo:
        """The report as it is told."""
        return cls(
            accessor=one.token.accessor,
            principal=one.token.principal,
            cohort=one.token.cohort,
            tier=one.token.tier,
            state=one.token.shown_state(now),
            last_used_at=one.token.last_used_at,
            verdict="needs work" if one.faults else "well-behaved",
            advice=one.advice,
            findings=[
                FindingInfo(
                    finding=seen.finding,
                    kind=_kind(seen.finding, seen.count),
                    count=seen.count,
                    first_at=seen.first_at,
                    last_at=seen.last_at,
                    example=dict(seen.example),
                    advice=HABITS[seen.finding].advice,
                )
                for seen in one.findings
            ],
        )


class ClientPage(BaseModel):
    """Clients, the oldest token first."""

    data: list[ClientInfo]


def _kind(finding: str, count: int) -> Literal["fault", "tolerated", "good"]:
    if HABITS[finding].tolerated is None:
        return "good"
    return "fault" if is_fault(finding, count) else "tolerated"


@router.get("")
async def list_clients(
    ctx: Ctx,
    actor: Admin,
    cohort: str | None = None,
    principal: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> ClientPage:
    """The clients of all tokens that were used."""
    await _written(ctx)
    found = await report(ctx.store, TokenFilter(cohort=cohort, principal=principal), limit)
    now = ctx.clock.now()
    return ClientPage(data=[ClientInfo.of(one, now) for one in found])


@router.get("/{accessor}")
async def show_client(accessor: str, ctx: Ctx, actor: Admin) -> ClientInfo:
    """One token's client."""
    await _written(ctx)
    return ClientInfo.of(await report_one(ctx.store, accessor), ctx.clock.now())


async def _written(ctx: Ctx) -> None:
    """The report reads the database; what this process gathered in the last second must be there."""
    await ctx.usage.flush(ctx.store)
    await ctx.clients.flush(ctx.store)
