"""The first page of a report: what somebody who has one minute needs to know, in plain words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drills.journal import Journal
from drills.metrics import Metrics, acknowledged, replay_minute
from drills.oracle import SurfaceResult, Verdict
from drills.ratings import Rating
from drills.readings import ObjectiveReading, replay_clock

HEADLINES = {"contained": "Contained", "not_contained": "Not contained", "inconclusive": "Inconclusive"}


@dataclass(frozen=True)
class Answer:
    """A question that a manager asks. `proof` names the evidence, empty where there is none."""

    question: str
    words: str
    proof: str = ""


@dataclass(frozen=True)
class FirstPage:
    """`tone` is the verdict's word, for the colour; `steps` are three things to do next."""

    tone: str
    headline: str
    sentence: str
    answers: list[Answer]
    steps: list[str]


def first_page(journal: Journal, metrics: Metrics, unrated: Sequence[str]) -> FirstPage:
    """The first page of the report of a leak. `unrated` are objectives that wait for an evaluator."""
    verdict = journal.verdict
    return FirstPage(
        tone=verdict.verdict,
        headline=HEADLINES[verdict.verdict],
        sentence=sentence(verdict),
        answers=[
            Answer("When was access cut?", _when(journal), "acknowledged"),
            Answer("How long was it open?", _how_long(metrics), "exposure"),
            Answer("What was still open afterwards?", still_open(verdict)),
            Answer("Who was hit by mistake?", _collateral(journal, metrics), "bystanders-after"),
            Answer("What cannot be recalled?", _fetched(metrics), "fetched"),
        ],
        steps=first_three([*urgent(journal), *steps_of(verdict), *_lessons(journal, metrics, unrated)]),
    )


