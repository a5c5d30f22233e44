"""What the cut is, and what counts as contained."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drills.facts import Identifier, Text
from drills.msel import Seconds
from drills.topology import Surface


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InFlight(_Part):
    """What is to become of work under way. `stop_within_seconds` bounds a running render after the acknowledgement."""

    queued: Literal["cancel"]
    running: Literal["stop"]
    transfer: Literal["cut", "finish"]
    stop_within_seconds: Seconds


class Selector(_Part):
    """Which tokens the revocation names: one of the three."""

    all: bool = False
    cohort: Identifier | None = None
    label: Identifier | None = None

    @model_validator(mode="after")
    def _one_of_three(self) -> "Selector":
        if self.all + (self.cohort is not None) + (self.label is not None) != 1:
            raise ValueError("give either all: true or cohort: NAME or label: NAME")
        return self

    def means(self, cohort: str, label: str | None) -> bool:
        """Whether it names a token of that cohort and label."""
        return self.all or cohort == self.cohort or (label is not None and label == self.label)


class Containment(_Part):
    """What counts as contained: every surface refused, from the acknowledgement on, for `after_watch_seconds`.

    With `by: notice` the cut is a signed notice about the leaked tokens, and the gateway's policy does the rest. What
    is still accepted within `bound_seconds` is forgiven; like the bounds of replicas they are divided by the clock's
    speed. `freeze_mint` stops the issuing of tokens while the revocation is sent, and thaws it afterwards.
    """

    by: Literal["revocation", "notice"] = "revocation"
    selector: Selector = Selector(all=True)
    reason: Text
    surfaces: list[Surface]
    bound_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    freeze_mint: bool = False
    after_watch_seconds: Seconds
    probe_every_seconds: Seconds
    timeout_seconds: Seconds

    def means(self, cohort: str, label: str | None) -> bool:
        """Whether the cut is meant for a token of that cohort and label that has not leaked."""
        return self.by == "revocation" and self.selector.means(cohort, label)


# In an exercise without a cut.
NO_CUT = Containment(
    reason="nothing is cut", surfaces=[], after_watch_seconds=3, probe_every_seconds=1, timeout_seconds=20
)
NOTHING_UNDER_WAY = InFlight(queued="cancel", running="stop", transfer="cut", stop_within_seconds=2)
