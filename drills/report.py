"""Reports: pure functions of a journal. The same journal gives the same bytes.

report.md and report.html are the after-action report, timeline.csv the list of what happened, junit.xml the
objectives for a build server (failure: an objective missed; error: the drill's fault or nothing known; skipped: left
to the evaluator or not run).
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2

from drills.chart import draw
from drills.journal import Journal, load_journal, write_atomically
from drills.matrix import lag_of, matrix_of, places_of
from drills.metrics import measure
from drills.oracle import SurfaceResult
from drills.readings import ObjectiveReading, in_order, objective_readings, surface_rows, timeline
from drills.runbook_record import outcomes

# More offending requests than this are left to the journal, which has all of them.
MOST_OFFENCES = 200
CSV_COLUMNS = (
    "real_seconds", "replay_minutes", "replay_clock", "scripted", "kind", "id", "text", "status", "sources",
    "to", "expected", "objective",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One JUnit test case. `state` passed, failure, error or skipped."""

    group: str
    name: str
    state: str
    words: str


def render_all(journal_path: Path, out: Path) -> dict[str, Path]:
    """Write the four reports into `out`; their paths by file name. Raises JournalError for a bad journal."""
    journal = load_journal(journal_path)
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.html": render_html(journal),
        "report.md": render_markdown(journal),
        "junit.xml": render_junit(journal),
        "timeline.csv": render_csv(journal),
    }
    for name, text in texts.items():
        write_atomically(out / name, text)
    return {name: out / name for name in texts}


def render_markdown(journal: Journal) -> str:
    """The after-action report as Markdown."""
    return _environment(autoescape=False).get_template("report.md.j2").render(_view(journal))


def render_html(journal: Journal) -> str:
    """The after-action report as one HTML file that fetches nothing."""
    return _environment(autoescape=True).get_template("report.html.j2").render(_view(journal))


def render_csv(journal: Journal) -> str:
    """The timeline, one row each, RFC 4180 with plain line ends."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in in_order([*timeline(journal), *surface_rows(journal)]):
        second = "" if row.second is None else f"{row.second:.6f}"
        minute = "" if row.minute is None else f"{row.minute:.4f}"
        lists = (" ".join(row.sources), " ".join(row.to), row.expect, row.objective)
        writer.writerow((second, minute, row.clock, row.scripted, row.kind, row.id, row.text, row.status, *lists))
    return stream.getvalue()


def render_junit(journal: Journal) -> str:
    """The outcome as JUnit XML."""
    cases = _cases(journal)
    totals = {state: sum(case.state == state for case in cases) for state in ("failure", "error", "skipped")}
    counts = {
        "tests": str(len(cases)),
        "failures": str(totals["failure"]),
        "errors": str(totals["error"]),
        "skipped": str(totals["skipped"]),
        "time": f"{journal.ended:.3f}",
    }
    root = ElementTree.Element("testsuites", counts)
    name = f"EXERCISE {journal.scenario.scenario.id}"
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": name, "timestamp": journal.started_at.isoformat(timespec="seconds"), **counts}
    )
    for case in cases:
        element = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": f"{journal.scenario.scenario.id}.{case.group}", "name": case.name, "time": "0"},
        )
        if case.state != "passed":
            ElementTree.SubElement(element, case.state, {"message": case.words})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _cases(journal: Journal) -> list[Case]:
    failed = journal.status == "failed" or journal.dirty
    words = journal.error or "something of the drill was left behind on the target"
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


def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("drills"),
        autoescape=autoescape,  # noqa: S701 - off for Markdown only, whose cells `cell` escapes
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (_seconds, _minutes, _round_minutes, _known, _cell, _signed, _lag_of)
    environment.filters.update({each.__name__.removeprefix("_"): each for each in filters})
    return environment


def _view(journal: Journal) -> dict[str, Any]:
    """What the templates see."""
    metrics = measure(journal)
    rows = timeline(journal)
    return {
        "journal": journal,
        "scenario": journal.scenario,
        "metrics": metrics,
        "rows": rows,
        "msel": [row for row in rows if row.status != "measured"],
        "objectives": objective_readings(journal, metrics),
        "chart": draw(journal),
        "matrix": matrix_of(journal),
        "offences": journal.verdict.offences[:MOST_OFFENCES],
        "verdict": journal.verdict.verdict.replace("_", " "),
        "durations": [fact for fact in journal.facts.facts if fact.unit == "minutes" and fact.sources],
    }


def _lag_of(result: SurfaceResult) -> str:
    return lag_of(result)


def _known(value: object) -> str:
    """A figure as it is, or the word for having none."""
    return "unknown" if value is None else str(value)


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f} s"


def _signed(value: float | None) -> str:
    """Seconds before (-) or after (+) the acknowledgement."""
    return "unknown" if value is None else f"{value:+.3f} s"


def _minutes(value: float | None) -> str:
    """Replay minutes, with hours when there are any."""
    if value is None:
        return "unknown"
    hours, minutes = divmod(round(value, 1), 60)
    return f"{value:.1f} min" + (f" ({hours:.0f} h {minutes:.0f} min)" if hours else "")


def _round_minutes(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _cell(value: object) -> str:
    """Text fit for a cell of a Markdown table."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
