"""What is read before an exercise: the players' sheet, and the facilitator's, as Markdown."""

from drills.explan import UNITS
from drills.facts import FactBook, Source
from drills.look import in_markdown
from drills.scenario import Scenario


def players_sheet(scenario: Scenario) -> str:
    """What players may know. Neither the title nor the script is in it: both say too much."""
    notes = scenario.notes
    title = notes.players.title if notes else "An exercise"
    roles = [
        f"- **{role.id}**: {in_markdown(role.text)}" for role in scenario.roles if role.kind in ("player", "observer")
    ]
    briefing = notes.players.briefing if notes else "You will be told what you see. Act as you would at work."
    return "\n".join([f"# EXERCISE: {in_markdown(title)}", "", in_markdown(briefing), "", "## Roles", "", *roles, ""])


def facilitators_sheet(scenario: Scenario, book: FactBook) -> str:
    """Everything, for the facilitator's eyes: what it is about, the script with what is expected, the facts."""
    notes = scenario.notes
    text = [f"# EXERCISE: {in_markdown(scenario.scenario.title)}", "", "For the facilitator, not for players.", ""]
    text += [in_markdown(scenario.scenario.summary), "", *([in_markdown(notes.facilitator), ""] if notes else [])]
    text += ["## Objectives", "", *(_objective(scenario, n) for n in range(len(scenario.objectives))), ""]
    text += ["## Roles", "", *(f"- {role.id} ({role.kind}): {in_markdown(role.text)}" for role in scenario.roles), ""]
    text += [
        "## Script",
        "",
        "| When | Line | To | Says | Expected | If it does not come |",
        "|---|---|---|---|---|---|",
    ]
    text += [_row(scenario, n) for n in range(len(scenario.msel))]
    if notes and notes.questions:
        text += ["", "## Questions", "", *(f"- {in_markdown(each)}" for each in notes.questions)]
    if notes and notes.pitfalls:
        text += ["", "## Pitfalls", "", *(f"- {in_markdown(each)}" for each in notes.pitfalls)]
    facts = [f"- {in_markdown(fact.text)} ({fact.status}; {', '.join(fact.sources) or 'ours'})" for fact in book.facts]
    sources = [f"- {one.id}: {in_markdown(_origin(one))}" for one in book.sources]
    text += ["", "## Facts", "", *facts, *(["", "## Sources", "", *sources] if sources else []), ""]
    return "\n".join(text)


def _objective(scenario: Scenario, number: int) -> str:
    one = scenario.objectives[number]
    limit = "" if one.at_most is None else f", at most {one.at_most:g} {UNITS[one.measured_by]}"
    return f"- {one.id}: {in_markdown(one.text)} ({in_markdown(one.capability)}; {one.measured_by}{limit})"


def _origin(source: Source) -> str:
    return f"{source.outlet}, {source.date or 'undated'}; {source.note}"


def _row(scenario: Scenario, number: int) -> str:
    line = scenario.lines()[number]
    minute = scenario.minute(line)
    when = line.when.words if line.when else scenario.time_at(minute or 0.0).strftime("%H:%M")
    within = line.expect.within_minutes
    expected = line.expect.action + (f" (within {within:g} min)" if within is not None else "")
    cells = (when, f"{line.id} ({line.inject})", ", ".join(line.to), line.text, expected, line.contingency or "")
    return "| " + " | ".join(in_markdown(cell) for cell in cells) + " |"
