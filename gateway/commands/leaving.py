"""How a command of the drills' ends where a drill cannot go on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import click

from drills.errors import DrillError

T = TypeVar("T")


def or_leave(action: Callable[[], T]) -> T:
    """The action's result; a DrillError becomes one line and its exit code."""
    try:
        return action()
    except DrillError as exc:
        click.echo(f"leakdrill: {exc}", err=True)
        sys.exit(exc.exit_code)
