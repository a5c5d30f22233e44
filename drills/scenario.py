"""Scenario documents: what is played, to whom, and what counts as contained.

Terms after HSEEP (objective, MSEL, inject, expected action, contingency) and chaos engineering (steady state,
rollback). Times are replay minutes since `clock.start`, or "HH:MM" on that day's clock.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainValidator, model_validator

from drills.documents import parse
from drills.errors import ScenarioError
from drills.facts import FactBook, Identifier, Status, Text, load_facts
from drills.population import Cohort, Minutes, Population
from drills.topology import Surface, Topology

__all__ = ["Scenario", "ScenarioError", "ScenarioSummary", "list_scenarios", "load_scenario"]

InjectKind = Literal[
    "leak_posted",
    "leak_reported",
    "traffic_spike",
    "features_exposed",
    "scope_question",
    "access_ended",
    "press_question",
    "attribution_question",
    "message",
]
Seconds = Annotated[float, Field(gt=0, le=3600)]


def _replay_time(value: object) -> float | str:
    """Minutes as a number, "HH:MM" as text; anything else is refused."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"[0-2][0-9]:[0-5][0-9]", value):
        return value
    raise ValueError('expected replay minutes (0 or more) or a time such as "11:30"')


ReplayTime = Annotated[float | str, PlainValidator(_replay_time)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identity(_Part):
    """What the exercise is called and how it is marked."""

    id: Identifier
    title: Text
    version: int = Field(ge=1)
    kind: Literal["tabletop", "functional", "automated"]
    classification: Literal["EXERCISE"]
    summary: Text


class Objective(_Part):
    """What is evaluated. `measured_by` evaluator leaves it to a person; the others are read from the journal."""

    id: Identifier
    text: Text
    capability: Text
    measured_by: Literal["containment", "bystanders", "exposure_window", "evaluator"]


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


class Expectation(_Part):
    """What players should do about an inject, and how soon."""

    action: Text
    within_minutes: Minutes | None = None


class MselLine(_Part):
    """One line of the master scenario events list.

    `leak_posted` opens the page and starts the traffic; `access_ended` sends the revocation; the other kinds are
    words for players.
    """

    id: Identifier
    at: ReplayTime
    inject: InjectKind
    text: Text
    to: list[Identifier] = Field(min_length=1)
    expect: Expectation
    contingency: Text | None = None
    objective: Identifier
    facts: list[Identifier] = []
    time_status: Status


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
    """What counts as contained: every surface refused, from the acknowledgement on, for `after_watch_seconds`."""

    selector: Selector = Selector(all=True)
    reason: Text
    surfaces: list[Surface] = Field(min_length=1)
    after_watch_seconds: Seconds
    probe_every_seconds: Seconds
    timeout_seconds: Seconds


class Limits(_Part):
    """When the drill stops itself. `overtime_seconds` comes on top of the replay's own length."""

    overtime_seconds: Seconds
    max_requests: int = Field(ge=100)


class ClockPlan(_Part):
    """The replay's clock. `speed` is replay seconds per real second."""

    mode: Literal["scaled"]
    start: AwareDatetime
    start_fact: Identifier | None = None
    minutes: float = Field(gt=0, le=24 * 60)
    speed: float = Field(ge=1, le=100_000)


class Scenario(_Part):
    """A whole exercise document."""

    scenario: Identity
    facts: list[Identifier] = []
    objectives: list[Objective] = Field(min_length=1)
    roles: list[Role] = []
    population: Population
    topology: Topology
    steady_state: list[SteadyState]
    msel: list[MselLine] = Field(min_length=2)
    inflight: InFlight
    containment: Containment
    limits: Limits
    rollback: list[Literal["revoke_issued", "stop_clock"]]
    clock: ClockPlan
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> "Scenario":
        problems = [*self._time_problems(), *self._name_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def minute(self, line: MselLine) -> float:
        """The line's time in replay minutes since `clock.start`."""
        if not isinstance(line.at, str):
            return float(line.at)
        hours, minutes = (int(part) for part in line.at.split(":"))
        start = self.clock.start
        return (
            timedelta(hours=hours, minutes=minutes) - timedelta(hours=start.hour, minutes=start.minute)
        ) / timedelta(minutes=1)

    def time_at(self, minute: float) -> datetime:
        """The replay clock's time at a replay minute."""
        return self.clock.start + timedelta(minutes=minute)

    def lines(self) -> list[MselLine]:
        """The MSEL in order of time; lines of the same minute keep the file's order."""
        return sorted(self.msel, key=self.minute)

    def line_of(self, kind: InjectKind) -> MselLine:
        """The only line of that kind (leak_posted and access_ended occur once)."""
        return next(line for line in self.msel if line.inject == kind)

    def fact_ids(self) -> list[str]:
        """Every fact the document names, once, in order of first use."""
        cohorts = [cohort.fact for cohort in self.population.cohorts]
        named = [*self.facts, self.clock.start_fact, self.population.traffic.fact, *cohorts]
        named += [fact for line in self.msel for fact in line.facts]
        return list(dict.fromkeys(name for name in named if name))

    def _time_problems(self) -> list[str]:
        problems = []
        for line in self.msel:
            if not 0 <= self.minute(line) <= self.clock.minutes:
                problems.append(
                    f"msel {line.id}: at {line.at} lies outside the replay's {self.clock.minutes:g} minutes"
                )
        for kind in ("leak_posted", "access_ended"):
            if sum(line.inject == kind for line in self.msel) != 1:
                problems.append(f"msel: needs exactly one line with inject {kind}")
        if not problems and self.minute(self.line_of("leak_posted")) >= self.minute(self.line_of("access_ended")):
            problems.append("msel: leak_posted must come before access_ended")
        return problems

    def _name_problems(self) -> list[str]:
        problems = []
        groups: list[tuple[str, Sequence[MselLine | Objective | Role | Cohort | SteadyState]]] = [
            ("msel", self.msel),
            ("objectives", self.objectives),
            ("roles", self.roles),
            ("population.cohorts", self.population.cohorts),
            ("steady_state", self.steady_state),
        ]
        for name, parts in groups:
            ids = [part.id for part in parts]
            problems += [f"{name}: id {each} is used twice" for each in sorted({i for i in ids if ids.count(i) > 1})]
        objectives, roles = {part.id for part in self.objectives}, {part.id for part in self.roles}
        for line in self.msel:
            if line.objective not in objectives:
                problems.append(f"msel {line.id}: no objective {line.objective}")
            problems += [f"msel {line.id}: no role {role}" for role in line.to if role not in roles]
        cohorts = {cohort.id: cohort for cohort in self.population.cohorts}
        if not any(cohort.leaked for cohort in cohorts.values()):
            problems.append("population: no cohort is leaked")
        if all(cohort.leaked for cohort in cohorts.values()):
            problems.append("population: a cohort that is not leaked is needed as bystanders")
        if self.containment.selector.cohort not in (None, *(one.cohort or one.id for one in cohorts.values())):
            problems.append(f"containment: no cohort {self.containment.selector.cohort}")
        if self.containment.selector.label not in (None, *(one.label for one in cohorts.values())):
            problems.append(f"containment: no label {self.containment.selector.label}")
        return problems


@dataclass(frozen=True)
class ScenarioSummary:
    """A shipped scenario: the name to run it by, its title and its length in replay minutes."""

    name: str
    title: str
    minutes: float


def list_scenarios() -> list[ScenarioSummary]:
    """The shipped scenarios in order of name. Raises ScenarioError when one of them is wrong."""
    loaded = [(name, load_scenario(name)) for name in _shipped()]
    return [ScenarioSummary(name, each.scenario.title, each.clock.minutes) for name, each in loaded]


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read a shipped scenario by name, or a file by path, with its fact ids checked. Raises ScenarioError."""
    shipped = _shipped()
    name = str(name_or_path)
    try:
        if name in shipped:
            label, text = f"seeds/scenarios/{name}.yaml", shipped[name].read_text(encoding="utf-8")
        else:
            label, text = name, Path(name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        known = ", ".join(shipped) or "none"
        raise ScenarioError(f"{name}: no such scenario or file; shipped scenarios: {known}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{name}: cannot be read as a text file: {error}") from error
    scenario = parse(text, Scenario, label)
    _check_facts(scenario, load_facts(), label)
    return scenario


def _shipped() -> dict[str, Traversable]:
    folder = files("seeds").joinpath("scenarios")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")] if folder.is_dir() else []
    return {entry.name.removesuffix(".yaml"): entry for entry in sorted(found, key=lambda entry: entry.name)}


def _check_facts(scenario: Scenario, book: FactBook, label: str) -> None:
    known = {fact.id for fact in book.facts}
    missing = [name for name in scenario.fact_ids() if name not in known]
    if missing:
        raise ScenarioError(f"{label}: facts not in seeds/facts.yaml: {', '.join(missing)}")
