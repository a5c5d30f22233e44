"""`leakdrill clients`: who behaves, and what the others should change."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway import settings as settings_module
from gateway.commands.control_client import open_control


@click.command()
@click.argument("accessor", required=False)
@click.option("--cohort", help="Only this cohort.")
@click.option("--target", help="Gateway address [http://127.0.0.1:8000].")
@click.option("--admin-token", help="Admin bearer [LEAKDRILL_ADMIN_TOKEN, else the data directory's file].")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def clients(
    accessor: str | None,
    cohort: str | None,
    target: str | None,
    admin_token: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show how the client of each token behaves, or, with ACCESSOR, of one token in detail."""
    with open_control(settings_module.load(data=data), target, admin_token) as control:
        if accessor is not None:
            found = control.get(f"/control/clients/{accessor}")
        else:
            found = control.get("/control/clients", {"cohort": cohort} if cohort is not None else None)["data"]
    if as_json:
        click.echo(json.dumps(found))
    elif accessor is not None:
        click.echo(_details(found))
    else:
        click.echo(_table(found))


def _table(found: list[dict[str, Any]]) -> str:
    rows = [("accessor", "principal", "cohort", "state", "verdict", "findings")]
    for client in found:
        seen = ", ".join(f"{one['finding']} {one['count']}" for one in client["findings"]) or "-"
        rows.append(
            (client["accessor"], client["principal"], client["cohort"], client["state"], client["verdict"], seen)
        )
    return "\n".join("  ".join(f"{value:<20}" for value in row).rstrip() for row in rows)


def _details(client: dict[str, Any]) -> str:
    lines = [f"{client['accessor']}  {client['principal']}, {client['cohort']}, {client['state']}: {client['verdict']}"]
    for one in client["findings"]:
        lines += [
            f"{one['finding']}  {one['count']} times, {_moment(one['first_at'])} to {_moment(one['last_at'])}",
            f"  {one['example']['route']}: {one['example']['told']}",
            f"  {one['advice']}",
        ]
    return "\n".join(lines)


def _moment(value: float) -> str:
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
