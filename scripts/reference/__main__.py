"""`python -m scripts.reference` writes docs/reference/; `--check` writes nothing, and fails where that is stale."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from scripts.reference import calls, commands, errors, events, metrics, mistakes, settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
NOTE = "<!-- Made from the code by `make reference`; a change here is lost. -->\n\n"
PAGES = {
    "commands.md": commands.page,
    "settings.md": settings.page,
    "calls.md": calls.page,
    "errors.md": errors.page,
    "events.md": events.page,
    "metrics.md": metrics.page,
    "mistakes.md": mistakes.page,
}


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where a page is stale.")
def main(check: bool) -> None:
    """Write the pages of docs/reference/ from the code."""
    stale = []
    for name, page in PAGES.items():
        path, text = FOLDER / name, NOTE + page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if stale and check:
        click.echo(f"docs/reference/ is not what the code says: {', '.join(stale)}; run: make reference", err=True)
        sys.exit(1)


main()
