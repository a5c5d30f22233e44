"""A runbook's steps in words: what each does, how, and what counts as success. Secrets are masked."""

import json

from drills.runbook import Action, Decision, Manual, Notify, Parallel, Step, Verify, Wait
from drills.runbook_values import Values


def said(step: Step, values: Values) -> str:
    """What a step does, in words, secrets masked."""
    if isinstance(step, Decision):
        return values.fill(step.ask, masked=True)
    if isinstance(step, Notify):
        return f"{values.fill(', '.join(step.to), masked=True)}: {values.fill(step.text, masked=True)}"
    if step.text:
        return values.fill(step.text, masked=True)
    if isinstance(step, Parallel):
        return f"{', '.join(step.branches)} side by side"
    if isinstance(step, Verify):
        return f"ask {', '.join(step.surfaces) or 'all surfaces'}" + (" and bystanders" if step.bystanders else "")
    return how(step, values)


def how(step: Step, values: Values) -> str:
    """The request or the command of a step, secrets masked; empty where it has neither."""
    if not isinstance(step, Action | Notify):
        return ""
    if step.http is not None:
        place = f"{values.plain['gateway']}{step.http.path}" if step.http.path else step.http.url or ""
        body = step.http.body if step.http.body is not None else step.http.form
        shown = "" if body is None else f" {json.dumps(values.fill_all(body, masked=True))}"
        return f"{step.http.method} {values.fill(place, masked=True)}{shown}"
    if step.process is not None:
        words = " ".join(values.fill(word, masked=True) for word in step.process.argv)
        env = " ".join(f"{name}={values.fill(value, masked=True)}" for name, value in step.process.env.items())
        return f"{env} {words}".strip()
    return ""


def expected(step: Step, values: Values) -> str:
    """What counts as success, in words."""
    if isinstance(step, Verify):
        left = f" (leaves out {', '.join(step.leaves_out)})" if step.leaves_out else ""
        return f"{step.expect}: {', '.join(step.surfaces) or 'all surfaces'}{left}"
    if isinstance(step, Decision):
        return f"yes: {step.on_true}; no: {step.on_false}"
    if isinstance(step, Manual):
        return values.fill(step.expect or "done", masked=True)
    if isinstance(step, Parallel):
        return f"all arrive at {step.on_success}"
    if isinstance(step, Wait):
        return f"{step.seconds:g} s"
    contains = [f"{values.fill(step.expect.contains, masked=True)!r} in it"] if step.expect.contains else []
    if step.http is not None:
        status = " or ".join(str(one) for one in step.expect.status) or "2xx"
        body = [] if step.expect.body is None else [json.dumps(values.fill_all(step.expect.body, masked=True))]
        return ", ".join([f"status {status}", *body, *contains])
    return ", ".join([f"exit code {step.expect.exit or 0}", *contains]) if step.process else "noted"
