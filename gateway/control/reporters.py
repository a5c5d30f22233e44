"""`/control/reporters`: whose notices of leaked tokens are believed, and what becomes of what they name."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from gateway.web.auth import Admin
from gateway.web.context import Ctx

router = APIRouter(prefix="/control/reporters", tags=["control"])


class KeyInfo(BaseModel):
    """A public key that signs notices; one that is not current signs none any more."""

    key_identifier: str
    is_current: bool


class ReportersAnswer(BaseModel):
    """`policy` is what becomes of a token that a notice names."""

    policy: Literal["observe", "quarantine", "revoke"]
    labels: bool
    keys: list[KeyInfo]


@router.get("")
async def show(ctx: Ctx, actor: Admin) -> ReportersAnswer:
    """The keys that are believed, as their file says at present."""
    return ReportersAnswer(
        policy=ctx.settings.disclosure_policy,
        labels=ctx.settings.disclosure_labels,
        keys=[KeyInfo(key_identifier=one.identifier, is_current=one.is_current) for one in ctx.intake.keys.all()],
    )
