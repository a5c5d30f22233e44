"""Who holds tokens in a scenario, and who comes to the page."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drills.facts import Identifier, Text

Share = Annotated[float, Field(ge=0, le=1)]
Minutes = Annotated[float, Field(ge=0, le=24 * 60)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cohort(_Part):
    """Tokens issued together. `issue` is how many, `stands_for` how many holders they represent.

    `cohort` is what the gateway knows them by, where that differs from the id: leaked tokens and bystanders can share
    one. `label` is put on each token; without `expires_in_seconds` they do not expire, and those that do so within a
    minute are left alone, as tokens that have ended. `heeds` is what makes a simulated client of a sunset stop calling:
    the headers, a brown-out, the end, or nothing.
    """

    id: Identifier
    principal: Identifier
    issue: int = Field(ge=1, le=500)
    leaked: bool
    cohort: Identifier | None = None
    label: Identifier | None = None
    expires_in_seconds: float | None = Field(default=None, ge=1, le=365 * 86_400)
    heeds: Literal["headers", "brown_outs", "end", "nothing"] | None = None
    stands_for: int | None = Field(default=None, ge=1)
    fact: Identifier | None = None

    @property
    def short_lived(self) -> bool:
        """Whether its tokens have ended by the time that anything happens."""
        return self.expires_in_seconds is not None and self.expires_in_seconds < 60


class CurvePoint(_Part):
    """Weight of an arrival at a replay minute; between points the weight runs straight."""

    at: Minutes
    weight: float = Field(ge=0)


class Clip(_Part):
    """What a visitor asks for; `weight` is its share among clips."""

    weight: float = Field(gt=0)
    size: str = Field(pattern=r"^[0-9]{3,4}x[0-9]{3,4}$")
    seconds: int = Field(ge=1, le=12)
    model: str = Field(min_length=1, max_length=40)


class Traffic(_Part):
    """Visitors of the public page: an open loop, `arrivals` in all, at most `at_once` of them together."""

    arrivals: int = Field(ge=0, le=5000)
    at_once: int = Field(ge=1, le=500)
    give_up: Share
    download: Share
    curve: list[CurvePoint] = Field(min_length=2)
    clips: list[Clip] = Field(min_length=1)
    prompts: list[Text] = Field(min_length=1)
    fact: Identifier | None = None

    @model_validator(mode="after")
    def _curve_runs_forward(self) -> "Traffic":
        minutes = [point.at for point in self.curve]
        if minutes != sorted(set(minutes)):
            raise ValueError("curve: minutes must rise from point to point")
        if not any(point.weight for point in self.curve):
            raise ValueError("curve: at least one weight must be above 0")
        return self


class Population(_Part):
    """Who holds tokens, and who comes."""

    cohorts: list[Cohort] = Field(min_length=1)
    traffic: Traffic
