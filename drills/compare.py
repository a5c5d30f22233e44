"""One scenario under three cuts: the leaked tokens, their cohort, everybody. What each contains, and whom it hits.

"Pause all" is a revocation of everything: that is the one call by which a gateway stops everybody at once. Colleagues,
who hold tokens of the leaked cohort that did not leak, are added to the scenario, so that the cuts differ.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from drills.errors import ScenarioError
from drills.journal import Journal, load_journal
from drills.look import html_environment, markdown_environment
from drills.metrics import measure
from drills.oracle import VerdictWord
from drills.population import Cohort
from drills.report import write_all
from drills.scenario import Objective, Scenario, Selector

COLLEAGUES = 4
LABEL = "leaked"
LONGEST_ID = 60
# Stands in where a scenario measures nothing but its notice.
CUT = Objective(id="contained", text="The cut ends the leak.", capability="containment", measured_by="containment")
TITLES = {"leaked-token": "revoke leaked token", "cohort": "revoke cohort", "pause-all": "pause all"}


class Column(BaseModel):
    """One cut. Tokens are counted; None is unknown. `closed` of `surfaces` places refuse, each tested before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    verdict: VerdictWord
    reasons: list[str]
    closed: int
    surfaces: int
    late_uses: int
    tokens_revoked: int | None
    colleagues: int
    colleagues_denied: int | None
    bystanders: int
    bystanders_denied: int | None
    jobs_stopped: int | None
    greatest_lag_seconds: float | None
    exposure_minutes: float | None


