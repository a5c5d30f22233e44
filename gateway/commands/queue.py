"""`leakdrill queue …`: whether the engine's messages are those that the rows ask for."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gateway import settings as settings_module
from gateway.clock import SystemClock
from gateway.jobs import lifecycle
from gateway.settings import Settings
from gateway.store import open_store
from gateway.store.mending import Faults

NO_ENGINE = "on SQLite the jobs need no messages; there is nothing to compare"


@click.group()
def queue() -> None:
    """Compare the jobs with the engine's messages."""


@queue.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
@click.option("--mend", is_flag=True, help="Send what is missing, and take away what no job asks for.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(data: Path | None, mend: bool, as_json: bool) -> None:
    """Name what is lost, doubled or left over. Exit code 0: nothing, or it was mended; 1: something is.

    Workers do the same by themselves every few seconds, and note it as `queue.mended`.
    """
    settings = settings_module.load(data=data)
    found = asyncio.run(_compare(settings, mend))
    if as_json:
        click.echo(json.dumps({**asdict(found), "mended": bool(found) and mend} if found is not None else {}))
    else:
        click.echo(NO_ENGINE if found is None else _words(found, mend))
    sys.exit(1 if found and not mend else 0)


async def _compare(settings: Settings, mend: bool) -> Faults | None:
    """What was wrong; None where no engine delivers."""
    store = open_store(settings.database)
    try:
        if not store.delivered:
            return None
        return await lifecycle.reconcile(store, actor="operator", now=SystemClock().now(), mend=mend)
    finally:
        await store.close()


def _words(found: Faults, mended: bool) -> str:
    if not found:
        return "every job that may be delivered has its message, and no message is without its job"
    what = (
        f"{found.lost} jobs whose message is lost, {found.unsent} that were not sent, "
        f"{found.doubled} doubled messages, {found.left} left over"
    )
    return f"{what}; {'mended' if mended else 'mend with: leakdrill queue check --mend'}"
