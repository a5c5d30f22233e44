"""`leakdrill doctor`: what is there, what is missing, and the command that helps."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gateway import __version__
from gateway import settings as settings_module
from gateway.commands.checks import Finding, findings

# How a finding is marked, and in which colour where the terminal has colours.
SIGNS = {"good": ("ok", "green"), "note": ("-", "yellow"), "missing": ("MISSING", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the gateway [8000].")
@click.option("--page-port", type=click.IntRange(1, 65535), help="Port of the page [7860].")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
def doctor(as_json: bool, port: int | None, page_port: int | None, data: Path | None) -> None:
    """Look whether this machine has what leakdrill needs. Exit code 0: it has; 1: something is missing.

    Nothing is created, installed or changed. What is marked with a dash is wanted by some commands only.
    """
    settings = settings_module.load(data=data, port=port, page_port=page_port)
    found: list[Finding] = []
    for one in findings(settings):
        found.append(one)
        if not as_json:
            click.echo(_line(one))
    good = all(one.standing != "missing" for one in found)
    if as_json:
        click.echo(json.dumps({"ok": good, "version": __version__, "findings": [asdict(one) for one in found]}))
    else:
        missing = [one.name for one in found if one.standing == "missing"]
        click.echo("leakdrill can start here." if good else f"missing: {', '.join(missing)}")
    sys.exit(0 if good else 1)


def _line(one: Finding) -> str:
    sign, colour = SIGNS[one.standing]
    line = f"{click.style(f'{sign:<8}', fg=colour)}{one.name:<18}{one.found}"
    return f"{line}\n{'':<26}{one.todo}" if one.todo else line
