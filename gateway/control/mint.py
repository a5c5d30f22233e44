"""`/control/mint`: freeze the issuing of tokens, and thaw it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.tokens import freeze
from gateway.tokens.freeze import Freeze
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body, Scope

router = APIRouter(prefix="/control/mint", tags=["control"])


class SetMint(Body):
    """`scopes` are those that no token may be issued with; without them none may be issued at all."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"frozen": {"const": False}}},
            "then": {"properties": {"scopes": {"type": "null"}}},
        }
    )

    frozen: bool
    scopes: list[Scope] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _thawed_altogether(self) -> SetMint:
        if self.scopes is not None and not self.frozen:
            raise ValueError("scopes go with frozen: true; frozen: false thaws everything")
        return self


class MintState(BaseModel):
    """`scopes` is null where nothing is frozen, and where everything is. `since` is Unix seconds."""

    frozen: bool
    scopes: list[str] | None
    since: float | None

    @classmethod
    def of(cls, found: Freeze | None) -> MintState:
        """As it stands."""
        if found is None:
            return cls(frozen=False, scopes=None, since=None)
        return cls(frozen=True, scopes=list(found.scopes) or None, since=found.since)


@router.get("")
async def show(ctx: Ctx, actor: Admin) -> MintState:
    """Whether tokens are issued."""
    return MintState.of(await freeze.show(ctx.store))


@router.put("")
async def put(body: SetMint, ctx: Ctx, actor: Admin) -> MintState:
    """Freezes or thaws; what it names takes the place of what was frozen before."""
    scopes = None if not body.frozen else body.scopes or []
    return MintState.of(await freeze.put(ctx.store, scopes, now=ctx.clock.now(), actor=actor))
