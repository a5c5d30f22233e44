"""Readings of a journal that the reports share: the timeline, and how each objective came out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from drills.history import Exchange
from drills.journal import Journal
from drills.matrix import lag_of
from drills.metrics import Metrics, acknowledged, replay_minute
from drills.scenario import MselLine, Objective

Reading = Literal["met", "missed", "undecided", "for the evaluator"]


@dataclass(frozen=True)
class TimelineRow:
    """One line of what happened. `status` and `sources` are of the MSEL line's time and facts; ours have none.

    `second` is real seconds since the drill's start, `minute` replay minutes; both None when it did not happen.
    `scripted` is the replay clock time the scenario gives it.
    """

    second: float | None
    minute: float | None
    clock: str
    scripted: str
    kind: str
    id: str
    text: str
    status: str
    sources: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    expect: str = ""
    objective: str = ""


@dataclass(frozen=True)
class ObjectiveReading:
    """An objective with what the journal says about it. The rating P, S, M or U is a person's to give."""

    objective: Objective
    reading: Reading
    why: str


def timeline(journal: Journal) -> list[TimelineRow]:
    """Every MSEL line, action and turning point in order of time; what did not happen comes last."""
    return in_order([*_msel_rows(journal), *_action_rows(journal), *_runbook_rows(journal), *_turning_points(journal)])


def in_order(rows: list[TimelineRow]) -> list[TimelineRow]:
    """Rows by their second; those that have none come last."""
    return sorted(rows, key=lambda row: (row.second is None, row.second or 0.0))


def surface_rows(journal: Journal) -> list[TimelineRow]:
    """When each surface of each replica was last accepted after the acknowledgement, or else first refused."""
    ack = acknowledged(journal)
    if ack is None:
        return []
    rows = []
    for each in journal.verdict.surfaces:
        lives = each.after == "alive" and each.lag is not None
        second = each.lag if lives else each.first_refused
        if second is not None:
            text = f"last accepted use, revocation lag {lag_of(each)}" if lives else f"first refused use, {each.after}"
            rows.append(own_row(journal, round(ack + second, 6), "surface", each.place, text))
    return rows


def objective_readings(journal: Journal, metrics: Metrics) -> list[ObjectiveReading]:
    """One reading per objective, in the scenario's order."""
    return [_read(objective, journal, metrics) for objective in journal.scenario.objectives]


def replay_clock(journal: Journal, minute: float | None) -> str:
    """HH:MM:SS on the replay clock; empty while it does not run."""
    return "" if minute is None or minute < 0 else journal.scenario.time_at(minute).strftime("%H:%M:%S")


def sources_of(journal: Journal, fact_ids: list[str]) -> tuple[str, ...]:
    """The sources behind some facts, once each, sorted."""
    wanted = set(fact_ids)
    return tuple(sorted({source for fact in journal.facts.facts if fact.id in wanted for source in fact.sources}))


def _msel_rows(journal: Journal) -> list[TimelineRow]:
    rows = []
    fired = {played.line: played.fired for played in journal.msel}
    for line in journal.scenario.lines():
        second = fired.get(line.id)
        minute = replay_minute(journal, second) if second is not None else None
        within = line.expect.within_minutes
        rows.append(
            TimelineRow(
                second=second,
                minute=minute,
                clock=replay_clock(journal, minute),
                scripted=_scripted(journal, line),
                kind=line.inject,
                id=line.id,
                text=line.text,
                status=line.time_status,
                sources=sources_of(journal, line.facts),
                to=tuple(line.to),
                expect=line.expect.action + (f" (within {within:g} min)" if within is not None else ""),
                objective=line.objective,
            )
        )
    return rows


def _scripted(journal: Journal, line: MselLine) -> str:
    """When the line was to be played: a time, or a condition."""
    minute = journal.scenario.minute(line)
    if minute is None:
        return line.when.words if line.when else ""
    return journal.scenario.time_at(minute).strftime("%H:%M")


def _action_rows(journal: Journal) -> list[TimelineRow]:
    return [
        own_row(journal, action.at, "action", action.name, action.detail if action.ok else f"failed: {action.detail}")
        for action in journal.actions
    ]


def _runbook_rows(journal: Journal) -> list[TimelineRow]:
    """A runbook's steps, at the seconds at which they began."""
    rows = []
    for step in journal.runbook.steps if journal.runbook else []:
        text = f"{step.text}: {step.got}, {step.took:.3f} s, by {step.by or step.owner}"
        rows.append(own_row(journal, step.started, "runbook", step.step, text))
    return rows


