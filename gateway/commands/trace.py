"""`leakdrill trace`: whose clip is this?"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway import settings as settings_module
from gateway.commands.control_client import open_control


@click.command()
@click.argument("clip", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--target", help="Gateway address [http://127.0.0.1:8000].")
@click.option("--admin-token", help="Admin bearer [LEAKDRILL_ADMIN_TOKEN, else the data directory's file].")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory [LEAKDRILL_DATA].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def trace(clip: Path, target: str | None, admin_token: str | None, data: Path | None, as_json: bool) -> None:
    """Find the job and the token behind CLIP. Exit code 0 if it was traced, 1 if it is unknown."""
    with open_control(settings_module.load(data=data), target, admin_token) as control:
        found = control.send_file("/control/trace", clip)
    click.echo(json.dumps(found) if as_json else _words(found))
    sys.exit(0 if found["verdict"] == "traced" else 1)


def _words(found: dict[str, Any]) -> str:
    lines = [f"{found['verdict'].replace('_', ' ')}: {found['reason']}"]
    if found["job"]:
        job = found["job"]
        when = datetime.fromtimestamp(job["queued_at"], UTC).isoformat(timespec="seconds")
        lines += [
            f"video       {job['video']}, queued {when}",
            f"token       {job['accessor']}, {job['state'] or 'no longer kept'}",
            f"principal   {job['principal']}, cohort {job['cohort']}",
            f"confidence  {found['confidence']:.2f}",
        ]
    lines.append(f"manifest    {found['provenance']['state']}: {found['provenance']['reason']}")
    return "\n".join(lines)
