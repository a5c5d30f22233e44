"""Reports of a watch: pure functions of its journal and of the ratings beside it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drills.firstpage import HEADLINES, Answer, FirstPage, first_three, sentence, steps_of, still_open
from drills.history import Exchange
from drills.journal import parse_journal, read_journal
from drills.junit import Case, junit
from drills.look import html_environment, in_csv, markdown_environment
from drills.matrix import lag_of
from drills.oracle import VerdictWord
from drills.proofs import Proof, edges, named_requests, proof, surface_id
from drills.ratings import Ratings, load_ratings
from drills.readings import ObjectiveReading, Reading
from drills.report import MOST_OFFENCES, after_words, write_all
from drills.scenario import Objective
from drills.watch.journal import WatchJournal

CONTAINED = Objective(
    id="contained",
    text="Every watched token is refused wherever it was accepted, from the acknowledgement and the bound on.",
    capability="containment",
    measured_by="containment",
)
SPARED = Objective(
    id="bystanders",
    text="Tokens that were not meant go on being accepted.",
    capability="collateral",
    measured_by="bystanders",
)
HANDLED = Objective(
    id="handling",
    text="The team knew what to do, in which order, and who tells whom.",
    capability="response",
    measured_by="evaluator",
)
OBJECTIVES = (CONTAINED, SPARED, HANDLED)


@dataclass(frozen=True)
class Line:
    """One line of what happened; seconds since the start of the watch."""

    second: float
    kind: str
    words: str


def load_watch(path: Path) -> WatchJournal:
    """Read the journal of a watch. Raises JournalError."""
    return parse_journal(read_journal(path), WatchJournal, path)


def render_watch(journal_path: Path, out: Path) -> dict[str, Path]:
    """Write the four reports into `out`; their paths by file name. Raises JournalError."""
    journal, ratings = load_watch(journal_path), load_ratings(journal_path)
    view = _view(journal, ratings)
    return write_all(
        out,
        {
            "report.html": html_environment().get_template("watch.html.j2").render(view),
            "report.md": markdown_environment().get_template("watch.md.j2").render(view),
            "junit.xml": junit("watch", _cases(journal), journal.started_at, journal.ended),
            "timeline.csv": _csv(journal),
        },
    )


def readings(journal: WatchJournal) -> list[ObjectiveReading]:
    """What the journal says of each objective."""
    verdict, found = journal.verdict, collateral(journal)
    words: dict[VerdictWord, Reading] = {"contained": "met", "not_contained": "missed", "inconclusive": "undecided"}
    late = any(one.rule != "bystander_refused" for one in verdict.offences)
    cut = words[verdict.verdict] if late or verdict.verdict != "not_contained" else "met"
    spared: Reading = "undecided" if not found.after else ("missed" if found.refused else "met")
    why = f"{found.refused} of {found.held} bystanders' tokens refused after it; {len(found.after)} requests"
    return [
        ObjectiveReading(CONTAINED, cut, "; ".join(verdict.reasons)),
        ObjectiveReading(SPARED, spared, why),
        ObjectiveReading(HANDLED, "for the evaluator", "rated by a person"),
    ]


@dataclass(frozen=True)
class Beside:
    """What became of bystanders: their requests after the revocation, and how many tokens were refused."""

    held: int
    after: list[Exchange]
    refused: int


def collateral(journal: WatchJournal) -> Beside:
    """Bystanders after the acknowledgement."""
    held = sum(one.bystander for one in journal.tokens)
    when = journal.moment.latest if journal.moment else float("inf")
    after = [each for each in journal.exchanges if each.actor == "bystander" and each.start >= when]
    return Beside(held, after, len({each.accessor for each in after if each.outcome == "refused"}))


def _watched(journal: WatchJournal) -> list[Exchange]:
    return [each for each in journal.exchanges if each.actor == "probe"]


def _last_accepted(journal: WatchJournal) -> Exchange | None:
    found = [each for each in _watched(journal) if each.outcome == "accepted"]
    return max(found, key=lambda each: (each.start, each.n), default=None)


def _first_refused(journal: WatchJournal) -> Exchange | None:
    found = [each for each in _watched(journal) if each.outcome == "refused"]
    return min(found, key=lambda each: (each.start, each.n), default=None)


def _page(journal: WatchJournal, unrated: Sequence[str]) -> FirstPage:
    verdict, moment, found = journal.verdict, journal.moment, collateral(journal)
    last = _last_accepted(journal)
    when = "Not known: nobody told, and nothing was refused."
    if moment:
        when = f"By second {moment.latest:.1f} of the watch of {journal.started_at:%d %B %Y} ({moment.words})."
    open_for = "Not known."
    if moment and last:
        lag = max(0.0, last.start - moment.latest)
        open_for = (
            f"The last use that was accepted began {lag:.2f} s after it." if lag else "No use was accepted after it."
        )
    hit = f"{found.refused} of {found.held} bystanders' tokens were refused." if found.after else "Not known."
    if found.after and not found.refused:
        hit = f"Nobody: none of {found.held} bystanders' tokens was refused."
    steps = [*steps_of(verdict)]
    steps += ["Give the watch a bystander's token, so that an outage is told apart."] if not found.held else []
    if moment and moment.how in ("inferred", "given"):
        steps.append("Let the watch start the revoke command, so that its end is known to the millisecond.")
    steps += [f"Let an evaluator rate what no program can: {', '.join(unrated)}."] if unrated else []
    steps.append("Watch longer than the longest cache in play, and through a restart.")
    steps.append("Write an owner and a date beside each line of the improvement plan.")
    return FirstPage(
        tone=verdict.verdict,
        headline=HEADLINES[verdict.verdict],
        sentence=sentence(verdict),
        answers=[
            Answer("When was access cut?", when, "moment"),
            Answer("How long did it live on?", open_for, "last-accepted"),
            Answer("What was still open afterwards?", still_open(verdict)),
            Answer("Who was hit by mistake?", hit, "bystanders-after"),
        ],
        steps=first_three(steps),
    )


def _proofs(journal: WatchJournal) -> list[Proof]:
    moment, watched, found = journal.moment, _watched(journal), collateral(journal)
    last, first = _last_accepted(journal), _first_refused(journal)
    words = f"between second {moment.earliest:.3f} and {moment.latest:.3f}: {moment.words}" if moment else "unknown"
    inferred = [first] if first and moment and moment.how == "inferred" else []
    rows = [
        proof("moment", "Moment of the acknowledgement", inferred, words),
        proof("last-accepted", "Last accepted use", [last] if last else []),
        proof("first-refused", "First refused use", [first] if first else []),
        proof("bystanders-after", "Bystanders tried after", found.after, f"{found.refused} tokens refused"),
    ]
    for outcome in ("accepted", "refused", "limited", "unclear", "fault"):
        mine = [each for each in watched if each.outcome == outcome]
        rows.append(proof(f"all-{outcome}", f"Watched requests: {outcome}", mine))
    for one in journal.verdict.surfaces:
        mine = [each for each in watched if each.surface == one.surface]
        points = edges(mine, moment.sent, moment.latest) if moment else []
        rows.append(proof(surface_id(one), f"Surface {one.place}", points))
    return rows


def _lines(journal: WatchJournal) -> list[Line]:
    moment, command, last, first = journal.moment, journal.command, _last_accepted(journal), _first_refused(journal)
    lines = [Line(0.0, "watch", f"watch of {journal.target} begins")]
    if command:
        ended = "did not end" if command.exit_code is None else f"ended with exit code {command.exit_code}"
        lines.append(Line(command.start, "command", f"{command.program} starts"))
        lines.append(Line(command.end, "command", f"{command.program} {ended}"))
    if moment:
        lines.append(Line(moment.latest, "revocation", f"acknowledged by now ({moment.how}): {moment.words}"))
    if first:
        lines.append(Line(first.start, "use", f"first refused use: {first.surface}, request {first.n}"))
    if last:
        lines.append(Line(last.start, "use", f"last accepted use: {last.surface}, request {last.n}"))
    lines.append(Line(journal.ended, "watch", f"watch ends: {journal.status}"))
    return sorted(lines, key=lambda line: line.second)


def _view(journal: WatchJournal, ratings: Ratings | None) -> dict[str, Any]:
    rated = [(each, ratings.of(each.objective.id) if ratings else []) for each in readings(journal)]
    unrated = [each.objective.id for each, given in rated if each.reading == "for the evaluator" and not given]
    page, proofs = _page(journal, unrated), _proofs(journal)
    offences = journal.verdict.offences[:MOST_OFFENCES]
    counts = {each.id.removeprefix("all-"): each.of for each in proofs if each.id.startswith("all-")}
    return {
        "journal": journal,
        "page": page,
        "rated": rated,
        "lines": _lines(journal),
        "counts": counts,
        "offences": offences,
        "proofs": proofs,
        "requests": named_requests(journal.exchanges, proofs, [one.request for one in offences if one.request]),
        **after_words(rated, journal.verdict.surfaces, page.steps),
    }


def _csv(journal: WatchJournal) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("real_seconds", "kind", "text"))
    writer.writerows((f"{line.second:.6f}", line.kind, in_csv(line.words)) for line in _lines(journal))
    return stream.getvalue()


def _cases(journal: WatchJournal) -> list[Case]:
    failed = journal.status == "failed"
    cases = [Case("watch", journal.status, "error" if failed else "passed", journal.error or "")]
    states = {"met": "passed", "missed": "failure", "undecided": "error", "for the evaluator": "skipped"}
    cases += [Case("objectives", each.objective.id, states[each.reading], each.why) for each in readings(journal)]
    after = {"dead": "passed", "alive": "failure", "unknown": "error"}
    for one in journal.verdict.surfaces:
        state = "error" if after[one.after] == "passed" and not one.warm else after[one.after]
        cases.append(Case("surfaces", one.place, state, f"after the revocation: {one.after}, lag {lag_of(one)}"))
    return cases
