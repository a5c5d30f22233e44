"""What deployments are checked against: the image, the settings that there are, and the commands of the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from gateway.cli import program
from gateway.settings import Settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# What the image sets for every part.
IMAGE = dict(re.findall(r"^(?:ENV|   ) ?(LEAKDRILL_\w+)=(\S+)", DOCKERFILE, re.MULTILINE))


def variables() -> set[str]:
    """Every `LEAKDRILL_…` that a part reads: the gateway's settings, and the page's as its page lists them."""
    page = re.findall(r"^\| `(LEAKDRILL_\w+)` \|", (ROOT / "docs" / "page.md").read_text(), re.MULTILINE)
    return {f"LEAKDRILL_{name.upper()}" for name in Settings.model_fields} | set(page)


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of a call, by name; fails with a usage error where the program would."""
    command: click.Command = program
    name, rest = "leakdrill", list(words)
    context = click.Context(program)
    while isinstance(command, click.Group):
        name, *rest = rest
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"there is no command {name}")
        command = found
    return dict(command.make_context(name, rest).params)
