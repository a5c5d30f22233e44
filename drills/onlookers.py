"""Tokens outside the leak: bystanders, and one that is issued after the cut. All replicas have to serve them."""

import asyncio
from collections.abc import Callable, Sequence

from drills.callers import Answer, Bearer, Caller
from drills.gateway import GatewayClient


class Onlookers:
    """Makes one request for each bystander at a time, at another replica each time."""

    def __init__(self, members: Sequence[GatewayClient], bystanders: Sequence[Bearer]) -> None:
        self._members = members
        self._bystanders = bystanders
        self._round = 0

    async def look(self) -> None:
        """Each bystander once."""
        for number, bearer in enumerate(self._bystanders):
            member = self._members[(self._round + number) % len(self._members)]
            await member.list_videos(Caller("bystander", bearer.principal, bearer))
        self._round += 1

    async def look_everywhere(self, which: Callable[[Bearer], bool]) -> list[Answer]:
        """Each bystander that is meant, on every replica."""
        callers = [Caller("bystander", bearer.principal, bearer) for bearer in self._bystanders if which(bearer)]
        return await asyncio.gather(*(member.list_videos(caller) for member in self._members for caller in callers))

    async def look_as(self, fresh: Bearer) -> list[Answer]:
        """The token that was issued after the cut, on every replica."""
        caller = Caller("fresh", fresh.principal, fresh)
        return [await member.list_videos(caller) for member in self._members]
