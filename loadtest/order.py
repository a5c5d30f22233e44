"""What a load test is asked to do, as `leakdrill load` writes it and `python -m loadtest` reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_serializer, field_validator, model_validator

from loadtest.errors import OrderError
from loadtest.shape import Part, Shape

MOST_ARRIVALS = 1_000_000
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Bearer(Part):
    """A token that users come with. `leaked` ones are what a revocation takes."""

    token: str
    accessor: str
    leaked: bool


class Order(Part):
    """One load test. `admin_token` opens /control; without it `tokens` are used, and nothing is revoked or compared.

    `users` is the most sessions at a time, `rate` the sessions a second at the peak, None for users / every_seconds.
    `drain_seconds` is how long sessions may go on after the last arrival. `own_gateway` says that the target was
    started for this load test alone.
    """

    role: Literal["local", "master"] = "local"
    target: str
    admin_token: SecretStr | None = None
    tokens: list[SecretStr] = Field([])
    shape: Shape
    users: int = Field(ge=1, le=100_000)
    rate: Annotated[float, Field(gt=0, le=100_000)] | None = None
    seconds: Seconds
    drain_seconds: float = Field(ge=0, le=86_400)
    seed: int = Field(ge=0)
    warm_up: bool = True
    own_gateway: bool = False
    processes: int = Field(1, ge=1, le=64)
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(5557, ge=1, le=65_535)
    out: Path

    @field_validator("target")
    @classmethod
    def _address(cls, value: str) -> str:
        """Without a slash at its end, and without /v1, which `openai` clients are given too."""
        if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
            raise ValueError(f"must be an address such as http://127.0.0.1:8000, found {value!r}")
        return value.rstrip("/").removesuffix("/v1")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.admin_token is None and not self.tokens:
            raise ValueError("neither an admin token nor a token of the target is given")
        if self.admin_token is None and self.shape.revoke_at is not None:
            raise ValueError(f"the shape {self.shape.name} revokes, which needs the target's admin token")
        if self.peak_rate * self.seconds > MOST_ARRIVALS:
            raise ValueError(f"more than {MOST_ARRIVALS} arrivals; lower the rate or the duration")
        return self

    @property
    def peak_rate(self) -> float:
        """Sessions that start in a second, at the greatest weight of the shape."""
        return self.rate if self.rate is not None else self.users / self.shape.every_seconds

    @field_serializer("admin_token", "tokens", when_used="json")
    def _reveal(self, value: SecretStr | list[SecretStr] | None) -> str | list[str] | None:
        """The order's file must hold them; nothing else that is written does."""
        if isinstance(value, list):
            return [each.get_secret_value() for each in value]
        return None if value is None else value.get_secret_value()


def read_order(path: Path) -> Order:
    """The order in a file. Raises OrderError."""
    try:
        return Order.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OrderError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise OrderError(words_of(error)) from error


def words_of(error: ValidationError) -> str:
    """The first fault of an order, in a line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
