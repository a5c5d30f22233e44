"""Putting a gateway back as it was: each step whatever became of the others, and words for what is left behind."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from drills.callers import Bearer
from drills.errors import DrillError
from drills.gateway import GatewayClient

ROLLBACK_SECONDS = 10.0


@dataclass
class Rollback:
    """`did` notes an action. `left` says what could not be put back; where it is not empty, the target is dirty."""

    did: Callable[[str, bool, str], None]
    left: list[str] = field(default_factory=list)

    async def step(self, what: str, undo: Callable[[], Awaitable[None]]) -> None:
        """Undo something, within its time. `what` names it where that fails."""
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                await undo()
        except (DrillError, TimeoutError) as error:
            self.leave(f"{what}: {str(error) or f'not put back in {ROLLBACK_SECONDS:g} s'}")

    def leave(self, words: str) -> None:
        """Something stays behind."""
        self.left.append(words)
        self.did("rollback", False, words)

    async def revoke(self, client: GatewayClient, bearers: Sequence[Bearer], *, contained: bool) -> None:
        """Revoke these tokens, each whatever became of the others. Where access was cut before (`contained`), this is
        no move of the exercise; otherwise it is the one that ends the leak."""
        left = []
        for bearer in bearers:
            answer = await client.revoke(
                {"accessor": bearer.accessor}, "end of the exercise", ROLLBACK_SECONDS, housekeeping=contained
            )
            left += [] if answer.accepted else [bearer]
        done = f"{len(bearers) - len(left)} of {len(bearers)} tokens left over are revoked"
        self.did("revoke_issued", not left, done)
        if left:
            cohorts = ", ".join(dict.fromkeys(bearer.cohort for bearer in left))
            self.leave(f"{len(left)} tokens that the drill issued may still work; revoke their cohorts: {cohorts}")
