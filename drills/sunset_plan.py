"""The end of an API, as a scenario plans it: announced, practised in brown-outs, and final."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drills.population import Minutes


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BrownOut(_Part):
    """From the replay minute `at`, for so many minutes, everybody is answered 503, or 410 as after the end."""

    at: Minutes
    minutes: Annotated[float, Field(gt=0, le=24 * 60)]
    status: Literal[503, 410] = 503


class SunsetPlan(_Part):
    """When (replay minutes) answers begin to bear the headers of RFC 9745 and RFC 8594, and when the API ends.

    `link` is where the headers send a reader. Each client calls every `call_every_minutes`.
    """

    announced_at: Minutes
    brown_outs: list[BrownOut] = []
    ends_at: Minutes
    link: Annotated[str, Field(pattern=r"^https?://[!-;=?-~]+$", max_length=500)] | None = None
    call_every_minutes: Annotated[float, Field(gt=0, le=24 * 60)]

    @model_validator(mode="after")
    def _runs_forward(self) -> "SunsetPlan":
        times = [self.announced_at, *(edge for one in self.brown_outs for edge in (one.at, one.at + one.minutes))]
        if [*times, self.ends_at] != sorted([*times, self.ends_at]):
            raise ValueError("announced_at, the brown-outs and ends_at must follow each other, without overlap")
        return self
