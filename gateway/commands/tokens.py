"""`leakdrill tokens …`: the control API from a shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway import settings as settings_module
from gateway.commands import restoring
from gateway.commands.control_client import ControlClient, open_control

F = TypeVar("F", bound=Callable[..., Any])

COLUMNS = ("accessor", "principal", "cohort", "tier", "state", "created", "expires")


def reach(command: F) -> F:
    """The options that say which gateway, and how to print."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--admin-token", help="Admin bearer [LEAKDRILL_ADMIN_TOKEN, else the data directory's file]."),
        click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA]."),
        click.option("--target", help="Gateway address [http://127.0.0.1:8000]."),
    ):
        command = option(command)
    return command


def open_target(target: str | None, data: Path | None, admin_token: str | None) -> ControlClient:
    """A client of the gateway that `reach`'s options name."""
    return open_control(settings_module.load(data=data), target, admin_token)


@click.group()
def tokens() -> None:
    """Issue, list, show, revoke and restore tokens."""


@tokens.command()
@click.option("--principal", required=True, help="Whose token it is.")
@click.option("--cohort", required=True, help="The group it belongs to.")
@click.option("--scope", "scopes", multiple=True, help="videos:read, videos:write (both unless given), tokens:mint.")
@click.option("--label", "labels", multiple=True, help="Free labels.")
@click.option("--expires-in", type=click.FloatRange(min=0, min_open=True), help="Seconds until it expires.")
@click.option("--credits", type=click.IntRange(min=0), help="What its videos may cost in all; unmetered unless given.")
@click.option("--tier", help="Its limits: standard (unless given), free, partner, unlimited.")
@reach
def issue(
    principal: str,
    cohort: str,
    scopes: tuple[str, ...],
    labels: tuple[str, ...],
    expires_in: float | None,
    credits: int | None,
    tier: str | None,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
) -> None:
    """Issue a token. Its secret is shown this once."""
    body: dict[str, Any] = {"principal": principal, "cohort": cohort, "labels": list(labels)}
    if scopes:
        body["scopes"] = list(scopes)
    if expires_in is not None:
        body["expires_in"] = expires_in
    if credits is not None:
        body["credits"] = credits
    if tier is not None:
        body["tier"] = tier
    with open_target(target, data, admin_token) as control:
        issued = control.post("/control/tokens", body)
    click.echo(json.dumps(issued) if as_json else f"{issued['token']}\n{_line(issued)}")


@tokens.command("list")
@click.option("--cohort", help="Only this cohort.")
@click.option("--principal", help="Only this principal.")
@click.option("--state", help="Only this state.")
@reach
def list_tokens(
    cohort: str | None,
    principal: str | None,
    state: str | None,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
) -> None:
    """List tokens, oldest first."""
    wanted = {"cohort": cohort, "principal": principal, "state": state}
    params = {name: value for name, value in wanted.items() if value is not None}
    with open_target(target, data, admin_token) as control:
        found = control.get("/control/tokens", params)["data"]
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(_row(COLUMNS))
    for token in found:
        click.echo(_line(token))


@tokens.command()
@click.argument("accessor")
@reach
def show(accessor: str, target: str | None, data: Path | None, admin_token: str | None, as_json: bool) -> None:
    """Show one token."""
    with open_target(target, data, admin_token) as control:
        token = control.get(f"/control/tokens/{accessor}")
    _print(token, as_json)


