"""What bodies of several rooms have in common, and a token as an answer. Times are Unix seconds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from gateway.tokens import Token

Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@/+-]*$")]
Scope = Literal["videos:read", "videos:write", "tokens:mint"]


def _plain(name: str, value: Any) -> Any:
    """What JSON can spell and Python cannot take as it is: 4.0 is a whole number (JSON Schema, 6.1.1), and half of a
    surrogate pair is no character."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise ValueError(f"{name} holds half of a surrogate pair, which is no character") from exc
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Body(BaseModel):
    """A request body: unknown fields are refused, and so are texts for numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _json(cls, values: Any) -> Any:
        return {name: _plain(name, value) for name, value in values.items()} if isinstance(values, dict) else values


class TokenInfo(BaseModel):
    """A token without its secret; `parent` minted it, `account` is whose credits its videos cost, null where it is
    unmetered."""

    accessor: str
    principal: str
    cohort: str
    scopes: list[str]
    labels: list[str]
    tier: str
    state: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    revoked_at: float | None
    revoked_reason: str | None
    revocation: str | None
    parent: str | None
    account: str | None

    @classmethod
    def of(cls, token: Token, now: float) -> TokenInfo:
        """The token as it stands at `now`."""
        fields = {name: getattr(token, name) for name in cls.model_fields if name != "state"}
        return cls(**{**fields, "state": token.shown_state(now)})


class IssuedToken(TokenInfo):
    """The one answer that shows the secret."""

    token: str
