"""`leakdrill backup DIR`: database, clips and keys into a directory that can be started from, while everything runs.

The database comes first: a clip that it names and that was taken away meanwhile had expired or was deleted, and a clip
that came later is nobody's there and is swept.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway import __version__
from gateway import settings as settings_module
from gateway.clock import SystemClock
from gateway.errors import OperatorError
from gateway.settings import Settings, without_password
from gateway.signals.keys import FILE as SIGNAL_KEY
from gateway.store import chain
from gateway.store.migrating import copy_file, standing
from gateway.tokens.keys import ADMIN_FILE, KEY_FILE

MANIFEST = "backup.json"
# Besides what a reporter of leaks and the page were given.
KEYS = (KEY_FILE, ADMIN_FILE, SIGNAL_KEY, "disclosure-keys.json", "disclosure-reporter.json", "page.tokens")
AUTHORITY = "authority"  # signs the manifests of clips; its files keep their modes
FOLDERS = ("media", "inputs", "reports")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
@click.option("--without-keys", is_flag=True, help="Leave the keys out: no token is known by a copy without them.")
def backup(folder: Path, data: Path | None, without_keys: bool) -> None:
    """Copy database, clips, uploads, reports and keys into FOLDER, which must be new or empty. A database on a server
    is its own tools' to copy: the command is shown."""
    settings = settings_module.load(data=data)
    _make(folder)
    place = settings.database
    found = standing(place)
    if not found.version:
        raise OperatorError(f"there is no database {found.where}; name the gateway's data directory with --data")
    try:
        if isinstance(place, Path):
            copy_file(place, folder / "leakdrill.db")
        files = {name: _copied(settings.data / name, folder / name) for name in FOLDERS}
        keys = [] if without_keys else _keys(settings, folder)
        if not without_keys and _copied(settings.data / AUTHORITY, folder / AUTHORITY):
            keys.append(f"{AUTHORITY}/")
    except OSError as exc:
        raise OperatorError(f"cannot copy to {folder}: {exc}; what is there is no backup, remove it") from exc
    newest = chain.newest(folder / "leakdrill.db" if isinstance(place, Path) else place)
    made: dict[str, Any] = {
        "made_at": datetime.fromtimestamp(SystemClock().now(), UTC).isoformat(timespec="seconds"),
        "leakdrill": __version__,
        "schema_version": found.version,
        "database": "leakdrill.db" if isinstance(place, Path) else found.where,
        "anchor": {"seq": newest.seq, "hash": newest.hash},
        "files": files,
        "keys": keys,
    }
    (folder / MANIFEST).write_text(json.dumps(made, indent=2) + "\n")
    _tell(folder, place, made)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            raise OperatorError(f"{folder} is not empty; name a directory that is new")
    except OSError as exc:
        raise OperatorError(f"cannot make {folder}: {exc.strerror}; name a directory that you can write") from exc


def _copied(source: Path, target: Path) -> int:
    """How many files."""
    number = 0
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        own = target / path.relative_to(source)
        if path.is_dir():
            own.mkdir(parents=True, exist_ok=True)
            continue
        own.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(path, own)
        except FileNotFoundError:  # it has ended, or was swept, since it was listed
            continue
        number += 1
    return number


def _keys(settings: Settings, folder: Path) -> list[str]:
    """The names of those that lie in the data directory; copies are the owner's alone to read."""
    kept = []
    for name in KEYS:
        if (settings.data / name).is_file():
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write((settings.data / name).read_bytes())
            kept.append(name)
    return kept


def _tell(folder: Path, place: Path | str, made: dict[str, Any]) -> None:
    count = ", ".join(f"{number} in {name}/" for name, number in made["files"].items())
    click.echo(f"copied to {folder}: {count}; keys: {', '.join(made['keys']) or 'none'}")
    click.echo(f"event list: {made['anchor']['seq']} lines, the newest is {made['anchor']['hash'][:16]}…")
    if isinstance(place, Path):
        click.echo(f"to look at it: leakdrill audit verify --data {folder}")
        click.echo(f"to restore it, stop everything, and: LEAKDRILL_DATA={folder} leakdrill up")
    else:
        shown = without_password(place)
        click.echo("the database is not in it; copy it now:")
        click.echo(f"  pg_dump --format=custom --file={folder}/leakdrill.dump '{shown}'")
        click.echo(f"to restore: createdb a new one, and pg_restore --no-owner --dbname=… {folder}/leakdrill.dump")