def sentence(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    if verdict.verdict == "contained":
        return "The leaked access was cut off at every place that was tried."
    if verdict.verdict == "inconclusive":
        return f"Whether the leaked access was cut off is not known: {verdict.reasons[0]}."
    late = [one for one in verdict.offences if one.rule != "bystander_refused"]
    beside = len({one.accessor for one in verdict.offences if one.rule == "bystander_refused"})
    parts = []
    if late:
        parts.append(f"{count(len(late), 'use')} of the leaked access went through after it was said to be cut")
    if beside:
        parts.append(f"{count(beside, 'uninvolved token')} lost access without being meant")
    return ", and ".join(parts) + "."


def count(number: int, word: str) -> str:
    """A number with its word, in the plural where it should be."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def still_open(verdict: Verdict) -> str:
    """Surfaces by what became of them."""
    if not verdict.surfaces:
        return "Not known: no surface was judged."
    alive, unknown = _places(verdict, "alive"), _places(verdict, "unknown")
    cold = [one.place for one in verdict.surfaces if not one.warm and one.after != "alive"]
    parts = [f"Open: {', '.join(alive)}."] if alive else []
    doubtful = sorted({*unknown, *cold})
    parts += [f"Not known: {', '.join(doubtful)}."] if doubtful else []
    closed = len(verdict.surfaces) - len(alive) - len(doubtful)
    if not parts:
        return f"Nothing: all {closed} places that were tried refuse."
    return " ".join([*parts, f"Closed: {closed} of {len(verdict.surfaces)}."])


def _places(verdict: Verdict, state: str) -> list[str]:
    return [one.place for one in verdict.surfaces if one.after == state]


def _when(journal: Journal) -> str:
    ack = acknowledged(journal)
    if ack is None:
        return "Not known: no revocation was acknowledged."
    clock = replay_clock(journal, replay_minute(journal, ack))
    return f"At {clock} on the exercise's clock; {ack:.1f} s into the drill of {journal.started_at:%d %B %Y}."


def _how_long(metrics: Metrics) -> str:
    span = metrics.published_to_last_accepted
    if span.replay_minutes is None or span.seconds is None:
        return "Not known: one of its ends is missing."
    hours, minutes = divmod(round(span.replay_minutes), 60)
    length = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return (
        f"{length} on the exercise's clock ({span.seconds:.1f} s of the drill), until the last use that was accepted."
    )


def _collateral(journal: Journal, metrics: Metrics) -> str:
    found = metrics.collateral
    if found.denied_after is None:
        return "Not known: bystanders were not tried afterwards."
    if not found.denied_after:
        return f"Nobody: none of {found.held} uninvolved tokens was refused."
    meant = " The revocation meant everybody." if journal.scenario.containment.selector.all else ""
    return f"{found.denied_after} of {found.held} uninvolved tokens lost access.{meant}"


def _fetched(metrics: Metrics) -> str:
    if not metrics.clips_fetched:
        return "Nothing: no clip was fetched with leaked tokens."
    size = metrics.bytes_fetched
    words = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
    return f"{count(metrics.clips_fetched, 'download')} with leaked tokens ({words})."


def urgent(journal: Journal) -> list[str]:
    """What comes before everything else."""
    left = "; ".join(journal.left) or "the drill could not put everything back"
    return [f"Clean the target up by hand: {left}."] if journal.dirty else []


def steps_of(verdict: Verdict) -> list[str]:
    """What the verdict itself asks for."""
    broken = {name for one in verdict.offences for name in one.invariants}
    alive = _places(verdict, "alive")
    steps = []
    if alive:
        steps.append(f"Close what is still open, then try each again: {some(alive)}.")
    if "I2" in broken:
        steps.append("Find what lets a refused token in again: a cache, or a replica that learns late.")
    if "I4" in broken:
        steps.append("Let links, streams, child tokens, webhooks and jobs ask for their token each time they are used.")
    if "I5" in broken:
        steps.append("Give the uninvolved holders their access back, and revoke by token or label next time.")
    if verdict.verdict == "inconclusive":
        steps.append(f"Repeat the drill once this is settled: {verdict.reasons[0]}.")
    return steps


def _lessons(journal: Journal, metrics: Metrics, unrated: Sequence[str]) -> list[str]:
    steps = []
    denied = metrics.collateral.denied_after
    if denied and journal.scenario.containment.selector.all:
        steps.append(f"Revoke more narrowly than everybody: {denied} uninvolved tokens paid for this cut.")
    if metrics.clips_fetched:
        steps.append("Look for the clips that were fetched: they are out, and a revocation does not recall them.")
    if unrated:
        steps.append(f"Let an evaluator rate what no program can: {', '.join(unrated)}.")
    if len(journal.replicas) < 2:
        steps.append("Repeat the drill on several gateways, one of which learns late.")
    return [*steps, "Write an owner and a date beside each line of the improvement plan."]


def first_three(steps: Iterable[str]) -> list[str]:
    """Three at the most, each once."""
    return list(dict.fromkeys(steps))[:3]


def some(places: Sequence[str]) -> str:
    """The first six, and how many more."""
    shown = ", ".join(places[:6])
    return shown if len(places) <= 6 else f"{shown} and {len(places) - 6} more"


Rated = Sequence[tuple[ObjectiveReading, Sequence[Rating]]]


def strengths(rated: Rated, surfaces: Sequence[SurfaceResult]) -> list[tuple[str, str]]:
    """What went well by the journal or its evaluators, each with its evidence in words; people add theirs."""
    rows = [(each.objective.text, f"{each.objective.id}: {each.why}") for each, _ in rated if each.reading == "met"]
    rows += [
        (each.objective.text, f"{each.objective.id}: {one.rating} by {one.by}{_note(one)}")
        for each, given in rated
        for one in given
        if one.rating in ("P", "S")
    ]
    dead = [one.place for one in surfaces if one.warm and one.after == "dead"]
    return [*rows, *([(f"{len(dead)} places refused the token", some(dead))] if dead else [])]


def weaknesses(rated: Rated) -> list[tuple[str, str, str]]:
    """What did not, or is not known: observation, objective, evidence."""
    rows = [
        (each.objective.text, each.objective.id, f"{each.reading}: {each.why}")
        for each, _ in rated
        if each.reading in ("missed", "undecided")
    ]
    return rows + [
        (each.objective.text, each.objective.id, f"{one.rating} by {one.by}{_note(one)}")
        for each, given in rated
        for one in given
        if one.rating in ("M", "U")
    ]


def _note(rating: Rating) -> str:
    return f": {rating.note}" if rating.note else ""
