"""The replay clock: replay minutes over a monotonic clock that is passed in."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class ReplayClock:
    """Replay time runs `speed` times as fast as `monotonic` (seconds). It stands at `start` until `begin()`."""

    start: datetime
    speed: float
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _zero: float | None = field(default=None, init=False)

    def begin(self) -> None:
        """Let replay time run from now."""
        self._zero = self.monotonic()

    def minutes(self) -> float:
        """Replay minutes since `start`; 0 before `begin()`."""
        return 0.0 if self._zero is None else (self.monotonic() - self._zero) * self.speed / 60

    def time(self) -> datetime:
        """What the replay clock shows now."""
        return self.start + timedelta(minutes=self.minutes())

    def seconds_to(self, minute: float) -> float:
        """Real seconds until a replay minute; 0 when it has passed."""
        return max(0.0, (minute - self.minutes()) * 60 / self.speed)

    async def until(self, minute: float, *, ahead: float = 0) -> None:
        """Sleep until `ahead` real seconds before a replay minute."""
        await self.sleep(max(0.0, self.seconds_to(minute) - ahead))
