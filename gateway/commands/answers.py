"""Who answers a runbook's decisions and manual steps: what the command line says, else a person at the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable

import click

from drills.runbook import Decision, Manual, Runbook
from drills.runbook_run import Question, Reply

WORDS = {"yes": True, "y": True, "true": True, "done": True, "no": False, "n": False, "false": False, "failed": False}


class Answers:
    """`given` are `step=yes` and the like; `every` answers all others with yes; `by` is who answers, the step's owner
    unless said."""

    def __init__(self, given: Iterable[str], *, every: bool, by: str | None) -> None:
        self._given = dict(_pair(text) for text in given)
        self._every = every
        self._by = by

    def check(self, runbook: Runbook) -> None:
        """Raises UsageError where an answer fits no step, or a step will be asked and nobody is there."""
        asked = [name for name, step in runbook.steps.items() if isinstance(step, Decision | Manual)]
        strange = [name for name in self._given if name not in asked]
        if strange:
            have = ", ".join(asked) or "no such step"
            raise click.UsageError(f"--answer {strange[0]}: no decision or manual step; the runbook has {have}")
        missing = [] if self._every else [name for name in asked if name not in self._given]
        if missing and not sys.stdin.isatty():
            options = " ".join(f"--answer {name}=yes" for name in missing)
            raise click.UsageError(f"nobody is at a terminal to answer; give {options}, or --yes")

    async def __call__(self, question: Question) -> Reply:
        """The answer, and who gave it."""
        by = self._by or question.owner
        if question.step in self._given or self._every:
            return Reply(self._given.get(question.step, True), by)
        ending = "yes or no?" if question.kind == "decision" else "done? (yes or no)"
        while True:
            click.echo(f"\n{question.owner}: {question.text}\n{question.step}: {ending} ", nl=False)
            line = await _line()
            word = line.strip().lower()
            if word in WORDS:
                return Reply(WORDS[word], by)
            if not line:
                return Reply(False, "nobody: the input has ended")


def _pair(text: str) -> tuple[str, bool]:
    name, _, word = text.partition("=")
    if word.lower() not in WORDS:
        raise click.UsageError(f"--answer {text}: write STEP=yes or STEP=no")
    return name, WORDS[word.lower()]


async def _line() -> str:
    """A line from the terminal, waited for so that a time limit and Ctrl-C end the waiting."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(sys.stdin, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline()
