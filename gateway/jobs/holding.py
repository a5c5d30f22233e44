"""Simulated time: a slot that stays taken although nothing is rendered.

A hold costs nothing while it passes. How far it is follows from the time whenever somebody asks, and only two things
wake it: its end, and whoever takes the job away.
"""

from __future__ import annotations

import asyncio
import time

LAST_PERCENT = 99  # 100 belongs to a video that is completed


class Hold:
    """One attempt's simulated time: `seconds` from the moment of its making; 0 where no time is simulated."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # The machine's own time: a hold must not end early because somebody set the clock.
        self._began = time.monotonic()
        self._ended = asyncio.Event()

    @property
    def passed(self) -> float:
        """The part of it that has passed, 0 to 1."""
        return 1.0 if self.seconds <= 0 else min(1.0, (time.monotonic() - self._began) / self.seconds)

    def progress(self, rendered: int) -> int:
        """Percent to show where `rendered` percent of the clip is there: never ahead of either."""
        return min(rendered, LAST_PERCENT, int(100 * self.passed))

    def step(self, steps: int) -> int:
        """The step to show of so many."""
        return max(1, min(steps, int(steps * self.passed) + 1))

    def end(self) -> None:
        """Lets go of it now. To be called on the event loop."""
        self._ended.set()

    async def pass_by(self) -> bool:
        """Returns when its time is over, which may be now; False, at once, where it is ended before."""
        left = self._began + self.seconds - time.monotonic()
        if left <= 0:
            return True
        try:
            async with asyncio.timeout(left):
                await self._ended.wait()
        except TimeoutError:
            return True
        return False
