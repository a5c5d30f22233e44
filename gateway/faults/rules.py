"""A rule: which failure strikes whom, where, and how often. And the header by which one request asks for one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import InvalidRequest
from gateway.faults.failures import (
    ANY,
    MOST_DELAY_SECONDS,
    MOST_RETRY_AFTER,
    Failure,
    Options,
    named,
)
from gateway.store.faults import FaultRow
from gateway.store.tokens import Token

HEADER = b"leakdrill-fault"
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,6})?")
# What a header's short names stand for.
SHORT = {
    "retry_after": "retry_after",
    "delay": "delay_seconds",
    "after_bytes": "after_bytes",
    "bytes_per_second": "bytes_per_second",
}
MOST = {
    "retry_after": MOST_RETRY_AFTER,
    "delay_seconds": MOST_DELAY_SECONDS,
    "after_bytes": 2**31,
    "bytes_per_second": 2**31,
}
LEAST = {"retry_after": 1, "delay_seconds": 0.0, "after_bytes": 0, "bytes_per_second": 1024}


@dataclass(frozen=True)
class Wanted:
    """A rule as it is asked for. `rate` is the share of requests that are struck; `next` strikes that many and ends;
    neither means every one. At most one of `accessor`, `principal`, `cohort` says whose."""

    failure: str
    surface: tuple[str, ...] = ()
    rate: float | None = None
    next: int | None = None
    accessor: str | None = None
    principal: str | None = None
    cohort: str | None = None
    for_seconds: float | None = None
    seed: int | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Rule:
    """A rule at work. `who` is a column of the token and its value, None for everybody; `remaining` None where `rate`
    decides; times are Unix seconds."""

    id: str
    failure: str
    surfaces: tuple[str, ...]
    rate: float | None
    remaining: int | None
    who: tuple[str, str] | None
    seed: int
    options: Options
    fired: int
    created_at: float
    until: float | None

    @classmethod
    def of(cls, row: FaultRow) -> Rule:
        """The rule that a row holds."""
        values: dict[str, Any] = {**row.rule}
        values["surfaces"] = tuple(values["surfaces"])
        values["who"] = tuple(values["who"]) if values["who"] else None
        values["options"] = Options(**values["options"])
        kept = {name: getattr(row, name) for name in ("id", "remaining", "fired", "created_at", "until")}
        return cls(**values, **kept)

    def concerns(self, token: Token, surface: str, now: float) -> bool:
        """Whether a request of this token on this surface may be struck."""
        if self.over(now) or not (surface in self.surfaces or ANY in self.surfaces):
            return False
        return self.who is None or getattr(token, self.who[0]) == self.who[1]

    def over(self, now: float) -> bool:
        """Whether its time is over or its strikes are used up."""
        return (self.until is not None and now >= self.until) or self.remaining == 0

    def strikes(self, number: int) -> bool:
        """Whether it strikes the `number`-th request that concerns it: the same seed, the same answer."""
        if self.rate is None or self.rate >= 1:
            return True
        digest = hashlib.blake2b(f"{self.seed}/{number}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 < self.rate


def checked(wanted: Wanted) -> Failure:
    """The failure that is asked for; raises InvalidRequest where the rule makes no sense."""
    failure = named(wanted.failure, "failure")
    ensure_surfaces(failure, wanted.surface)
    ensure_options(failure, wanted.options.given(), "")
    if wanted.rate is not None and wanted.next is not None:
        raise InvalidRequest("Give rate or next, not both.", param="rate")
    if len([name for name in ("accessor", "principal", "cohort") if getattr(wanted, name) is not None]) > 1:
        raise InvalidRequest("Give at most one of accessor, principal, cohort.", param="accessor")
    return failure


def ensure_surfaces(failure: Failure, surfaces: tuple[str, ...]) -> None:
    """Raises InvalidRequest for a surface that the failure cannot strike."""
    wrong = [one for one in surfaces if one not in failure.surfaces]
    if wrong:
        raise InvalidRequest(
            f"{failure.name} cannot strike {wrong[0][:80]!r}; it strikes {', '.join(failure.surfaces)}.",
            param="surface",
        )


def ensure_options(failure: Failure, given: Mapping[str, float], param: str) -> None:
    """Raises InvalidRequest for an option that the failure does not take, or one out of bounds."""
    for name, value in given.items():
        if name not in failure.options:
            takes = ", ".join(failure.options) or "no options"
            raise InvalidRequest(f"{failure.name} takes {takes}; not {name}.", param=param or name)
        if not LEAST[name] <= value <= MOST[name]:
            raise InvalidRequest(f"{name} must be {LEAST[name]} to {MOST[name]:.0f}.", param=param or name)


def from_header(text: str) -> tuple[Failure, Options]:
    """A failure and its options from `name` or `name; delay=2`; raises InvalidRequest naming what there is."""
    name, *rest = (part.strip() for part in text.split(";"))
    param = HEADER.decode()
    failure = named(name, param)
    given: dict[str, float] = {}
    for part in rest:
        key, _, value = (piece.strip() for piece in part.partition("="))
        option = SHORT.get(key)
        if option is None or option in given or not _NUMBER.fullmatch(value):
            raise InvalidRequest(
                f"{part[:80]!r} is no option of {param}; send for example `slow_first_byte; delay=2`, once each of "
                f"{', '.join(SHORT)}.",
                param=param,
            )
        given[option] = float(value) if option == "delay_seconds" else int(float(value))
    ensure_options(failure, given, param)
    return failure, Options(**given)  # type: ignore[arg-type]
