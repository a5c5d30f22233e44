"""Reports: pure functions of a journal and of the ratings beside it. The same of both gives the same bytes.

report.md and report.html are the after-action report, timeline.csv the list of what happened, junit.xml the
objectives for a build server (failure: an objective missed; error: the drill's fault or nothing known; skipped: left
to the evaluator or not run).
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drills.chart import draw
from drills.firstpage import strengths, weaknesses
from drills.journal import Journal, load_journal, write_atomically
from drills.junit import Case, junit
from drills.look import html_environment, in_csv, markdown_environment
from drills.matrix import lag_of, matrix_of, places_of
from drills.metrics import measure
from drills.oracle import SurfaceResult
from drills.plot_pages import page_of
from drills.proofs import TALLIES, named_requests
from drills.ratings import Rating, Ratings, load_ratings
from drills.readings import ObjectiveReading, in_order, objective_readings, surface_rows, timeline
from drills.runbook_record import outcomes
from drills.sections import evidence_of, moment_rows, requests_named, section_cases, sections_of

# More offending requests than this are left to the journal, which has all of them.
MOST_OFFENCES = 200
CSV_COLUMNS = (
    "real_seconds", "replay_minutes", "replay_clock", "scripted", "kind", "id", "text", "status", "sources",
    "to", "expected", "objective",
)  # fmt: skip


def render_all(journal_path: Path, out: Path) -> dict[str, Path]:
    """Write the four reports into `out`; their paths by file name. Raises JournalError for a bad journal or ratings."""
    journal, ratings = load_journal(journal_path), load_ratings(journal_path)
    return write_all(
        out,
        {
            "report.html": render_html(journal, ratings),
            "report.md": render_markdown(journal, ratings),
            "junit.xml": render_junit(journal),
            "timeline.csv": render_csv(journal),
        },
    )


def write_all(out: Path, texts: Mapping[str, str]) -> dict[str, Path]:
    """Write files by name; their paths."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(out / name, text)
    return {name: out / name for name in texts}


def render_markdown(journal: Journal, ratings: Ratings | None = None) -> str:
    """The after-action report as Markdown."""
    return markdown_environment().get_template("report.md.j2").render(_view(journal, ratings))


def render_html(journal: Journal, ratings: Ratings | None = None) -> str:
    """The after-action report as one HTML file that fetches nothing."""
    return html_environment().get_template("report.html.j2").render(_view(journal, ratings))


def render_csv(journal: Journal) -> str:
    """The timeline, one row each, RFC 4180 with plain line ends; no text is a formula to a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in in_order([*timeline(journal), *surface_rows(journal), *moment_rows(journal)]):
        second = "" if row.second is None else f"{row.second:.6f}"
        minute = "" if row.minute is None else f"{row.minute:.4f}"
        lists = (" ".join(row.sources), " ".join(row.to), row.expect, row.objective)
        texts = (row.clock, row.scripted, row.kind, row.id, row.text, row.status, *lists)
        writer.writerow((second, minute, *map(in_csv, texts)))
    return stream.getvalue()


def render_junit(journal: Journal) -> str:
    """The outcome as JUnit XML."""
    return junit(journal.scenario.scenario.id, _cases(journal), journal.started_at, journal.ended)


def _cases(journal: Journal) -> list[Case]:
    failed = journal.status == "failed" or journal.dirty
    left = "; ".join(journal.left) or "something of the drill"
    words = journal.error or f"left behind on the target: {left}"
    cases = [Case("drill", journal.status, "error" if failed else "passed", words if failed else "")]
    cases += [_objective_case(each) for each in objective_readings(journal, measure(journal))]
    done = {check.id: check for check in journal.checks}
    for planned in journal.scenario.steady_state:
        check = done.get(planned.id)
        state = "skipped" if check is None else ("passed" if check.ok else "error")
        cases.append(Case("steady_state", planned.id, state, check.detail if check else "not run"))
    if journal.runbook:
        rows = outcomes(journal.runbook, journal.verdict.verdict)
        cases += [Case("runbook", name, state, words) for name, state, words in rows]
    cases += section_cases(journal)
    states = {"dead": "passed", "alive": "failure", "unknown": "error"}
    for place, result in places_of(journal.scenario.containment.surfaces, journal.verdict.surfaces):
        state = states[result.after] if result else "skipped"
        state = "error" if result and state == "passed" and not result.warm else state
        words = f"after the revocation: {result.after}, lag {lag_of(result)}" if result else "not run"
        cases.append(Case("surfaces", place, state, words))
    return cases


def _objective_case(each: ObjectiveReading) -> Case:
    states = {"met": "passed", "missed": "failure", "undecided": "error", "for the evaluator": "skipped"}
    return Case("objectives", each.objective.id, states[each.reading], each.why)


def _view(journal: Journal, ratings: Ratings | None) -> dict[str, Any]:
    """What the templates see."""
    metrics = measure(journal)
    rows, objectives = timeline(journal), objective_readings(journal, metrics)
    offences = journal.verdict.offences[:MOST_OFFENCES]
    rated = [(each, ratings.of(each.objective.id) if ratings else []) for each in objectives]
    unrated = [each.objective.id for each, given in rated if each.reading == "for the evaluator" and not given]
    page, proofs = page_of(journal, metrics, unrated), evidence_of(journal)
    named = [*(one.request for one in offences if one.request is not None), *requests_named(journal)]
    return {
        "journal": journal,
        "scenario": journal.scenario,
        "metrics": metrics,
        "page": page,
        "rows": rows,
        "msel": [row for row in rows if row.status != "measured"],
        "rated": rated,
        "chart": draw(journal),
        "matrix": matrix_of(journal),
        "offences": offences,
        "tallies": [(name, title) for name, title, _ in TALLIES],
        "verdict": journal.verdict.verdict.replace("_", " "),
        "durations": [fact for fact in journal.facts.facts if fact.unit == "minutes" and fact.sources],
        **sections_of(journal),
        "proofs": proofs,
        "requests": named_requests(journal.exchanges, proofs, named),
        **after_words(rated, journal.verdict.surfaces, page.steps),
    }


def after_words(
    rated: Sequence[tuple[ObjectiveReading, Sequence[Rating]]], surfaces: Sequence[SurfaceResult], steps: Sequence[str]
) -> dict[str, list[Sequence[str]]]:
    """Strengths, areas for improvement and the plan, as far as the journal and the ratings tell; blank lines follow."""
    return {
        "strengths": _numbered(strengths(rated, surfaces), 3),
        "weaknesses": _numbered(weaknesses(rated), 4),
        "plan": _numbered([(each, "", "", "") for each in steps], 5),
    }


def _numbered(rows: Sequence[Sequence[str]], columns: int) -> list[Sequence[str]]:
    """The rows with their numbers, and as many blank ones as make it three, two at the least."""
    blank = max(2, 3 - len(rows))
    filled = [*rows, *[("",) * (columns - 1)] * blank]
    return [(str(number), *row) for number, row in enumerate(filled, start=1)]