def _turning_points(journal: Journal) -> list[TimelineRow]:
    """Ends of the measured spans: revoke call, acknowledgement, last accepted and first refused use."""
    leaked = {token.accessor for token in journal.tokens if token.leaked}
    uses = [each for each in journal.exchanges if each.accessor in leaked]
    rows = []
    ack = acknowledged(journal)
    if journal.revoke:
        rows.append(own_row(journal, journal.revoke.start, "revocation", "revoke_sent", "revoke call sent"))
    if ack is not None and journal.revoke:
        text = f"revoke call acknowledged: {_count(journal.revoke.tokens)} tokens"
        rows.append(own_row(journal, ack, "revocation", "revoke_acknowledged", text))
        refused = [each for each in uses if each.outcome == "refused" and each.start >= ack]
        if refused:
            first = min(refused, key=lambda each: each.start)
            text = f"first refused use after it: {_place(first)} by {first.who}"
            rows.append(own_row(journal, first.start, "use", "first_refused", text))
    accepted = [each for each in uses if each.outcome == "accepted"]
    if accepted:
        last = max(accepted, key=lambda each: each.start)
        text = f"last accepted use: {_place(last)} by {last.who}"
        rows.append(own_row(journal, last.start, "use", "last_accepted", text))
    return rows


def _place(each: Exchange) -> str:
    return f"{each.surface}@{each.replica}" if each.replica else each.surface


def own_row(journal: Journal, second: float, kind: str, id: str, text: str) -> TimelineRow:
    """A line of the drill's own, at a second of the drill."""
    minute = replay_minute(journal, second)
    clock = replay_clock(journal, minute)
    return TimelineRow(second, minute, clock, scripted="", kind=kind, id=id, text=text, status="measured")


def _count(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _read(objective: Objective, journal: Journal, metrics: Metrics) -> ObjectiveReading:
    if objective.measured_by == "containment":
        verdict = journal.verdict
        readings: dict[str, Reading] = {"contained": "met", "not_contained": "missed", "inconclusive": "undecided"}
        return ObjectiveReading(objective, readings[verdict.verdict], "; ".join(verdict.reasons))
    if objective.measured_by not in _FIGURES:
        return ObjectiveReading(objective, "for the evaluator", "rated by a person")
    figure, limit = _FIGURES[objective.measured_by](journal, metrics), objective.at_most
    why = figure.why if limit is None else f"{figure.why}; {limit:g} at most"
    if figure.least is not None and limit is not None and figure.least > limit:
        return ObjectiveReading(objective, "missed", why)
    return ObjectiveReading(objective, "met" if figure.whole else "undecided", why)


@dataclass(frozen=True)
class _Figure:
    """What was measured for an objective: at `least` so much, and no more where the measurement is `whole`."""

    least: float | None
    whole: bool
    why: str


def _bystanders(_journal: Journal, metrics: Metrics) -> _Figure:
    collateral = metrics.collateral
    if collateral.denied_after is None or not collateral.accepted_before:
        return _Figure(None, False, "bystanders were not measured on both sides of the cut")
    denied = f"{collateral.denied_after} of {collateral.held} bystander tokens denied"
    return _Figure(collateral.denied_after, True, f"{denied}; {collateral.accepted_before} accepted before")


def _exposure(_journal: Journal, metrics: Metrics) -> _Figure:
    minutes = metrics.published_to_last_accepted.replay_minutes
    if minutes is None or metrics.call_to_acknowledged is None:
        return _Figure(None, False, "one of its ends is unknown")
    return _Figure(minutes, True, f"{minutes:.1f} replay minutes, published to last accepted use")


def _lag(journal: Journal, metrics: Metrics) -> _Figure:
    lag, open_ones = metrics.greatest_lag, [each.place for each in journal.verdict.surfaces if each.after != "dead"]
    if lag is None:
        return _Figure(None, False, "no surface was measured")
    why = f"{lag:.3f} s, acknowledgement to the last accepted use of any surface"
    return _Figure(lag, not open_ones, f"{why}; not shown to be dead: {', '.join(open_ones)}" if open_ones else why)


def _notice_to_dead(journal: Journal, _metrics: Metrics) -> _Figure:
    call, surfaces = journal.revoke, journal.verdict.surfaces
    refused = [each.first_refused for each in surfaces if each.first_refused is not None]
    if call is None or call.outcome != "acknowledged" or not refused:
        return _Figure(None, False, "no notice was taken, or no surface refused after it")
    # `first_refused` counts from the acknowledgement.
    seconds = call.end - call.start + max(refused)
    whole = all(each.after == "dead" for each in surfaces)
    why = f"{seconds:.3f} s, notice posted to every surface refusing"
    return _Figure(seconds, whole, why if whole else f"{why}; some were not shown to be dead")


def _clients(journal: Journal, _metrics: Metrics) -> _Figure:
    seen = journal.sunset
    if seen is None:
        return _Figure(None, False, "the end was not reached")
    gone_on = len(seen.went_on)
    return _Figure(gone_on, True, f"{gone_on} of {len(seen.clients)} clients went on calling after the end")


_FIGURES: dict[str, Callable[[Journal, Metrics], _Figure]] = {
    "bystanders": _bystanders,
    "exposure_window": _exposure,
    "lag": _lag,
    "notice_to_dead": _notice_to_dead,
    "clients": _clients,
}
