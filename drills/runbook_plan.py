"""A dry run: every step that can be reached, as it would be done, with nothing done."""

from collections.abc import Iterator

from drills.runbook import DEFAULT_TIMEOUT, ENDS, Action, Decision, Parallel, Step, Wait, targets
from drills.runbook_file import RunbookFile
from drills.runbook_values import Values
from drills.runbook_words import expected, how, said


def plan(loaded: RunbookFile, values: Values) -> Iterator[str]:
    """Lines for people, the steps in the order in which a run may come to them."""
    runbook = loaded.runbook
    yield f"{runbook.name}: {runbook.description}"
    for number, name in enumerate(_in_order(loaded), 1):
        step = runbook.steps[name]
        time = step.seconds if isinstance(step, Wait) else step.timeout or DEFAULT_TIMEOUT
        kind: str = step.type
        if isinstance(step, Action):
            kind = f"action ({step.does}{', irreversible' if step.is_final else ''})"
        yield f"{number:>3}. {name}: {kind}, {step.owner or runbook.owner}, {time:g} s"
        yield f"       {said(step, values)}"
        if how(step, values):
            yield f"       {how(step, values)}"
        yield f"       expects {expected(step, values)}"
        yield f"       {_leads(step)}"


def _in_order(loaded: RunbookFile) -> list[str]:
    """Steps by their distance from the start."""
    found: dict[str, None] = {}
    left = [loaded.runbook.start]
    while left:
        found |= dict.fromkeys(left)
        after = [target for name in left for _, target in targets(loaded.runbook.steps[name])]
        left = [target for target in after if target not in ENDS and target not in found]
    return list(found)


def _leads(step: Step) -> str:
    if isinstance(step, Decision):
        return f"yes: {step.on_true}; no: {step.on_false}; no answer: {step.on_failure or 'failed'}"
    if isinstance(step, Parallel):
        return f"branches {', '.join(step.branches)}, then {step.on_success}; else {step.on_failure or 'failed'}"
    return f"then {step.on_success}" + ("" if isinstance(step, Wait) else f"; else {step.on_failure or 'failed'}")