@tokens.command()
@click.argument("accessor", required=False)
@click.option("--cohort", help="Revoke a whole cohort.")
@click.option("--principal", help="Revoke all tokens of one principal.")
@click.option("--label", help="Revoke all tokens with this label.")
@click.option("--fingerprint", help="Revoke the token whose SHA-256 this is.")
@click.option("--token-file", type=click.File(), help="Revoke the token in this file (- for standard input).")
@click.option("--all", "everyone", is_flag=True, help="Revoke every token; asks once more.")
@click.option("--queued", type=click.Choice(["cancel", "keep"]), help="Its waiting jobs: cancelled unless given.")
@click.option(
    "--running", type=click.Choice(["cancel", "finish_withhold", "finish"]), help="Its renders: cancelled unless given."
)
@click.option("--transfers", type=click.Choice(["cut", "finish"]), help="Its open downloads: cut unless given.")
@click.option("--reason", default="revoked from the shell", show_default=True, help="For the record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reach
def revoke(
    accessor: str | None,
    cohort: str | None,
    principal: str | None,
    label: str | None,
    fingerprint: str | None,
    token_file: Any,
    everyone: bool,
    queued: str | None,
    running: str | None,
    transfers: str | None,
    reason: str,
    yes: bool,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
) -> None:
    """Revoke a token by its accessor, or a whole selection, and all they minted. There is no way back."""
    chosen: dict[str, Any] = {"accessor": accessor, "cohort": cohort, "principal": principal}
    chosen |= {"label": label, "fingerprint": fingerprint}
    if token_file is not None:
        chosen["token"] = token_file.read().strip()
    if everyone:
        chosen["all"] = True
    selector = {name: value for name, value in chosen.items() if value is not None}
    if len(selector) != 1:
        raise click.UsageError(
            "name exactly one of ACCESSOR, --cohort, --principal, --label, --fingerprint, --token-file, --all"
        )
    policy = {"queued": queued, "running": running, "transfers": transfers}
    in_flight = {name: value for name, value in policy.items() if value is not None}
    with open_target(target, data, admin_token) as control:
        if everyone and not yes:
            seen = control.post("/control/revocations/preview", {"selector": selector})
            click.confirm(f"Revoke all {seen['tokens']} tokens and stop their jobs?", abort=True)
        body = {"selector": selector, "reason": reason, "in_flight": in_flight}
        if everyone:
            body["confirm"] = "all"
        done = control.post("/control/revocations", body)
    if as_json:
        click.echo(json.dumps(done))
        return
    stopped = done["jobs"]
    click.echo(
        f"{done['id']}: {done['tokens']} tokens revoked, "
        f"{stopped['queued']} queued and {stopped['running']} running jobs stopped"
    )


@tokens.command()
@click.argument("accessor", required=False)
@click.option("--cohort", help="Restore a whole cohort.")
@click.option("--principal", help="Restore all tokens of one principal.")
@click.option("--label", help="Restore all tokens with this label.")
@click.option("--all", "everyone", is_flag=True, help="Restore every token that can be.")
@click.option("--over", type=click.FloatRange(0, 86_400), help="Seconds until all are back: 30 for more than one.")
@click.option("--batch", type=click.IntRange(1, 10_000), help="Tokens that come back together.")
@click.option("--to", type=click.Choice(["active", "quarantined"]), default="active", show_default=True)
@click.option("--thaw-mint", is_flag=True, help="Lift the mint freeze too, once everything is back.")
@click.option("--reason", default="restored from the shell", show_default=True, help="For the record.")
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@reach
def restore(
    accessor: str | None,
    cohort: str | None,
    principal: str | None,
    label: str | None,
    everyone: bool,
    over: float | None,
    batch: int | None,
    to: str,
    thaw_mint: bool,
    reason: str,
    detach: bool,
    target: str | None,
    data: Path | None,
    admin_token: str | None,
    as_json: bool,
) -> None:
    """Restore a quarantined or suspended token by its accessor, or a whole selection in batches, each looked at before
    the next. A revoked one stays revoked. Exit code 1: it was halted or stopped."""
    named = {"cohort": cohort, "principal": principal, "label": label, "all": everyone or None}
    selector = {name: value for name, value in named.items() if value is not None}
    if len(selector) + (accessor is not None) != 1:
        raise click.UsageError("name exactly one of ACCESSOR, --cohort, --principal, --label, --all")
    with open_target(target, data, admin_token) as control:
        if accessor is not None:
            _print(control.patch(f"/control/tokens/{accessor}", {"state": to}), as_json)
            return
        body: dict[str, Any] = {"selector": selector, "reason": reason, "to": to, "thaw_mint": thaw_mint}
        given = {"over_seconds": over, "batch": batch, "confirm": "all" if everyone else None}
        body |= {name: value for name, value in given.items() if value is not None}
        begun = control.post("/control/restorations", body)
        ended = restoring.followed(control, begun, detach=detach, quiet=as_json)
    if as_json:
        click.echo(json.dumps(ended))
    sys.exit(0 if ended["state"] in ("done", "running") else 1)


def _print(token: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(token))
        return
    for name, value in token.items():
        shown = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else value
        click.echo(f"{name:15} {_moment(value) if name.endswith('_at') else shown}")


def _line(token: dict[str, Any]) -> str:
    return _row(
        (
            token["accessor"],
            token["principal"],
            token["cohort"],
            token["tier"],
            token["state"],
            _moment(token["created_at"]),
            _moment(token["expires_at"]),
        )
    )


def _row(values: tuple[str, ...]) -> str:
    return "  ".join(f"{value:<20}" for value in values).rstrip()


def _moment(value: float | None) -> str:
    return "-" if value is None else datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
