"""Consistency profiles: how late a gateway learns of what was done to a token. Data and arithmetic; `sight.py` acts."""

from __future__ import annotations

import math
import zlib
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.errors import InvalidRequest

# A copy that follows late is never fresher than this share of the bound, and its batches come this often: staleness
# then lies between 0.6 and 0.85 of the bound, which leaves a measurement room on both sides.
FRESHEST = 0.6
BATCH = 0.25
MOST_SECONDS = 86_400.0


class Kind(StrEnum):
    """What a gateway does instead of reading the row."""

    STRICT = "strict"  # nothing
    BOUNDED = "bounded"  # reads a copy that is behind by a bounded time
    CACHE_TTL = "cache-ttl"  # remembers a good token for a time
    EXPIRY_ONLY = "expiry-only"  # looks at the expiry alone


class Consistency(BaseModel):
    """One profile. `seconds` is the bound of its lag, None where there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    kind: Kind
    seconds: float | None = Field(None, gt=0, le=MOST_SECONDS)
    description: str
    source: str

    @property
    def shown(self) -> str:
        """The name and the bound, as people read it."""
        return self.name if self.seconds is None else f"{self.name} {self.seconds:g} s"

    def within(self, seconds: float | None) -> Consistency:
        """The same with another bound; raises InvalidRequest where it has none."""
        if seconds is None:
            return self
        if self.seconds is None:
            raise InvalidRequest(f"{self.name} has no bound that could be set.", param="seconds")
        return self.model_copy(update={"seconds": seconds})


@lru_cache
def available() -> dict[str, Consistency]:
    """The profiles that ship, by name."""
    rows = yaml.safe_load(files("seeds").joinpath("consistency.yaml").read_text(encoding="utf-8"))
    return {one.name: one for one in map(Consistency.model_validate, rows)}


def named(name: str, seconds: float | None) -> Consistency:
    """A profile that ships, with that bound; raises InvalidRequest naming those that there are."""
    found = available().get(name)
    if found is None:
        raise InvalidRequest(
            f"There is no consistency profile {name[:80]!r}; there are {', '.join(available())}.", param="profile"
        )
    return found.within(seconds)


def copied_at(now: float, bound: float, replica: str) -> float:
    """How far a copy that follows late has come at `now`: Unix seconds, 0.6 to 0.85 of `bound` ago. Its batches come at
    moments that differ from replica to replica."""
    every = BATCH * bound
    offset = zlib.crc32(replica.encode()) % 1000 / 1000 * every
    return math.floor((now - FRESHEST * bound + offset) / every) * every - offset