class Comparison(BaseModel):
    """Three columns of one scenario."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classification: str = "EXERCISE"
    scenario: str
    title: str
    seed: int
    columns: list[Column]


def variants(scenario: Scenario) -> dict[str, Scenario]:
    """The scenario once for each cut, with colleagues.

    Where its own cut is a notice, a revocation is sent in its place, and what is measured from a notice is left out.
    Raises ScenarioError where there is nothing to cut, or where a cut does not fit.
    """
    scenario.ensure_cut("compare")
    cohorts: list[Cohort] = []
    leaked = [cohort for cohort in scenario.population.cohorts if cohort.leaked]
    name = leaked[0].cohort or leaked[0].id
    for cohort in scenario.population.cohorts:
        cohorts.append(cohort.model_copy(update={"label": LABEL}) if cohort.leaked else cohort)
    id = f"colleagues-of-{name}"[:LONGEST_ID]
    cohorts.append(Cohort(id=id, principal="colleague", issue=COLLEAGUES, leaked=False, cohort=name))
    objectives = [each for each in scenario.objectives if each.measured_by != "notice_to_dead"] or [CUT]
    named = {each.id for each in objectives}
    lines = [
        line if line.objective in named else line.model_copy(update={"objective": objectives[0].id})
        for line in scenario.msel
    ]
    common = {
        "population": scenario.population.model_copy(update={"cohorts": cohorts}),
        "objectives": objectives,
        "msel": lines,
    }
    cuts = {"leaked-token": Selector(label=LABEL), "cohort": Selector(cohort=name), "pause-all": Selector(all=True)}
    return {title: _with_cut(scenario, selector, common) for title, selector in cuts.items()}


def _with_cut(scenario: Scenario, selector: Selector, common: Mapping[str, object]) -> Scenario:
    """Checked once more as a whole: a journal of it must be read back."""
    cut = scenario.containment.model_copy(update={"selector": selector, "by": "revocation"})
    changed = scenario.model_copy(update={**common, "containment": cut})
    try:
        return Scenario.model_validate(changed.model_dump())
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise ScenarioError(f"{scenario.scenario.id}: cannot be compared: {words}") from error


def compare(journals: Mapping[str, Journal]) -> Comparison:
    """The three columns, from their journals alone."""
    first = next(iter(journals.values()))
    return Comparison(
        scenario=first.scenario.scenario.id,
        title=first.scenario.scenario.title,
        seed=first.seed,
        columns=[_column(name, journal) for name, journal in journals.items()],
    )


def _column(name: str, journal: Journal) -> Column:
    metrics, verdict = measure(journal), journal.verdict
    leaked = {one.cohort for one in journal.tokens if one.leaked}
    colleagues = {one.accessor for one in journal.tokens if not one.leaked and one.cohort in leaked}
    others = {one.accessor for one in journal.tokens if not one.leaked} - colleagues
    stopped = (metrics.jobs_queued_stopped, metrics.jobs_running_stopped)
    return Column(
        id=name,
        title=TITLES[name],
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        closed=sum(one.warm and one.after == "dead" for one in verdict.surfaces),
        surfaces=len(verdict.surfaces),
        late_uses=sum(one.rule != "bystander_refused" for one in verdict.offences),
        tokens_revoked=metrics.tokens_revoked,
        colleagues=len(colleagues),
        colleagues_denied=_denied(journal, colleagues),
        bystanders=len(others),
        bystanders_denied=_denied(journal, others),
        jobs_stopped=sum(one for one in stopped if one is not None) if None not in stopped else None,
        greatest_lag_seconds=metrics.greatest_lag,
        exposure_minutes=metrics.published_to_last_accepted.replay_minutes,
    )


def _denied(journal: Journal, accessors: set[str]) -> int | None:
    """How many of these tokens were refused after the acknowledgement; None where none was tried then."""
    call = journal.revoke
    if call is None or call.outcome != "acknowledged":
        return None
    after = [each for each in journal.exchanges if each.accessor in accessors and each.start >= call.end]
    return len({each.accessor for each in after if each.outcome == "refused"}) if after else None


def render_comparison(folders: Mapping[str, Path], out: Path) -> dict[str, Path]:
    """Write comparison.html, .md and .json from the journals in these folders. Raises JournalError."""
    comparison = compare({name: load_journal(folder / "journal.json") for name, folder in folders.items()})
    view = {
        "comparison": comparison,
        "columns": comparison.columns,
        "rows": _rows(comparison),
        "bars": _bars(comparison),
    }
    return write_all(
        out,
        {
            "comparison.html": html_environment().get_template("comparison.html.j2").render(view),
            "comparison.md": markdown_environment().get_template("comparison.md.j2").render(view),
            "comparison.json": comparison.model_dump_json(indent=1) + "\n",
        },
    )


def _rows(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """The table: what is counted, and each column's figure."""

    def of(denied: int | None, held: int) -> str:
        return "unknown" if denied is None else f"{denied} of {held}"

    def known(value: float | None, form: str = "{:g}") -> str:
        return "unknown" if value is None else form.format(value)

    found = comparison.columns
    return [
        ("Verdict", [one.verdict.replace("_", " ") for one in found]),
        ("Places closed to the leaked tokens", [f"{one.closed} of {one.surfaces}" for one in found]),
        ("Uses accepted too late", [str(one.late_uses) for one in found]),
        ("Tokens revoked", [known(one.tokens_revoked) for one in found]),
        ("Colleagues in the same cohort who lost access", [of(one.colleagues_denied, one.colleagues) for one in found]),
        ("Others who lost access", [of(one.bystanders_denied, one.bystanders) for one in found]),
        ("Jobs stopped", [known(one.jobs_stopped) for one in found]),
        ("Greatest revocation lag", [known(one.greatest_lag_seconds, "{:.3f} s") for one in found]),
        ("Published to last accepted use, replay minutes", [known(one.exposure_minutes, "{:.1f}") for one in found]),
    ]


class Bar(BaseModel):
    """A bar of the picture, in pixels, with its words."""

    y: float
    width: float
    kind: str
    words: str


def _bars(comparison: Comparison) -> list[tuple[str, list[Bar]]]:
    """For each cut how much it closed, and how many uninvolved tokens it cost. 480 pixels are all."""
    rows = []
    for number, one in enumerate(comparison.columns):
        top, held = 34.0 + number * 84, one.colleagues + one.bystanders
        denied = None
        if one.colleagues_denied is not None and one.bystanders_denied is not None:
            denied = one.colleagues_denied + one.bystanders_denied
        closed = one.closed / one.surfaces if one.surfaces else 0.0
        cost = "unknown" if denied is None else f"{denied} of {held}"
        bars = [
            Bar(y=top, width=round(480 * closed, 1), kind="go", words=f"closed {one.closed} of {one.surfaces}"),
            Bar(
                y=top + 26,
                width=round(480 * (denied or 0) / held, 1) if held else 0.0,
                kind="no",
                words=f"uninvolved tokens cut: {cost}",
            ),
        ]
        rows.append((f"{one.title}: {one.verdict.replace('_', ' ')}", bars))
    return rows
