"""Whether the parts of a scenario fit together: names that are used are there, times follow each other, and nothing is
declared that its plot would ignore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drills.containment import NO_CUT, NOTHING_UNDER_WAY, Selector
from drills.lines import Place
from drills.msel import MADE_UP, MselLine

if TYPE_CHECKING:
    from drills.explan import Objective, Role, SteadyState
    from drills.population import Cohort
    from drills.scenario import Scenario

Problem = tuple[Place, str]


def misfits(scenario: Scenario) -> list[Problem]:
    """Everything that does not fit, in the order of the file's parts."""
    return [*_names(scenario), *_lines(scenario), *_PLOTS[scenario.scenario.plot](scenario), *_objectives(scenario)]


def _names(scenario: Scenario) -> Iterator[Problem]:
    groups: list[tuple[Place, Sequence[MselLine | Objective | Role | Cohort | SteadyState]]] = [
        (("msel",), scenario.msel),
        (("objectives",), scenario.objectives),
        (("roles",), scenario.roles),
        (("population", "cohorts"), scenario.population.cohorts),
        (("steady_state",), scenario.steady_state),
    ]
    for place, parts in groups:
        ids = [part.id for part in parts]
        for n, id in enumerate(ids):
            if id in ids[:n]:
                yield (*place, n), f"{'.'.join(map(str, place))}: id {id} is used twice"
    cohorts = {cohort.id: cohort for cohort in scenario.population.cohorts}
    for n, cohort in enumerate(scenario.population.cohorts):
        if cohort.id in MADE_UP:
            yield ("population", "cohorts", n), f"a cohort cannot be called {cohort.id}: a notice means something else"
    selector = scenario.containment.selector
    if selector.cohort not in (None, *(one.cohort or one.id for one in cohorts.values())):
        yield ("containment", "selector"), f"containment: no cohort {selector.cohort}"
    if selector.label not in (None, *(one.label for one in cohorts.values())):
        yield ("containment", "selector"), f"containment: no label {selector.label}"


def _lines(scenario: Scenario) -> Iterator[Problem]:
    """Each line on its own: its time, and what it names."""
    objectives = {part.id for part in scenario.objectives}
    roles = {part.id for part in scenario.roles}
    cohorts = {cohort.id for cohort in scenario.population.cohorts}
    for n, line in enumerate(scenario.msel):
        place, end = ("msel", n), scenario.clock.minutes
        minute = scenario.minute(line)
        if minute is not None and not 0 <= minute <= end:
            yield (*place, "at"), f"msel {line.id}: at {line.at} lies outside the replay's {end:g} minutes"
        if line.when and line.when.not_revoked_by is not None and line.when.not_revoked_by > end:
            yield (*place, "when"), f"msel {line.id}: not_revoked_by lies outside the replay's {end:g} minutes"
        if line.objective not in objectives:
            yield (*place, "objective"), f"msel {line.id}: no objective {line.objective}"
        for role in line.to:
            if role not in roles:
                yield (*place, "to"), f"msel {line.id}: no role {role}"
        if line.notice and line.notice.about not in (*cohorts, *MADE_UP):
            yield (*place, "notice"), f"msel {line.id}: no cohort {line.notice.about}, nor unknown or example"
        if line.restore and line.restore.cohort not in cohorts:
            yield (*place, "restore"), f"msel {line.id}: no cohort {line.restore.cohort}"


def _count(scenario: Scenario, kind: str) -> int:
    return sum(line.inject == kind for line in scenario.msel)


def _leak(scenario: Scenario) -> Iterator[Problem]:
    """Tokens leak, and are cut off."""
    cohorts = scenario.population.cohorts
    for kind in ("leak_posted", "access_ended"):
        if _count(scenario, kind) != 1:
            yield ("msel",), f"msel: needs exactly one line with inject {kind}"
    posted, ended = (scenario.first(kind) for kind in ("leak_posted", "access_ended"))
    if posted and ended and (scenario.minute(posted) or 0.0) >= (scenario.minute(ended) or 0.0):
        yield ("msel",), "msel: leak_posted must come before access_ended"
    if not any(cohort.leaked for cohort in cohorts):
        yield ("population", "cohorts"), "population: no cohort is leaked"
    if all(cohort.leaked for cohort in cohorts):
        yield ("population", "cohorts"), "population: a cohort that is not leaked is needed as bystanders"
    if scenario.containment == NO_CUT:
        yield (), "plot leak needs the part containment"
    elif not scenario.containment.surfaces:
        yield ("containment", "surfaces"), "containment: name at least one surface"
    if scenario.containment.by == "notice":
        yield from _cut_by_notice(scenario)
    if _count(scenario, "insider_mint") and not {"child_token", "mint"} & set(scenario.containment.surfaces):
        yield ("containment", "surfaces"), "containment: insider_mint needs the surface child_token or mint"
    yield from _not_in(scenario, "leak", ("restore",), sunset=True)


