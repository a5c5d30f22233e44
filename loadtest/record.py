"""Everything that a load test leaves: figures and reports are functions of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from loadtest.history import Exchange, History
from loadtest.order import Order
from loadtest.target import Acknowledged, Event, SurfaceEnd

# complete: the schedule was played. stopped: somebody asked for an early end. away: the target stopped answering.
# full: the history holds no more. broken: a process of the load test was lost, or another thing of its own failed.
Status = Literal["complete", "stopped", "away", "full", "broken"]
# What a clock of another machine may be behind.
SLACK_SECONDS = 1.0


@dataclass
class Revocation:
    """The revocation at the peak; seconds of the schedule. `told` is when each process of the load test knew that it
    was acknowledged: a request that it began later began after the acknowledgement, whatever the machines' clocks."""

    called: float
    acknowledged: float | None = None
    answer: Acknowledged | None = None
    error: str = ""
    told: dict[int, float] = field(default_factory=dict)
    elsewhere: set[int] = field(default_factory=set)

    def began_after(self, exchange: Exchange) -> bool:
        """Whether the request began after the acknowledgement."""
        told = self.told.get(exchange.process, self.acknowledged)
        return told is not None and exchange.start >= told

    def explains(self, exchange: Exchange) -> bool:
        """Whether it may have been this that ended the request."""
        slack = SLACK_SECONDS if exchange.process in self.elsewhere else 0.0
        return exchange.end >= self.called - slack

    def seconds_after(self, exchange: Exchange) -> float | None:
        """From the acknowledgement to the request's start; None without one."""
        told = self.told.get(exchange.process, self.acknowledged)
        return None if told is None else exchange.start - told


@dataclass
class Record:
    """One load test. `events` is None where the target has no list, or could not be asked; `left` is what of the load
    test is still on the target. `load` is the machine's load average (1 min) before and after."""

    order: Order
    run: str
    started_at: datetime
    dues: list[float]
    accessors: list[str]
    leaked: list[bool]
    history: History
    status: Status = "complete"
    ended: float = 0.0
    why: str = ""
    away: bool = False
    revocation: Revocation | None = None
    ends: list[SurfaceEnd] = field(default_factory=list)
    events: list[Event] | None = None
    left: str | None = None
    load: tuple[float | None, float | None] = (None, None)
