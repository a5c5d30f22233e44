"""What a runbook's verify step asks: the drill's own probes, once more, of every surface on every replica."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from drills.attached import Attached
from drills.callers import Bearer, Caller
from drills.gateway import GatewayClient
from drills.history import Exchange
from drills.onlookers import Onlookers
from drills.probes import ProbeKit

# Between two rounds, while not all is as expected.
PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Seen:
    """One round: places that accept, that refuse, that answer neither; and bystanders who are not served."""

    accepted: list[str]
    refused: list[str]
    unclear: list[str]
    unserved: list[str]

    def shows(self, expect: Literal["refused", "accepted"]) -> bool:
        """Whether all is as expected."""
        if self.unserved:
            return False
        return bool(self.accepted) if expect == "accepted" else bool(self.refused) and not self.accepted + self.unclear

    @property
    def words(self) -> str:
        """What was seen."""
        parts = [
            (f"{len(self.accepted)} accepted: {_some(self.accepted)}", self.accepted),
            (f"{len(self.refused)} refused", self.refused),
            (f"without a clear answer: {_some(self.unclear)}", self.unclear),
            (f"bystanders not served: {_some(self.unserved)}", self.unserved),
        ]
        return "; ".join(words for words, found in parts if found) or "nothing could be asked"


@dataclass(frozen=True)
class Looker:
    """Asks with the probes' token, with every other leaked one, and as the bystanders who should stay."""

    kit: ProbeKit
    attached: Attached
    members: Sequence[GatewayClient]
    leaked: Sequence[Bearer]
    onlookers: Onlookers
    stays: Callable[[Bearer], bool]
    surfaces: Sequence[str]
    sleep: Callable[[float], Awaitable[None]]

    async def until(
        self, surfaces: Sequence[str], bystanders: bool, expect: Literal["refused", "accepted"], within: float
    ) -> Seen:
        """Rounds until all is as expected, or the time (seconds) is over: the last round, or an empty one."""
        seen = Seen([], [], [], [])
        try:
            async with asyncio.timeout(within):
                while True:
                    seen = await self.once(surfaces, bystanders)
                    if seen.shows(expect):
                        return seen
                    await self.sleep(PAUSE_SECONDS)
        except TimeoutError:
            return seen

    async def once(self, surfaces: Sequence[str], bystanders: bool) -> Seen:
        """One round. No surface named is all of the scenario's."""
        wanted = set(surfaces or self.surfaces)
        found = await self.kit.look(wanted)
        if "list" in wanted:
            own = self.kit.caller.bearer
            others = [bearer for bearer in self.leaked if own is None or bearer.accessor != own.accessor]
            asked = [
                member.list_videos(Caller("probe", one.principal, one)) for member in self.members for one in others
            ]
            found += [answer.exchange for answer in await asyncio.gather(*asked)]
        alive = self.attached.going_on if "open_stream" in wanted else []
        unserved: list[str] = []
        if bystanders:
            answers = await self.onlookers.look_everywhere(self.stays)
            unserved = [_place(one.exchange, one.exchange.who) for one in answers if not one.accepted]
        return Seen(
            accepted=[_place(one, one.surface) for one in found if one.outcome == "accepted"] + alive,
            refused=[_place(one, one.surface) for one in found if one.outcome == "refused"],
            unclear=[_place(one, one.surface) for one in found if one.outcome not in ("accepted", "refused")],
            unserved=unserved,
        )


def _place(one: Exchange, name: str) -> str:
    return f"{name}@{one.replica}" if one.replica else name


def _some(places: Sequence[str]) -> str:
    """The first few of them, once each."""
    once = list(dict.fromkeys(places))
    return ", ".join(once[:6]) + (f" and {len(once) - 6} more" if len(once) > 6 else "")
