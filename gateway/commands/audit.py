"""`leakdrill audit …`: whether the event list is still what was written."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gateway import settings as settings_module
from gateway.errors import OperatorError
from gateway.store import chain
from gateway.store.chain import Anchor, Verdict

data_option = click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")

UNSEEN = (
    "no anchor was given: lines that were cut off at the end cannot be told from lines that never were, if the "
    "database's counter was set back as well; keep one elsewhere: leakdrill audit anchor > anchor.json"
)


@click.group()
def audit() -> None:
    """Check the event list, or anchor it."""


@audit.command()
@data_option
@click.option("--anchor", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File from `anchor`.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(data: Path | None, anchor: Path | None, as_json: bool) -> None:
    """Walk the whole event list. Exit code 0: it holds; 1: the first line that is not as it was is named."""
    kept = None if anchor is None else _read(anchor)
    found = chain.verify(settings_module.load(data=data).database, kept)
    if as_json:
        click.echo(json.dumps({**asdict(found), "anchored": kept is not None}))
    else:
        click.echo(_words(found, kept))
    sys.exit(0 if found.broken is None else 1)


@audit.command("anchor")
@data_option
def make_anchor(data: Path | None) -> None:
    """Print the newest line's number and hash, to be kept where the database's owner cannot change it."""
    click.echo(json.dumps(asdict(chain.newest(settings_module.load(data=data).database))))


def _read(path: Path) -> Anchor:
    try:
        content = json.loads(path.read_bytes())
        seq, digest = content["seq"], content["hash"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise OperatorError(f"{path} is no anchor; make one with: leakdrill audit anchor > {path}") from exc
    if type(seq) is not int or seq < 1 or not isinstance(digest, str):
        raise OperatorError(f"{path} is no anchor: it needs seq, a number from 1, and hash, a text")
    return Anchor(seq, digest)


def _words(found: Verdict, anchor: Anchor | None) -> str:
    if found.broken is not None:
        return f"broken at seq {found.broken.seq}: {found.broken.what}\n{found.events} lines before it hold"
    held = f"{found.events} lines hold, each follows from the one before; the newest is {found.newest.hash[:16]}…"
    return f"{held}\n{UNSEEN}" if anchor is None else f"{held}\nthe line anchored as seq {anchor.seq} is in its place"
