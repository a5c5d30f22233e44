"""`leakdrill drill rate`: an evaluator's word on an objective."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click

from drills.ratings import WORDS, Letter, add_rating
from drills.rendering import objectives_of, render
from gateway.commands.leaving import or_leave


@click.command()
@click.argument("journal", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--objective", required=True, help="Its id, as the report has it.")
@click.option("--rating", required=True, type=click.Choice(get_args(Letter)), help="P, S, M or U.")
@click.option("--by", required=True, help="Who rates.")
@click.option("--note", default="", help="Why.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for the reports [the journal's].")
def rate(journal: Path, objective: str, rating: Letter, by: str, note: str, out: Path | None) -> None:
    """Rate an objective of JOURNAL, and write its reports again.

    The rating goes into ratings.json beside the journal, which stays as it was. Whoever rates again changes their mind.
    """

    def work() -> dict[str, Path]:
        now = datetime.now(UTC)
        add_rating(journal, objectives_of(journal), objective=objective, rating=rating, by=by, note=note, at=now)
        return render(journal, out or journal.parent)

    paths = or_leave(work)
    click.echo(f"{objective}: {rating}, {WORDS[rating]}, by {by}")
    for path in paths.values():
        click.echo(path)