def _cut_by_notice(scenario: Scenario) -> Iterator[Problem]:
    if scenario.topology.intake != "revoke":
        yield ("containment", "by"), "containment: by notice needs topology.intake revoke"
    if scenario.containment.selector != Selector(all=True):
        yield ("containment", "selector"), "containment: by notice names the leaked tokens; leave the selector out"
    if scenario.containment.freeze_mint:
        yield ("containment", "freeze_mint"), "containment: freeze_mint goes with by: revocation"


def _notice(scenario: Scenario) -> Iterator[Problem]:
    """Tokens are reported, held, and given back."""
    if not _count(scenario, "disclosure"):
        yield ("msel",), "msel: needs a line with inject disclosure"
    if scenario.topology.intake != "quarantine":
        yield ("topology",), "plot notice needs topology.intake quarantine: what is revoked does not come back"
    yield from _nobody_leaks(scenario)
    yield from _not_in(scenario, "notice", (), sunset=True)


def _false_alarm(scenario: Scenario) -> Iterator[Problem]:
    """What is reported is nobody's that works."""
    if not _count(scenario, "disclosure"):
        yield ("msel",), "msel: needs a line with inject disclosure"
    yield from _nobody_leaks(scenario)
    yield from _not_in(scenario, "false_alarm", ("restore",), sunset=True)


def _sunset(scenario: Scenario) -> Iterator[Problem]:
    """The API ends."""
    if scenario.sunset is None:
        yield (), "plot sunset needs the part sunset"
    elif scenario.sunset.ends_at >= scenario.clock.minutes:
        yield ("sunset", "ends_at"), f"sunset: ends_at lies outside the replay's {scenario.clock.minutes:g} minutes"
    for n, cohort in enumerate(scenario.population.cohorts):
        if cohort.heeds is None:
            yield ("population", "cohorts", n), f"population: {cohort.id} needs heeds: what makes these clients stop"
    for n, check in enumerate(scenario.steady_state):
        if check.when == "after":
            yield ("steady_state", n), "steady_state: after its end an API has no steady state"
    yield from _nobody_leaks(scenario)
    yield from _not_in(scenario, "sunset", ("disclosure", "restore", "outage"), sunset=False)


def _nobody_leaks(scenario: Scenario) -> Iterator[Problem]:
    for n, cohort in enumerate(scenario.population.cohorts):
        if cohort.leaked:
            yield ("population", "cohorts", n, "leaked"), f"population: {cohort.id} is leaked, in a plot without a leak"
    if scenario.containment != NO_CUT:
        yield ("containment",), f"plot {scenario.scenario.plot} cuts nothing: leave containment out"
    if scenario.inflight != NOTHING_UNDER_WAY:
        yield ("inflight",), f"plot {scenario.scenario.plot} cuts nothing: leave inflight out"
    for n, line in enumerate(scenario.msel):
        needs = line.when.given()[0] if line.when else ""
        if needs and needs not in ("notice_taken", "bystander_refused"):
            yield ("msel", n, "when"), f"msel {line.id}: {needs} needs a leak"
    for n, line in enumerate(scenario.msel):
        if line.inject in ("leak_posted", "access_ended", "insider_mint"):
            yield ("msel", n, "inject"), f"msel {line.id}: {line.inject} needs plot leak"


def _not_in(scenario: Scenario, plot: str, kinds: Sequence[str], *, sunset: bool) -> Iterator[Problem]:
    for n, line in enumerate(scenario.msel):
        if line.inject in kinds:
            yield ("msel", n, "inject"), f"msel {line.id}: {line.inject} has no place in plot {plot}"
    if sunset and scenario.sunset is not None:
        yield ("sunset",), f"sunset has no place in plot {plot}"
    for n, cohort in enumerate(scenario.population.cohorts):
        if sunset and cohort.heeds is not None:
            yield ("population", "cohorts", n, "heeds"), f"population: heeds has no place in plot {plot}"


def _objectives(scenario: Scenario) -> Iterator[Problem]:
    """Figures that the plot does not give."""
    only = {"exposure_window": "leak", "lag": "leak", "clients": "sunset", "bystanders": "leak"}
    for n, objective in enumerate(scenario.objectives):
        wanted = only.get(objective.measured_by)
        if wanted and wanted != scenario.scenario.plot:
            yield ("objectives", n, "measured_by"), f"objectives: {objective.measured_by} needs plot {wanted}"
        if objective.measured_by == "notice_to_dead" and scenario.containment.by != "notice":
            yield ("objectives", n, "measured_by"), "objectives: notice_to_dead needs containment.by notice"


_PLOTS = {"leak": _leak, "notice": _notice, "false_alarm": _false_alarm, "sunset": _sunset}
