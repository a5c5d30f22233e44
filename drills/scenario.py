"""Scenario documents: what is played, to whom, and what counts as contained.

Terms after HSEEP (objective, MSEL, inject, expected action, contingency) and chaos engineering (steady state,
rollback). Times are replay minutes since `clock.start`, or "HH:MM" on that day's clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from drills.containment import NO_CUT, NOTHING_UNDER_WAY, Containment, InFlight, Selector
from drills.documents import parse
from drills.errors import MisfitError, ScenarioError
from drills.explan import Identity, Notes, Objective, Role, SteadyState
from drills.facts import Fact, FactBook, Identifier, Source, load_facts
from drills.fitting import misfits
from drills.msel import InjectKind, MselLine, Seconds
from drills.population import Population
from drills.sunset_plan import SunsetPlan
from drills.topology import Topology

__all__ = [
    "MselLine", "Objective", "Scenario", "ScenarioError", "ScenarioSummary", "Selector", "list_scenarios",
    "load_scenario",
]  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    own_facts: list[Fact] = []
    sources: list[Source] = []
    objectives: list[Objective] = Field(min_length=1)
    roles: list[Role] = []
    population: Population
    topology: Topology
    steady_state: list[SteadyState]
    msel: list[MselLine] = Field(min_length=2)
    inflight: InFlight = NOTHING_UNDER_WAY
    containment: Containment = NO_CUT
    sunset: SunsetPlan | None = None
    notes: Notes | None = None
    limits: Limits
    rollback: list[Literal["revoke_issued", "stop_clock"]]
    clock: ClockPlan
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> "Scenario":
        if problems := misfits(self):
            raise MisfitError(problems)
        return self

    def minute(self, line: MselLine) -> float | None:
        """The line's time in replay minutes since `clock.start`; None for a contingent one."""
        if not isinstance(line.at, str):
            return line.at
        hours, minutes = (int(part) for part in line.at.split(":"))
        start = self.clock.start
        return (
            timedelta(hours=hours, minutes=minutes) - timedelta(hours=start.hour, minutes=start.minute)
        ) / timedelta(minutes=1)

    def time_at(self, minute: float) -> datetime:
        """The replay clock's time at a replay minute."""
        return self.clock.start + timedelta(minutes=minute)

    def lines(self) -> list[MselLine]:
        """The MSEL in order of time, contingent lines last; otherwise lines keep the file's order."""
        return sorted(self.msel, key=lambda line: (line.at is None, self.minute(line) or 0.0))

    def timed(self) -> list[tuple[float, MselLine]]:
        """The timed lines with their replay minutes, in order."""
        found = [(self.minute(line), line) for line in self.lines()]
        return [(minute, line) for minute, line in found if minute is not None]

    def first(self, kind: InjectKind | str) -> MselLine | None:
        """The first line of that kind, None where there is none."""
        return next((line for line in self.lines() if line.inject == kind), None)

    def line_of(self, kind: InjectKind) -> MselLine:
        """The only line of that kind (a leak has one leak_posted and one access_ended)."""
        return next(line for line in self.msel if line.inject == kind)

    def ensure_cut(self, what: str) -> None:
        """Raises ScenarioError where no token leaks: there is nothing to cut for `what`."""
        if self.scenario.plot != "leak":
            raise ScenarioError(
                f"{what}: in scenario {self.scenario.id} (plot {self.scenario.plot}) no token leaks, so nothing can be "
                "cut; choose one with plot leak"
            )

    @property
    def sends_notices(self) -> bool:
        """Whether any notice is sent, by a line or as the cut."""
        return self.containment.by == "notice" or any(line.notice for line in self.msel)

    def book(self, shipped: FactBook) -> FactBook:
        """The facts that the document names, out of the shipped ones and its own, with their sources."""
        kept = shipped.select(self.fact_ids())
        return FactBook(
            sources=[*(kept.sources if kept.told else []), *self.sources],
            facts=[*kept.facts, *self.own_facts],
            disagreements=kept.disagreements if kept.told else [],
        )

    def fact_ids(self) -> list[str]:
        """Every fact the document names, once, in order of first use."""
        cohorts = [cohort.fact for cohort in self.population.cohorts]
        named = [*self.facts, self.clock.start_fact, self.population.traffic.fact, *cohorts]
        named += [fact for line in self.msel for fact in line.facts]
        return list(dict.fromkeys(name for name in named if name))


@dataclass(frozen=True)
class ScenarioSummary:
    """A shipped scenario: the name to run it by, its title, its length in replay minutes and in real seconds."""

    name: str
    title: str
    minutes: float
    plot: str = "leak"
    length_seconds: float = 0.0


def list_scenarios() -> list[ScenarioSummary]:
    """The shipped scenarios in order of name. Raises ScenarioError when one of them is wrong."""
    return [_summary(name, load_scenario(name)) for name in _shipped()]


def _summary(name: str, loaded: Scenario) -> ScenarioSummary:
    seconds = loaded.clock.minutes * 60 / loaded.clock.speed
    return ScenarioSummary(name, loaded.scenario.title, loaded.clock.minutes, loaded.scenario.plot, seconds)


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


def _check_facts(scenario: Scenario, shipped: FactBook, label: str) -> None:
    """The document's own facts come first; what is in neither book is an error."""
    own = {fact.id for fact in scenario.own_facts}
    if doubled := own & {fact.id for fact in shipped.facts}:
        raise ScenarioError(f"{label}: own_facts: also in seeds/facts.yaml: {', '.join(sorted(doubled))}")
    missing = [name for name in scenario.fact_ids() if name not in own | {fact.id for fact in shipped.facts}]
    if missing:
        raise ScenarioError(f"{label}: facts not in own_facts and not in seeds/facts.yaml: {', '.join(missing)}")
    try:
        book = scenario.book(shipped)
    except ValidationError as error:
        raise ScenarioError(f"{label}: own_facts: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    if scenario.scenario.basis == "press_reports" and not any(fact.status == "reported" for fact in book.facts):
        raise ScenarioError(f"{label}: scenario.basis: press_reports needs facts that are reported; none is named")
