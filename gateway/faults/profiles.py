"""Latency profiles: how long a job seems to take, drawn by seed and stretched by load. Pure arithmetic.

A job's time is a log-normal draw with a median and a 99th percentile, as latency is measured: a part that every job
pays and a part for each second of video, both at the same quantile, so that medians and percentiles add up exactly.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from gateway.errors import OperatorError
from gateway.store.jobs import RenderRequest

NORMAL = NormalDist()
Z99 = NORMAL.inv_cdf(0.99)
# Draws stay within the middle 99.8 %: a tail without end would let one job in a morning hold its slot for hours.
Z_MOST = NORMAL.inv_cdf(0.999)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Factor = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Part):
    """A log-normal time by its median and its 99th percentile, both in seconds; 0 and 0 take no time."""

    median: Seconds
    p99: Seconds

    @model_validator(mode="after")
    def _in_order(self) -> Spread:
        if self.p99 < self.median or (self.median == 0) != (self.p99 == 0):
            raise ValueError("p99 must not be below the median, and both are 0 or neither")
        return self

    def at(self, z: float) -> float:
        """Seconds at `z` standard deviations from the median, on the logarithm's scale."""
        if self.median == 0:
            return 0.0
        return self.median * math.exp(math.log(self.p99 / self.median) / Z99 * z)


class SizeFactor(_Part):
    """How pixels count: (pixels / those of `reference`) to the power of `exponent`."""

    reference: Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$")] = "1280x720"
    exponent: float = Field(0.0, ge=0, le=3)

    def of(self, size: str) -> float:
        """The factor for "WxH"."""
        return math.pow(_pixels(size) / _pixels(self.reference), self.exponent)


class LoadFactor(_Part):
    """What a busy house adds: 1 + `per_waiting` for each waiting job + `per_utilisation` with every slot taken, at the
    most `cap`."""

    per_waiting: float = Field(0.0, ge=0, le=10)
    per_utilisation: float = Field(0.0, ge=0, le=10)
    cap: float = Field(1.0, ge=1, le=100)

    def of(self, load: Load) -> float:
        """The factor, 1 to `cap`."""
        taken = min(1.0, load.running / max(1, load.slots))
        return min(self.cap, 1 + self.per_waiting * load.waiting + self.per_utilisation * taken)


class Profile(_Part):
    """One latency profile, as its YAML file says. `source` tells where the figures come from; `floor_per_second` is
    the least time, in seconds for each second of video."""

    name: Name
    description: str = Field(min_length=1, max_length=200)
    source: str = Field(min_length=1, max_length=300)
    fixed: Spread
    per_second: Spread
    floor_per_second: Seconds = 0.0
    variants: dict[str, Factor] = {}
    size: SizeFactor = SizeFactor()
    load: LoadFactor = LoadFactor()

    @property
    def instant(self) -> bool:
        """Whether it simulates no time at all."""
        return self.fixed.median == 0 and self.per_second.median == 0 and self.floor_per_second == 0


@dataclass(frozen=True)
class Load:
    """How busy the house is: jobs waiting, jobs running, slots of live workers."""

    waiting: int = 0
    running: int = 0
    slots: int = 1


def draw(profile: Profile, seed: int, job_id: str, request: RenderRequest, load: Load) -> float:
    """Simulated seconds from claim to end. The same profile, seed, job, request and load give the same."""
    digest = hashlib.blake2b(f"{seed}/{job_id}".encode(), digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 0.5) / 2**64
    z = min(Z_MOST, max(-Z_MOST, NORMAL.inv_cdf(uniform)))
    return _at(profile, z, request, load)


def expected_seconds(profile: Profile, request: RenderRequest, load: Load) -> float:
    """The median of `draw` over all jobs of this kind."""
    return _at(profile, 0.0, request, load)


def parse(text: str, where: str) -> Profile:
    """A profile from YAML; raises OperatorError that names the file, the key and what it takes."""
    try:
        values: Any = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise OperatorError(f"{where}: not valid YAML: {exc}") from exc
    try:
        return Profile.model_validate(values)
    except ValidationError as exc:
        found = []
        for error in exc.errors():
            key = ".".join(str(part) for part in error["loc"]) or "the file"
            known = f"; known keys are {', '.join(Profile.model_fields)}" if error["type"] == "extra_forbidden" else ""
            found.append(f"{key}: {error['msg'].removeprefix('Value error, ')}{known}")
        raise OperatorError(f"{where}: {'; '.join(found)}") from exc


def load_folder(folder: Path) -> dict[str, Profile]:
    """Every `*.yaml` of a folder by name; raises OperatorError for a bad one, or a name that its file does not bear."""
    found: dict[str, Profile] = {}
    try:
        texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    except (OSError, UnicodeDecodeError) as exc:
        raise OperatorError(f"{folder}: a latency profile cannot be read: {exc}") from exc
    for path, text in texts.items():
        profile = parse(text, str(path))
        if profile.name != path.stem:
            raise OperatorError(f"{path}: its name is {profile.name!r}; name it {path.stem!r}, like its file")
        found[profile.name] = profile
    return found


def _at(profile: Profile, z: float, request: RenderRequest, load: Load) -> float:
    rendered = request.seconds if request.added_seconds is None else request.added_seconds
    factor = profile.variants.get(request.variant, 1.0) * profile.size.of(request.size)
    seconds = profile.fixed.at(z) + profile.per_second.at(z) * rendered * factor
    return max(profile.floor_per_second * rendered, seconds * profile.load.of(load))


def _pixels(size: str) -> int:
    width, _, height = size.partition("x")
    return int(width) * int(height)
