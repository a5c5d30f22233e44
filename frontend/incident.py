"""The times of November 2024 that the timeline shows, each as well founded as its source, from `seeds/facts.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

FACTS_FILE = Path(__file__).resolve().parents[1] / "seeds" / "facts.yaml"
# The morning's wall: US Eastern standard time.
OFFSET = "-05:00"


@dataclass(frozen=True)
class Incident:
    """Unix seconds. Access ended between `ended_from`, as one party claims, and `ended_to`, as one report says."""

    published: float
    ended_from: float
    ended_to: float
    published_words: str
    ended_words: str
    start: str

    def on_day_of(self, replay: float) -> bool:
        """Whether that replay time is of the incident's day, give or take half a day."""
        return abs(replay - self.published) < 12 * 3600


def load_incident(file: Path = FACTS_FILE) -> Incident:
    """Reads the facts."""
    facts = {fact["id"]: fact for fact in yaml.safe_load(file.read_text(encoding="utf-8"))["facts"]}
    start = f"{facts['event-date']['value']}T{facts['published-0830']['value']}:00{OFFSET}"
    published = datetime.fromisoformat(start)
    claimed = published + timedelta(minutes=int(facts["three-hours"]["value"]))
    noon = datetime.fromisoformat(f"{facts['event-date']['value']}T{facts['ended-about-noon']['value']}:00{OFFSET}")
    minutes, longer = facts["three-hours"]["value"], facts["three-and-a-half-hours"]["value"]
    return Incident(
        published=published.timestamp(),
        ended_from=claimed.timestamp(),
        ended_to=noon.timestamp(),
        published_words=f"page public, about {published:%H:%M} ({_basis(facts['published-0830'])})",
        ended_words=f"access ended, about {claimed:%H:%M} to {noon:%H:%M}: three hours ({minutes} min) are "
        f"{_basis(facts['three-hours'])}, about noon ({longer} min) is {_basis(facts['ended-about-noon'])}",
        start=start,
    )


def _basis(fact: dict[str, Any]) -> str:
    return f"{fact['status']}, {', '.join(fact['sources'])}"
