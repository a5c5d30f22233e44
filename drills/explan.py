"""What an exercise is called, for what and for whom it is held, and what each side reads beforehand."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drills.facts import Identifier, Text
from drills.msel import Seconds

Plot = Literal["leak", "notice", "false_alarm", "sunset"]
LongText = Annotated[str, Field(min_length=1, max_length=6000)]
# What a threshold is counted in.
UNITS = {
    "bystanders": "bystander tokens denied",
    "exposure_window": "replay minutes, published to last accepted use",
    "lag": "s, acknowledgement to the last accepted use of any surface",
    "notice_to_dead": "s, notice posted to every surface refusing",
    "clients": "clients that went on calling after the end",
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Part):
    """What the exercise is called and how it is marked.

    `plot` is what happens in it. leak: tokens leak and are cut off. notice: tokens are reported, held, and given back.
    false_alarm: what is reported is nobody's, and nobody must be hit. sunset: the API itself ends. `basis` says where
    the plot comes from: `press_reports` needs facts that are reported, with their sources.
    """

    id: Identifier
    title: Text
    version: int = Field(ge=1)
    kind: Literal["tabletop", "functional", "automated"]
    classification: Literal["EXERCISE"]
    plot: Plot = "leak"
    basis: Literal["invented", "press_reports"] = "invented"
    summary: Text


class Objective(_Part):
    """What is evaluated. `measured_by` evaluator leaves it to a person; the others are read from the journal.

    `at_most` is the threshold: denied bystanders, replay minutes of exposure, seconds of `lag` or of `notice_to_dead`,
    `clients` that went on calling. Without one, having measured it meets the objective.
    """

    id: Identifier
    text: Text
    capability: Text
    measured_by: Literal[
        "containment", "bystanders", "exposure_window", "lag", "notice_to_dead", "clients", "evaluator"
    ]
    at_most: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _threshold_is_of_a_figure(self) -> "Objective":
        if self.at_most is not None and self.measured_by not in UNITS:
            raise ValueError(f"at_most goes with {', '.join(UNITS)}, not with {self.measured_by}")
        return self


class Role(_Part):
    """Who takes part."""

    id: Identifier
    kind: Literal["controller", "evaluator", "player", "observer", "simulated"]
    text: Text


class SteadyState(_Part):
    """A check around the exercise. Before: failing it ends the drill. After: failing it makes it inconclusive."""

    id: Identifier
    probe: Literal["ready", "bystander_job", "fresh_token"]
    when: Literal["before", "after"]
    within_seconds: Seconds

    @model_validator(mode="after")
    def _has_its_time(self) -> "SteadyState":
        if (self.probe == "fresh_token") != (self.when == "after"):
            raise ValueError("ready and bystander_job are asked before, fresh_token after")
        return self


class Players(_Part):
    """What players read beforehand. The exercise's own title and summary may give too much away."""

    title: Text
    briefing: LongText


class Notes(_Part):
    """What is said about the exercise, to players and to the facilitator apart."""

    players: Players
    facilitator: LongText
    questions: list[Text] = []
    pitfalls: list[Text] = []
