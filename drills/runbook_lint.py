"""What a runbook that can be walked still lacks. Pure functions of the document.

Errors: revoke-unverified, irreversible-undecided, unreachable, no-owner, no-timeout, branches-apart, failure-ignored.
Warnings: verify-partial, bystanders-unseen, revoke-reversible. docs/runbook.md says what each means.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from drills.runbook import ENDS, Action, Decision, Manual, Parallel, Step, Verify, Wait, ways
from drills.runbook_file import RunbookFile
from drills.topology import DERIVED, Surface

# A verify step can ask these; the others are only heard of, and left to the drill.
ASKED: tuple[str, ...] = tuple(
    one for one in get_args(Surface) if one not in {"queued_job", "running_job", "webhook", "new_token"}
)


@dataclass(frozen=True)
class Finding:
    """One thing to do. `place` is file:line."""

    place: str
    rule: str
    level: Literal["error", "warning"]
    message: str

    def __str__(self) -> str:
        level = "" if self.level == "error" else "warning: "
        return f"{self.place}: {level}{self.rule}: {self.message}"


Steps = Mapping[str, Step]
Stops = Callable[[str], bool]


def lint(loaded: RunbookFile) -> list[Finding]:
    """Every finding, in the order of the file's lines."""
    rules = (
        _unreachable, _without_owner_or_time, _unverified, _undecided, _apart, _ignored, _partial, _unseen, _reversible
    )  # fmt: skip
    found = [finding for rule in rules for finding in rule(loaded)]
    return sorted(found, key=lambda one: (int(one.place.rpartition(":")[2]), one.rule))


def reached(steps: Steps, start: Sequence[str], stops: Stops = lambda _: False) -> set[str]:
    """Every step and end that can come after `start`, itself included, without going on where it stops."""
    seen: set[str] = set()
    left = list(start)
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in ENDS and not stops(name):
            left += [target for _, target in ways(steps[name])]
    return seen


def _unreachable(loaded: RunbookFile) -> Iterator[Finding]:
    steps = loaded.runbook.steps
    seen = reached(steps, [loaded.runbook.start])
    for name in steps:
        if name not in seen:
            words = f"no way leads from {loaded.runbook.start} to step {name}; lead a step to it, or take it out"
            yield Finding(loaded.at(name), "unreachable", "error", words)


def _without_owner_or_time(loaded: RunbookFile) -> Iterator[Finding]:
    for name, step in loaded.runbook.steps.items():
        if step.owner is None:
            words = f"step {name} has no owner; say who answers for it"
            yield Finding(loaded.at(name), "no-owner", "error", words)
        if step.timeout is None and not isinstance(step, Wait):
            words = f'step {name} has no timeout; say how long it may take, as in "30s"'
            yield Finding(loaded.at(name), "no-timeout", "error", words)


def _unverified(loaded: RunbookFile) -> Iterator[Finding]:
    steps = loaded.runbook.steps
    for name, step in steps.items():
        if isinstance(step, Action) and step.cuts:
            after = reached(steps, [step.on_success], lambda each: _looks(steps[each]))
            if "done" in after:
                words = f"step {name} ({step.does}) can end as done without a verify; put a verify step after it"
                yield Finding(loaded.at(name, "on_success"), "revoke-unverified", "error", words)


def _looks(step: Step) -> bool:
    return isinstance(step, Verify) and step.expect == "refused"


def _undecided(loaded: RunbookFile) -> Iterator[Finding]:
    steps = loaded.runbook.steps
    free = reached(steps, [loaded.runbook.start], lambda each: isinstance(steps[each], Decision | Manual))
    for name, step in steps.items():
        if isinstance(step, Action) and step.is_final and name in free:
            words = (
                f"step {name} ({step.does}) cannot be taken back, and a way leads to it on which nobody decides; "
                "put a decision or a manual step before it"
            )
            yield Finding(loaded.at(name), "irreversible-undecided", "error", words)


def _apart(loaded: RunbookFile) -> Iterator[Finding]:
    """Branches that end elsewhere than at their join, or run into each other before it."""
    steps = loaded.runbook.steps
    for name, step in steps.items():
        if not isinstance(step, Parallel):
            continue
        taken: dict[str, str] = {}
        for branch in step.branches:
            own = reached(steps, [branch], lambda each, ends=(step.on_success, name): each in ends)  # type: ignore[misc]
            shared = sorted((own & taken.keys()) - {step.on_success, *ENDS})
            if step.on_success not in own or (step.on_success != "done" and "done" in own) or name in own:
                words = f"branch {branch} of {name} does not always arrive at {step.on_success}; lead it there"
                yield Finding(loaded.at(name, "branches"), "branches-apart", "error", words)
            elif shared:
                words = f"branches {taken[shared[0]]} and {branch} of {name} both come to {shared[0]}; join them there"
                yield Finding(loaded.at(name, "branches"), "branches-apart", "error", words)
            taken |= dict.fromkeys(own, branch)


def _ignored(loaded: RunbookFile) -> Iterator[Finding]:
    for name, step in loaded.runbook.steps.items():
        if isinstance(step, Verify) and step.on_failure in ("done", step.on_success):
            words = f"a failed {name} goes on like a good one; lead on_failure to what is done about it"
            yield Finding(loaded.at(name, "on_failure"), "failure-ignored", "error", words)


def _partial(loaded: RunbookFile) -> Iterator[Finding]:
    for name, step in loaded.runbook.steps.items():
        if isinstance(step, Verify) and step.expect == "refused" and step.surfaces:
            missing = [one for one in ASKED if one not in {*step.surfaces, *step.leaves_out}]
            if missing:
                derived = [one for one in missing if one in DERIVED]
                hint = f"; what derives from the token may outlive it: {', '.join(derived)}" if derived else ""
                words = f"step {name} does not ask {', '.join(missing)}{hint}; ask all, or name them in leaves_out"
                yield Finding(loaded.at(name, "surfaces"), "verify-partial", "warning", words)


def _unseen(loaded: RunbookFile) -> Iterator[Finding]:
    steps = loaded.runbook.steps
    looks = [name for name, step in steps.items() if _looks(step)]
    if looks and not any(step.bystanders for step in steps.values() if isinstance(step, Verify)):
        words = f"no verify asks whether bystanders are still served; give {looks[-1]} bystanders: true"
        yield Finding(loaded.at(looks[-1]), "bystanders-unseen", "warning", words)


def _reversible(loaded: RunbookFile) -> Iterator[Finding]:
    for name, step in loaded.runbook.steps.items():
        if isinstance(step, Action) and step.does == "revoke" and step.irreversible is False:
            words = f"step {name} says that it can be taken back, but a revoked token stays revoked; leave that out"
            yield Finding(loaded.at(name, "irreversible"), "revoke-reversible", "warning", words)
