"""`/control/credits`: the accounts of metered tokens, and whether they are what the job rows say."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from gateway.control.tombstones import AccountInfo
from gateway.limits import credits
from gateway.web.auth import Admin
from gateway.web.context import Ctx

router = APIRouter(prefix="/control/credits", tags=["control"])


class JobSums(BaseModel):
    """The same figures as the job rows have them; `strays` are jobs that are booked on no account, or on another."""

    reserved: int
    spent: int
    released: int
    strays: int


class LedgerEntry(AccountInfo):
    """An account, whose it is, and what its jobs add up to."""

    principal: str
    cohort: str
    balanced: bool
    jobs: JobSums


class LedgerAnswer(BaseModel):
    """`unbalanced` names the accounts that are not what their jobs add up to. Oldest first."""

    balanced: bool
    unbalanced: list[str]
    data: list[LedgerEntry]


@router.get("")
async def show_ledger(ctx: Ctx, actor: Admin) -> LedgerAnswer:
    """Every account, and whether the ledger balances."""
    found = await credits.ledger(ctx.store)
    entries = [
        LedgerEntry(
            **AccountInfo.of(entry.account).model_dump(),
            principal=entry.principal,
            cohort=entry.cohort,
            balanced=entry.balanced,
            jobs=JobSums(reserved=entry.reserved, spent=entry.spent, released=entry.released, strays=entry.strays),
        )
        for entry in found.entries
    ]
    return LedgerAnswer(balanced=not found.unbalanced, unbalanced=list(found.unbalanced), data=entries)
