"""Time as an argument.

Two times exist. *Wall time* dates what really happens: expiry, the event list. *Replay time* is the
time of the morning being replayed; it is a reading of wall time through a `ReplayClock` and never decides
anything about access.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Protocol

# A day inside what `datetime` can hold, whatever the offset: 2 January of year 1, 31 December 9999.
FIRST_DAY, LAST_DAY = -62_135_510_400.0, 253_402_214_400.0


class Clock(Protocol):
    """What every part that needs the time is given."""

    def now(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()


class FrozenClock:
    """A clock that moves only when told to."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"a frozen clock moves forward only, not by {seconds} s")
        self._now += seconds

    def jump(self, seconds: float) -> None:
        """As when somebody sets the machine's clock, forward or back."""
        self._now += seconds


@dataclass(frozen=True)
class ReplayClock:
    """Maps wall time to replay time: `anchor` was shown at wall time `anchor_wall`, and runs `speed` times as fast.

    `anchor` and `anchor_wall` are Unix seconds; `utc_offset` is what the replayed place's wall showed, in seconds.
    """

    anchor: float
    anchor_wall: float
    speed: float
    running: bool
    utc_offset: int = 0

    def at(self, wall: float) -> float:
        """Replay time, Unix seconds, when the wall clock shows `wall`."""
        if not self.running:
            return self.anchor
        return self.anchor + max(0.0, wall - self.anchor_wall) * self.speed

    def iso(self, wall: float) -> str:
        """The same as ISO 8601 with the replayed place's offset, to the second. A clock that runs out of the calendar
        shows the calendar's last day: every event is stamped with this reading, so it must not fail."""
        zone = timezone(timedelta(seconds=self.utc_offset))
        shown = min(max(self.at(wall), FIRST_DAY), LAST_DAY)
        return datetime.fromtimestamp(shown, zone).isoformat(timespec="seconds")

    def moved(self, wall: float, *, speed: float | None = None, running: bool | None = None) -> ReplayClock:
        """The same morning from `wall` on, at another speed, paused or running."""
        return replace(
            self,
            anchor=self.at(wall),
            anchor_wall=wall,
            speed=self.speed if speed is None else speed,
            running=self.running if running is None else running,
        )
