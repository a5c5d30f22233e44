"""Fires the injects whose replay time has come, while that is switched on and somebody is logged in.

The gateway knows whether it is switched on, and fires none itself: the plan is here. The work goes on while no page is
visible, because an instructor may be showing something else on the wall.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from frontend.client import GatewayError
from frontend.incident import Incident
from frontend.injects import Inject, InjectDeeds, due
from frontend.sessions import Session
from frontend.watch import Reading

log = logging.getLogger("leakdrill.page")

LOOK_SECONDS = 1.0

Look = Callable[[Session], Awaitable[Reading | None]]


class InjectClock:
    """At most one task, which ends when the switch is off or the instructor for whom it works is logged out."""

    def __init__(
        self,
        deeds: InjectDeeds,
        plan: Sequence[Inject],
        incident: Incident,
        look: Look,
        logged_in: Callable[[Session], bool],
        *,
        every: float = LOOK_SECONDS,
    ) -> None:
        self._deeds = deeds
        self._plan = plan
        self._incident = incident
        self._look = look
        self._logged_in = logged_in
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def mind(self, session: Session, reading: Reading | None) -> None:
        """Starts, for this instructor, where a reading says that the clock is to fire and nobody works yet."""
        if reading is None or not reading.story.by_clock or (self._task is not None and not self._task.done()):
            return
        self._task = asyncio.create_task(self._work(session))

    async def aclose(self) -> None:
        """Stops."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def over(self) -> None:
        """Returns once nothing is at work."""
        if self._task is not None:
            await self._task

    async def _work(self, session: Session) -> None:
        while self._logged_in(session):
            try:
                reading = await self._look(session)
                if reading is not None and not reading.away:
                    if not reading.story.by_clock:
                        return
                    await self._fire(session, reading)
            except GatewayError as error:
                if error.status in (401, 403):
                    return
                log.warning("action=inject_not_fired reason=%s", error.message)
            await asyncio.sleep(self._every)

    async def _fire(self, session: Session, reading: Reading) -> None:
        """One at a time, so that each stands on the pages for a moment. A clock that is paused fires nothing."""
        late = due(self._plan, reading, self._incident)
        if not late or not reading.status.replay_running:
            return
        try:
            await self._deeds.fire_by_clock(session, late[0])
        except GatewayError as error:
            # An instructor was quicker, or has just held it.
            if error.status != 409:
                raise
