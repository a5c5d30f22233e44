"""The master scenario events list: what is fired when, at whom, and what it does to the gateway.

A line is timed (`at`) or contingent (`when`: it fires once, as soon as its condition holds, or not at all).
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from drills.facts import Identifier, Status, Text
from drills.population import Minutes
from drills.topology import Surface

Words = Literal[
    "leak_reported",
    "traffic_spike",
    "features_exposed",
    "scope_question",
    "press_question",
    "attribution_question",
    "owner_disputes",
    "message",
]
Deeds = Literal["leak_posted", "access_ended", "disclosure", "restore", "outage", "insider_mint"]
InjectKind = Literal[Deeds, Words]
# What a kind needs besides words, under a key of its own.
NEEDS: dict[str, str] = {"disclosure": "notice", "restore": "restore", "outage": "outage", "insider_mint": "mint"}
Seconds = Annotated[float, Field(gt=0, le=3600)]
# Stands for a token of the right form that nobody holds, and for one whose checksum is wrong, as documents show them.
MADE_UP = ("unknown", "example")


def _replay_time(value: object) -> float | str:
    """Minutes as a number, "HH:MM" as text; anything else is refused."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"[0-2][0-9]:[0-5][0-9]", value):
        return value
    raise ValueError('expected replay minutes (0 or more) or a time such as "11:30"')


ReplayTime = Annotated[
    float | str,
    PlainValidator(_replay_time),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}]}
    ),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(_Part):
    """What players should do about an inject, and how soon."""

    action: Text
    within_minutes: Minutes | None = None


class When(_Part):
    """The condition of a contingent line: one of these.

    `not_revoked_by`: this replay minute has come, and no revocation was acknowledged. `still_accepted_after`: so many
    real seconds after the acknowledgement a leaked token was accepted, on `surface` if that is given. `quiet_for`: so
    many real seconds have passed since the acknowledgement, and none was accepted. `bystander_refused`: somebody who
    did not leak anything was refused. `notice_taken`: so many real seconds have passed since a notice was taken.
    """

    not_revoked_by: Minutes | None = None
    still_accepted_after: Annotated[float, Field(ge=0, le=3600)] | None = None
    surface: Surface | None = None
    quiet_for: Seconds | None = None
    bystander_refused: Literal[True] | None = None
    notice_taken: Annotated[float, Field(ge=0, le=3600)] | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> "When":
        given = self.given()
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(CONDITIONS)}")
        if self.surface is not None and given != ["still_accepted_after"]:
            raise ValueError("surface goes with still_accepted_after")
        return self

    def given(self) -> list[str]:
        """The conditions that are there."""
        return [name for name in CONDITIONS if getattr(self, name) is not None]

    @property
    def words(self) -> str:
        """The condition as a report shows it."""
        name = self.given()[0]
        value = getattr(self, name)
        shown = "" if value is True else f" {value:g}"
        return f"when {name.replace('_', ' ')}{shown}" + (f" on {self.surface}" if self.surface else "")


CONDITIONS = [name for name in When.model_fields if name != "surface"]


class Notice(_Part):
    """A signed notice that tokens have leaked, as a scanner posts it.

    `about` is a cohort, all of whose tokens are named; or `unknown`, a token of the right form that nobody holds; or
    `example`, one whose checksum is wrong. `again` sends, to the letter, what the last such line sent.
    """

    about: Identifier
    found_at: Annotated[str, Field(max_length=500)] = ""
    found_in: Identifier = "content"
    again: bool = False


class Return(_Part):
    """A restoration of a cohort, `batch` tokens at a time over `over_seconds` real seconds."""

    cohort: Identifier
    over_seconds: Annotated[float, Field(ge=0, le=3600)]
    batch: Annotated[int, Field(ge=1, le=500)]


class Outage(_Part):
    """Everybody whose token is good is answered 503, for so many real seconds."""

    seconds: Seconds


class Mint(_Part):
    """Each leaked token mints `each` tokens, and each of those mints as many again, down to `depth` generations."""

    each: Annotated[int, Field(ge=1, le=5)] = 1
    depth: Annotated[int, Field(ge=1, le=3)] = 1


class MselLine(_Part):
    """One line of the master scenario events list.

    `leak_posted` opens the page and starts the traffic; `access_ended` ends it (see `containment.by`); `disclosure`
    posts a `notice`; `restore` starts a restoration; `outage` makes the gateway answer 503; `insider_mint` has the
    leaked tokens mint others. The other kinds are words for players.
    """

    id: Identifier
    at: ReplayTime | None = None
    when: When | None = None
    inject: InjectKind
    text: Text
    to: list[Identifier] = Field(min_length=1)
    expect: Expectation
    contingency: Text | None = None
    objective: Identifier
    facts: list[Identifier] = []
    time_status: Status
    notice: Notice | None = None
    restore: Return | None = None
    outage: Outage | None = None
    mint: Mint | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "MselLine":
        if (self.at is None) == (self.when is None):
            raise ValueError("give either at or when")
        if self.when is not None and self.inject in ("leak_posted", "access_ended"):
            raise ValueError(f"{self.inject} needs a time: at")
        for kind, key in NEEDS.items():
            if (self.inject == kind) != (getattr(self, key) is not None):
                raise ValueError(f"inject {kind} needs {key}" if self.inject == kind else f"{key} goes with {kind}")
        return self
