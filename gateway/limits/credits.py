"""Credits: what a video costs, and what is held for it while it is under way.

A token is metered where it was issued with credits, and then so is all that it mints; everybody else pays one
comparison. Credits are held in the transaction that submits, spent in the one that completes the job, and given back in
the one that ends it otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from gateway.errors import InsufficientQuota
from gateway.store import Connection, Store, credits
from gateway.store.credits import Account, Entry
from gateway.store.jobs import RenderRequest
from gateway.store.tokens import Token

__all__ = ["Account", "Ledger", "account_of", "cost", "ledger", "prices", "reserve"]

FILE = Path(__file__).with_name("prices.yaml")


class Price(BaseModel):
    """`credits_per_second` of a video whose frames have at most `pixels`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    pixels: Annotated[int, Field(ge=1)]
    credits_per_second: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Ledger:
    """Every account beside what the job rows say, on one snapshot."""

    entries: tuple[Entry, ...]

    @property
    def unbalanced(self) -> tuple[str, ...]:
        """The accounts of which the two do not say the same."""
        return tuple(entry.account.id for entry in self.entries if not entry.balanced)


@cache
def prices() -> tuple[Price, ...]:
    """The table, smallest frames first."""
    found = TypeAdapter(list[Price]).validate_python(yaml.safe_load(FILE.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda price: price.pixels))


def cost(request: RenderRequest) -> int:
    """What a video costs, in credits."""
    width, height = map(int, request.size.split("x"))
    table = prices()
    price = next((one for one in table if width * height <= one.pixels), table[-1])
    seconds = request.seconds if request.added_seconds is None else request.added_seconds
    return seconds * price.credits_per_second


def reserve(tx: Connection, account: str, job: str, request: RenderRequest) -> int:
    """Holds what a new job costs; raises InsufficientQuota where the account has less."""
    wanted = cost(request)
    if credits.reserve(tx, account, job, wanted):
        return wanted
    found = credits.get(tx, account)
    raise InsufficientQuota(
        f"This video costs {wanted} credits, and this key has {found.available if found else 0} left. Sending the "
        "request again does not help; check the plan and its billing.",
        headers={"x-should-retry": "false"},
    )


async def account_of(store: Store, token: Token) -> Account | None:
    """The account that a token draws on, its own or its parent's; None where it is unmetered."""
    if token.account is None:
        return None
    account = token.account
    return await store.read(lambda tx: credits.get(tx, account))


async def ledger(store: Store) -> Ledger:
    """Every account as it stands."""
    return Ledger(tuple(await store.read(credits.ledger)))
