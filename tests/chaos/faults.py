"""What goes wrong when: a schedule that follows from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["worker", "gateway", "database", "server", "pause"]

#: kind -> how often it comes, of all that come.
WEIGHTS: dict[Kind, int] = {"worker": 20, "gateway": 2, "pause": 3}
ON_POSTGRESQL: dict[Kind, int] = {**WEIGHTS, "database": 1, "server": 1}
WORDS: dict[Kind, str] = {
    "worker": "kill -9 of a worker",
    "gateway": "kill -9 of the gateway",
    "database": "immediate stop of PostgreSQL",
    "server": "kill -9 of PostgreSQL",
    "pause": "SIGSTOP of a worker beyond its lease",
}
EVERY = (0.4, 1.8)  # seconds between two
AWAY = (0.0, 0.6)  # seconds until what was ended is started again


@dataclass(frozen=True)
class Fault:
    """`at` is seconds from the beginning, `target` which of the workers, `seconds` how long it lasts."""

    at: float
    kind: Kind
    target: int
    seconds: float

    @property
    def kills(self) -> bool:
        """Whether a process ends."""
        return self.kind != "pause"


def schedule(seed: int, kills: int, *, workers: int, lease: float, weights: dict[Kind, int]) -> list[Fault]:
    """Faults until `kills` of them have ended a process. The same arguments give the same list."""
    chance = random.Random(f"faults-{seed}")
    faults: list[Fault] = []
    at = 1.0
    while sum(fault.kills for fault in faults) < kills:
        kind: Kind = chance.choices(list(weights), list(weights.values()))[0]
        seconds = chance.uniform(lease + 0.5, lease + 2.5) if kind == "pause" else chance.uniform(*AWAY)
        faults.append(Fault(round(at, 3), kind, chance.randrange(workers), round(seconds, 3)))
        at += chance.uniform(*EVERY)
    return faults


def counted(faults: Sequence[Fault]) -> dict[str, int]:
    """How many there are of each kind, in words."""
    return {words: sum(fault.kind == kind for fault in faults) for kind, words in WORDS.items()}
