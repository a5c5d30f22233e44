"""Shapes: how arrivals come over the time of a load test, and what those who come ask for.

A shape is a YAML file in `seeds/load`, or one of your own. `load_shape(name or file)` raises OrderError with one line a
fault: file, key, what is wrong.
"""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadtest.errors import OrderError

Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MAX_FAULTS = 6


class Part(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Point(Part):
    """The weight of arrivals at a share of the duration; straight lines between points."""

    at: Share
    weight: float = Field(ge=0, allow_inf_nan=False)


class Clip(Part):
    """What some of the users ask for; `weight` says how many of them."""

    weight: float = Field(gt=0, allow_inf_nan=False)
    size: str = Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$")
    seconds: int = Field(ge=1, le=120)
    model: str = Field(min_length=1, max_length=100)


class Tokens(Part):
    """How many tokens are issued. `leaked_share` is the share of users that come with a leaked one."""

    leaked: int = Field(ge=0, le=10_000)
    bystanders: int = Field(ge=0, le=10_000)
    leaked_share: Share

    @model_validator(mode="after")
    def _somebody_has_one(self) -> Self:
        if self.leaked_share > 0 and not self.leaked:
            raise ValueError("leaked must be 1 or more where leaked_share is above 0")
        if self.leaked_share < 1 and not self.bystanders:
            raise ValueError("bystanders must be 1 or more where leaked_share is below 1")
        return self


class Conduct(Part):
    """What users do. Patience is drawn for each user: half of them wait for `patience_median_seconds`, one in ten
    beyond `patience_p90_seconds`. `download` and `delete` are shares of the finished videos."""

    patience_median_seconds: float = Field(gt=0, allow_inf_nan=False)
    patience_p90_seconds: float = Field(gt=0, allow_inf_nan=False)
    download: Share
    delete: Share

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.patience_p90_seconds < self.patience_median_seconds:
            raise ValueError("patience_p90_seconds must not be below patience_median_seconds")
        return self


class Thresholds(Part):
    """What must be met. None means: not judged. The last two judge the load test itself, not the target."""

    max_error_rate: Share = 0.0
    max_poll_p99_ms: Milliseconds | None = None
    max_submit_p99_ms: Milliseconds | None = None
    max_late_accepts: int = Field(0, ge=0)
    max_held_back: Share = 0.05
    max_start_lag_p99_ms: Milliseconds = 250.0


class Fact(BaseModel):
    """A line of seeds/facts.yaml, as far as a report quotes it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    text: str
    status: str
    sources: list[str]


class Shape(Part):
    """See the module. `every_seconds` is how long a user takes from one start to the next, on average, at the peak.
    `revoke_at` is the share of the duration at which the leaked cohort is revoked."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    title: str = Field(min_length=1, max_length=200)
    facts: list[str] = []
    every_seconds: float = Field(gt=0, le=86_400)
    curve: list[Point] = []
    curve_of: str | None = None
    revoke_at: Annotated[float, Field(gt=0, lt=1)] | None = None
    tokens: Tokens
    clips: list[Clip] = Field(min_length=1)
    prompts: list[Annotated[str, Field(min_length=1, max_length=1000)]] = Field(min_length=1)
    conduct: Conduct
    thresholds: Thresholds = Thresholds()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        places = [point.at for point in self.curve]
        if len(places) < 2 or any(left >= right for left, right in pairwise(places)):
            raise ValueError("curve needs two points or more, each later than the one before")
        if all(point.weight == 0 for point in self.curve):
            raise ValueError("curve has no weight above 0, so nobody would come")
        if self.revoke_at is not None and self.tokens.leaked_share == 0:
            raise ValueError("revoke_at needs tokens that leaked: leaked_share is 0")
        return self

    @property
    def top(self) -> float:
        """The greatest weight."""
        return max(point.weight for point in self.curve)

    def weight_at(self, share: float) -> float:
        """The weight at a share of the duration; 0 outside the curve."""
        for left, right in pairwise(self.curve):
            if left.at <= share <= right.at:
                along = (share - left.at) / (right.at - left.at)
                return left.weight + along * (right.weight - left.weight)
        return 0.0


def list_shapes() -> list[str]:
    """Names of the shapes that ship."""
    entries = files("seeds").joinpath("load").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def load_shape(name: str) -> Shape:
    """The shape of that name, or in that file. Raises OrderError."""
    where, text = _text_of(name)
    data = _mapping(text, where)
    if data.get("curve_of") is not None:
        data["curve"] = _scenario_curve(str(data["curve_of"]), where)
    try:
        shape = Shape.model_validate(data)
    except ValidationError as error:
        raise OrderError("\n".join(_faults(error, where))) from error
    facts_of(shape)
    return shape


def facts_of(shape: Shape) -> list[Fact]:
    """The facts that the shape rests on. Raises OrderError for an id that seeds/facts.yaml does not have."""
    book = yaml.safe_load(files("seeds").joinpath("facts.yaml").read_text(encoding="utf-8"))
    known = {fact["id"]: Fact.model_validate(fact) for fact in book["facts"]}
    missing = [id for id in shape.facts if id not in known]
    if missing:
        raise OrderError(f"{shape.name}: facts: seeds/facts.yaml has no {missing[0]!r}")
    return [known[id] for id in shape.facts]


def _text_of(name: str) -> tuple[str, str]:
    """A name for messages, and the text."""
    shipped = list_shapes()
    if name in shipped:
        return f"seeds/load/{name}.yaml", files("seeds").joinpath("load", f"{name}.yaml").read_text(encoding="utf-8")
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise OrderError(f"no shape {name!r}; there are {', '.join(shipped)}, or name a .yaml file of your own")
    try:
        return name, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OrderError(f"{name}: cannot be read: {reason}") from error


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise OrderError(f"{where}{line}: not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(data, dict):
        raise OrderError(f"{where}: expected keys and values")
    return data


def _scenario_curve(name: str, where: str) -> list[dict[str, float]]:
    """The arrivals of a drill's scenario, its minutes as shares of its length."""
    resource = files("seeds").joinpath("scenarios", f"{name}.yaml")
    if not resource.is_file():
        raise OrderError(f"{where}: curve_of: there is no scenario {name!r}")
    scenario = yaml.safe_load(resource.read_text(encoding="utf-8"))
    minutes = float(scenario["clock"]["minutes"])
    curve = scenario["population"]["traffic"]["curve"]
    return [{"at": min(1.0, point["at"] / minutes), "weight": point["weight"]} for point in curve]


def _faults(error: ValidationError, where: str) -> list[str]:
    """One line a fault."""
    lines = []
    for detail in error.errors(include_url=False)[:MAX_FAULTS]:
        key = ".".join(str(part) for part in detail["loc"]) or "the file"
        words = {"extra_forbidden": "unknown key", "missing": "missing"}.get(detail["type"])
        lines.append(f"{where}: {key}: {words or detail['msg'].removeprefix('Value error, ')}")
    return lines
