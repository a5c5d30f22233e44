"""`leakdrill profile` and `leakdrill faults …`: how the mock misbehaves, from a shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.commands.tokens import open_target, reach


@click.command()
@click.argument("name", required=False)
@click.option("--speed", type=click.FloatRange(0.001, 100_000), help="Divides every simulated time [1].")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the durations [1].")
@click.option("--for", "for_seconds", type=click.FloatRange(min=0, min_open=True), help="Seconds until it steps back.")
@reach
def profile(
    name: str | None,
    speed: float | None,
    seed: int | None,
    for_seconds: float | None,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
) -> None:
    """Show the latency profile, or put NAME in force."""
    wanted = {"speed": speed, "seed": seed, "for_seconds": for_seconds}
    given = {key: value for key, value in wanted.items() if value is not None}
    if name is None and given:
        raise click.UsageError("name the profile that --speed, --seed and --for are about")
    with open_target(target, data, admin_token) as control:
        if name is None:
            found = control.get("/control/profile")
        else:
            found = control.put("/control/profile", {"name": name, **given})
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(_in_force(found))
    for one in found["available"]:
        click.echo(f"  {one['name']:<16} {one['description']}")


@click.group()
def faults() -> None:
    """Let named failures strike: add, list, clear."""


@faults.command()
@click.argument("failure")
@click.option(
    "--surface", multiple=True, help="Where: create, retrieve, list, delete, content, remix, edit, extend, any."
)
@click.option("--rate", type=click.FloatRange(0, 1), help="Share of requests that are struck.")
@click.option("--next", "upcoming", type=click.IntRange(min=1), help="Strike so many requests, then end.")
@click.option("--accessor", help="Only this token's requests.")
@click.option("--principal", help="Only this principal's.")
@click.option("--cohort", help="Only this cohort's.")
@click.option("--for", "for_seconds", type=click.FloatRange(min=0, min_open=True), help="Seconds until it ends.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the choice.")
@click.option("--retry-after", type=int, help="Seconds that a struck caller is told to wait.")
@click.option("--delay", "delay_seconds", type=float, help="Seconds until the first byte.")
@click.option("--after-bytes", type=int, help="Bytes until a download breaks off [half].")
@click.option("--bytes-per-second", type=int, help="Pace of a slow download.")
@reach
def add(
    failure: str,
    surface: tuple[str, ...],
    upcoming: int | None,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Let FAILURE strike from now on; an unknown one is refused with the list of those that there are."""
    body = {"failure": failure, "surface": list(surface), "next": upcoming, **options}
    with open_target(target, data, admin_token) as control:
        made = control.post("/control/faults", {name: value for name, value in body.items() if value is not None})
    click.echo(json.dumps(made) if as_json else _line(made))


@faults.command("list")
@reach
def list_faults(target: str | None, data: Path | None, admin_token: str | None, as_json: bool) -> None:
    """List the rules at work, and the failures that there are."""
    with open_target(target, data, admin_token) as control:
        found = control.get("/control/faults")
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo("at work:" if found["data"] else "at work: none")
    for rule in found["data"]:
        click.echo(f"  {_line(rule)}")
    click.echo("there are:")
    for one in found["failures"]:
        click.echo(f"  {one['name']:<20} {one['does']}")


@faults.command()
@click.argument("fault", required=False)
@reach
def clear(fault: str | None, target: str | None, data: Path | None, admin_token: str | None, as_json: bool) -> None:
    """Take the rule FAULT away, or every one."""
    with open_target(target, data, admin_token) as control:
        gone = [control.delete(f"/control/faults/{fault}")] if fault else control.delete("/control/faults")["data"]
    if as_json:
        click.echo(json.dumps({"data": gone}))
        return
    for rule in gone:
        click.echo(f"taken away: {_line(rule)}")
    if not gone:
        click.echo("there was none")


def _in_force(found: dict[str, Any]) -> str:
    text = f"{found['name']} at speed {found['speed']:g}, seed {found['seed']}"
    if found["remaining_seconds"] is None:
        return text
    return f"{text}; {found['then']} again in {found['remaining_seconds']:.0f} s"


def _line(rule: dict[str, Any]) -> str:
    how = f"next {rule['remaining']}" if rule["rate"] is None else f"rate {rule['rate']:g}, seed {rule['seed']}"
    whose = " ".join(f"{name} {value}" for name, value in (rule["who"] or {}).items()) or "everybody"
    options = "".join(f", {name} {value:g}" for name, value in rule["options"].items())
    where = f"{rule['failure']}  on {', '.join(rule['surface'])}"
    return f"{rule['id']}  {where}  {whose}  {how}{options}, {rule['fired']} so far"
