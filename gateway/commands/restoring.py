"""A restoration as a shell follows it: a line for each batch, and one for the end."""

from __future__ import annotations

import time
from typing import Any

import click

from gateway.commands.control_client import ControlClient

ASK_SECONDS = 0.5


def followed(control: ControlClient, begun: dict[str, Any], *, detach: bool, quiet: bool) -> dict[str, Any]:
    """The restoration once it has ended, or with `detach` as it began; prints what happens unless `quiet`.

    Whoever breaks this off stops looking and nothing else: the gateway carries the restoration on.
    """
    present, told = begun, 0
    while True:
        for batch in present["batches"][told:]:
            if batch["verified"] is None:
                break
            told += 1
            if not quiet:
                click.echo(_words(batch, present))
        if detach or present["state"] != "running":
            break
        time.sleep(ASK_SECONDS)
        present = control.get(f"/control/restorations/{begun['id']}")
    if not quiet:
        because = f": {present['because']}" if present["because"] else ""
        counts = ", ".join(f"{number} {name}" for name, number in present["counts"].items() if number)
        click.echo(f"{present['id']} {present['state']}{because} ({counts})")
    return present


def _words(batch: dict[str, Any], present: dict[str, Any]) -> str:
    passed = batch["at"] - present["requested_at"]
    stands = "accepted" if batch["verified"] else f"{len(batch['not_verified'])} not accepted"
    lines = [f"{passed:7.1f} s  batch {batch['number']}: {batch['tokens']} tokens are back, {stands}"]
    return "\n".join([*lines, *(f"           {one['accessor']}: {one['why']}" for one in batch["not_verified"])])
