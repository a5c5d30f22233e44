"""Which gateways a drill runs against: how many, how late each learns of a revocation, and what each does wrong.

In a scenario, `consistency` and `defects` are said for all replicas, or for some by name (`r1` is the first, which the
revocation goes to). A profile may bear its bound in seconds: `cache-ttl:60`.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from drills.errors import ScenarioError

Surface = Literal[
    "submit",
    "poll",
    "list",
    "download",
    "range",
    "head",
    "conditional",
    "thumbnail",
    "signed_link",
    "share_link",
    "stream",
    "open_stream",
    "cancel",
    "replay",
    "child_token",
    "mint",
    "webhook",
    "new_token",
    "queued_job",
    "running_job",
]
# What derives from a token, or was begun with it, as opposed to a request that bears it.
DERIVED: frozenset[str] = frozenset(
    {"signed_link", "share_link", "open_stream", "child_token", "webhook", "new_token", "queued_job", "running_job"}
)
PROFILE = r"^[a-z0-9][a-z0-9-]{0,39}(:[0-9]{1,5}(\.[0-9]{1,3})?)?$"
Profile = Annotated[str, StringConstraints(pattern=PROFILE)]
Defect = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]{0,39}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Order(_Part):
    """What one replica is told. `seconds` is the bound of its lag; None leaves the profile's own."""

    replica: str
    profile: str
    seconds: float | None
    defects: list[str]


class ReplicaSeen(_Part):
    """A replica as it was during the drill. `seconds` is the bound of its lag, None where there is none."""

    name: str
    url: str
    consistency: str
    seconds: float | None = None
    defects: list[str] = []


class Topology(_Part):
    """Which gateways there are, and what they are told where the drill may tell them.

    `profile` is how long a clip takes. `intake` is what becomes of a token that a notice names: a drill's own gateways
    are started so. `sinks` receive security events at the drill's own address, while it lasts.
    """

    replicas: int = Field(ge=1, le=9)
    consistency: Profile | dict[str, Profile]
    defects: list[Defect] | dict[str, list[Defect]] = []
    profile: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")] | None = None
    intake: Literal["observe", "quarantine", "revoke"] | None = None
    sinks: int = Field(default=0, ge=0, le=3)

    @model_validator(mode="after")
    def _names_replicas(self) -> "Topology":
        named = [*_keys(self.consistency), *_keys(self.defects)]
        unknown = [name for name in named if name not in self.names()]
        if unknown:
            raise ValueError(f"there is no replica {unknown[0]}; there are {', '.join(self.names())}")
        return self

    def names(self) -> list[str]:
        """The replicas, the first one first."""
        return [f"r{number}" for number in range(1, self.replicas + 1)]

    def orders(self) -> list[Order]:
        """What each replica is told that is not simply right."""
        found = []
        for name in self.names():
            text = self.consistency if isinstance(self.consistency, str) else self.consistency.get(name, "strict")
            profile, _, seconds = text.partition(":")
            defects = self.defects if isinstance(self.defects, list) else self.defects.get(name, [])
            if profile != "strict" or defects:
                bound = float(seconds) if seconds else None
                found.append(Order(replica=name, profile=profile, seconds=bound, defects=list(defects)))
        return found

    @property
    def told(self) -> str:
        """What replicas are told, in words."""
        return "; ".join(f"{one.replica} {', '.join([one.profile, *one.defects])}" for one in self.orders())

    @property
    def expected(self) -> str:
        """The consistency in words."""
        if isinstance(self.consistency, str):
            return self.consistency
        return ", ".join(f"{name} {self.consistency.get(name, 'strict')}" for name in self.names())

    def agrees(self, seen: str | None) -> bool:
        """Whether a gateway's own words for its consistency are those that are expected, bounds aside."""
        words = [re.sub(r" [0-9.]+ s$", "", part) for part in (seen or "").split(", ")]
        return ", ".join(words) == re.sub(r":[0-9.]+", "", self.expected)


def overridden(
    planned: Topology, replicas: int | None, consistency: str | None, defects: Sequence[str], only: str | None
) -> Topology:
    """The topology with what a command line says instead. `only` is the replica that errs. Raises ScenarioError."""
    wrong: object = {only: list(defects)} if only else list(defects)
    said = {
        **planned.model_dump(),
        "replicas": replicas or planned.replicas,
        "consistency": consistency or planned.consistency,
        "defects": wrong if defects else planned.defects,
    }
    try:
        return Topology.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ScenarioError(
            f"topology: {first['msg'].removeprefix('Value error, ')}, found {first['input']!r}"
        ) from error


def _keys(given: object) -> list[str]:
    return list(given) if isinstance(given, dict) else []
