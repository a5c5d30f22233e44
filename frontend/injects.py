"""The injects of the replayed morning, from its scenario: what is told to whom, when, and what is hoped for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

SCENARIO_FILE = Path(__file__).resolve().parents[1] / "seeds" / "scenarios" / "november-2024.yaml"


@dataclass(frozen=True)
class Inject:
    """One line of the plan. `when` is replay time with how well it is founded."""

    id: str
    when: str
    to: str
    text: str
    expect: str


def load_injects(file: Path = SCENARIO_FILE) -> list[Inject]:
    """Reads the plan, in its order."""
    scenario = yaml.safe_load(file.read_text(encoding="utf-8"))
    start = datetime.fromisoformat(scenario["clock"]["start"])
    return [_inject(line, start) for line in scenario["msel"]]


def _inject(line: dict[str, Any], start: datetime) -> Inject:
    # A time of day as it is, or minutes after the start.
    at = line["at"]
    time = at if isinstance(at, str) else f"{start + timedelta(minutes=at):%H:%M}"
    expect, within = line["expect"], line["expect"].get("within_minutes")
    return Inject(
        id=str(line["id"]),
        when=f"about {time} ({line['time_status']})",
        to=", ".join(line["to"]),
        text=str(line["text"]),
        expect=str(expect["action"]) + (f", within {within} min" if within else ""),
    )
