"""What a drill tells while it runs: typed events for a live screen."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

EventKind = Literal["step", "inject", "phase", "queue", "revocation", "verdict"]


@dataclass(frozen=True)
class DrillEvent:
    """One thing that happened, with the counts of that moment.

    `elapsed` is real seconds since the drill's start; `replay_time` is None before the replay runs. `arrived`,
    `accepted` and `refused` count visitors' submits; `waiting` and `running` are None until the gateway told them.
    """

    kind: EventKind
    text: str
    elapsed: float
    replay_time: datetime | None
    phase: str
    arrived: int
    accepted: int
    refused: int
    dropped: int
    waiting: int | None
    running: int | None
    inject: str | None = None
