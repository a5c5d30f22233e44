"""Holders of tokens that a notice may name: each asks, again and again, for something that a held token is refused."""

import asyncio
from collections.abc import Sequence

from drills.callers import Bearer, Caller
from drills.clock import ReplayClock
from drills.gateway import GatewayClient
from drills.history import History
from drills.probes import MOST_A_SECOND
from drills.surfaces import PROBE_CLIP, PROMPT

EVERY_SECONDS = 0.3


class Holders:
    """Cancelling a job that was cancelled before costs nothing, is accepted, and needs a token that is good for
    writing: one that is quarantined is refused."""

    def __init__(
        self, members: Sequence[GatewayClient], bearers: Sequence[Bearer], history: History, clock: ReplayClock
    ) -> None:
        self._members = members
        self._bearers = bearers
        self._history = history
        self._clock = clock
        self._spare: dict[str, str] = {}

    async def begin(self) -> None:
        """Each gets a job that is cancelled at once."""
        for bearer in self._bearers:
            caller = Caller("holder", bearer.principal, bearer)
            answer = await self._members[0].submit(caller, PROBE_CLIP, PROMPT)
            if answer.exchange.job:
                self._spare[bearer.accessor] = answer.exchange.job
                await self._members[0].cancel(caller, answer.exchange.job)

    async def watch(self) -> None:
        """All of them in turn, each at another replica each time, until cancelled."""
        every = max(EVERY_SECONDS, len(self._bearers) / MOST_A_SECOND)
        number = 0
        while True:
            await asyncio.gather(*(self._use(bearer, number + n) for n, bearer in enumerate(self._bearers)))
            await self._clock.sleep(every)
            number += 1

    async def _use(self, bearer: Bearer, number: int) -> None:
        video = self._spare.get(bearer.accessor)
        if video is not None:
            member = self._members[number % len(self._members)]
            await member.cancel(Caller("holder", bearer.principal, bearer), video)
