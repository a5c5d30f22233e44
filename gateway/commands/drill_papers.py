"""`leakdrill drill schema` and `leakdrill drill notes`: what is read before an exercise."""

from __future__ import annotations

import click

from drills.briefing import facilitators_sheet, players_sheet
from drills.facts import load_facts
from drills.scenario import load_scenario
from drills.schemas import schema_text
from gateway.commands.leaving import or_leave


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files."""
    click.echo(schema_text("scenario"))


@click.command()
@click.argument("scenario")
@click.option("--players", is_flag=True, help="What players may read; without it, the facilitator's notes.")
def notes(scenario: str, players: bool) -> None:
    """Print the notes of SCENARIO as Markdown."""
    loaded = or_leave(lambda: load_scenario(scenario))
    text = players_sheet(loaded) if players else facilitators_sheet(loaded, loaded.book(load_facts()))
    click.echo(text)
