"""`leakdrill replicas …`: which gateways there are, how late each learns of a revocation, and what it does wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.commands.tokens import open_target, reach


@click.group()
def replicas() -> None:
    """Show the gateways that share a database; tell one to learn late, or to err on purpose."""


@replicas.command("list")
@reach
def list_replicas(target: str | None, data: Path | None, admin_token: str | None, as_json: bool) -> None:
    """List the gateways, the consistency profiles, and the defects that there are."""
    with open_target(target, data, admin_token) as control:
        found = control.get("/control/replicas")
    if as_json:
        click.echo(json.dumps(found))
        return
    for one in found["data"]:
        click.echo(_line(one))
    click.echo("profiles:")
    for one in found["profiles"]:
        bound = "" if one["seconds"] is None else f" {one['seconds']:g} s"
        click.echo(f"  {one['name'] + bound:<34} {one['description']}")
    click.echo("defects:")
    for one in found["known_defects"]:
        click.echo(f"  {one['name']:<34} {one['does']}")


@replicas.command()
@click.option("--replica", help="Which gateway [all].")
@click.option("--profile", help="A consistency profile.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="The bound of its lag.")
@click.option("--defect", "defects", multiple=True, help="A mistake to make; replaces those that were on.")
@click.option("--no-defects", is_flag=True, help="Make no mistake any more.")
@click.option(
    "--for", "for_seconds", type=click.FloatRange(min=0, min_open=True), help="Seconds [3600], then all right."
)
@reach
def tell(
    replica: str | None,
    profile: str | None,
    seconds: float | None,
    defects: tuple[str, ...],
    no_defects: bool,
    for_seconds: float | None,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
) -> None:
    """Tell a gateway how late to learn of a revocation, and which mistakes to make."""
    if defects and no_defects:
        raise click.UsageError("--defect and --no-defects say opposite things")
    if profile is None and not defects and not no_defects:
        raise click.UsageError("say what to do: --profile, --defect or --no-defects")
    wanted: dict[str, Any] = {"replica": replica, "profile": profile, "seconds": seconds, "for_seconds": for_seconds}
    body = {name: value for name, value in wanted.items() if value is not None}
    if defects or no_defects:
        body["defects"] = list(defects)
    with open_target(target, data, admin_token) as control:
        told = control.patch("/control/replicas", body)
    if as_json:
        click.echo(json.dumps(told))
        return
    for one in told["data"]:
        click.echo(_line(one))


def _line(one: dict[str, Any]) -> str:
    bound = "" if one["seconds"] is None else f" {one['seconds']:g} s"
    state = "" if one["alive"] else "  (silent)"
    wrong = f"  errs on purpose: {', '.join(one['defects'])}" if one["defects"] else ""
    return f"{one['name']}  {one['url']}  {one['consistency']}{bound}{wrong}{state}"
