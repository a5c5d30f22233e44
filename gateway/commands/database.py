"""`leakdrill database …`: which version of the schema the database has, and how it gets this program's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gateway import settings as settings_module
from gateway.clock import SystemClock
from gateway.store.migrating import migrate as run_steps
from gateway.store.migrating import standing
from gateway.store.schema import VERSION

data_option = click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")


@click.group()
def database() -> None:
    """Show the database's version, or migrate it."""


@database.command()
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(data: Path | None, as_json: bool) -> None:
    """Exit code 0: the database is this version's, or is not made yet; 1: a migration is due; 2: it cannot be read."""
    found = standing(settings_module.load(data=data).database)
    if as_json:
        due = [{"version": step.version, "what_for": step.what_for} for step in found.due]
        click.echo(json.dumps({"database": found.where, "version": found.version, "reads": VERSION, "due": due}))
    else:
        version = f"has schema version {found.version}" if found.version else "has no tables yet"
        click.echo(f"{found.where} {version}; this leakdrill reads {VERSION}")
        for step in found.due:
            click.echo(f"due: {step.version}, {step.what_for}")
        if found.due:
            click.echo("stop every gateway and worker, then: leakdrill database migrate")
    sys.exit(1 if found.due else 0)


@database.command()
@data_option
def migrate(data: Path | None) -> None:
    """Bring the database to this version, with all that is in it. Of a SQLite file a copy is kept; a server's database
    is best dumped before."""
    place = settings_module.load(data=data).database
    done = run_steps(place, now=SystemClock().now())
    if done is None:
        click.echo(f"nothing to do: the database is this version's, {VERSION}, or is to be made yet")
        return
    click.echo(f"migrated from schema version {done.before} to {done.after}")
    if done.copy is not None:
        click.echo(f"as it was before: {done.copy}")
