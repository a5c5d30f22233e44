"""The lease that a drill holds on a gateway, so that no other drill changes it meanwhile.

It lies in the gateway's store, and so counts for all of its replicas. It is renewed while the drill runs; a drill that
is killed renews nothing, and another may begin once the lease has run out.
"""

import asyncio
import getpass
import os
import platform
from collections.abc import Awaitable, Callable
from typing import NoReturn

from drills.errors import DrillError, LeaseLost, TargetBusy
from drills.gateway import GatewayClient

PATH = "/control/drill"
LEASE_SECONDS = 30.0
# Three renewals may be missed before another drill may begin.
RENEWED_EVERY = 8.0
UNDER_WAY = "drill_under_way"


class Lease:
    """`begin` takes it, `keep` renews it until cancelled, `end` gives it back."""

    def __init__(
        self, client: GatewayClient, scenario: str, who: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._body = {"scenario": scenario, "who": who, "lease_seconds": LEASE_SECONDS}
        self._id: str | None = None
        self.taken_by: str | None = None  # another drill, in the gateway's words

    async def begin(self) -> bool:
        """Take it; False where the gateway knows no leases. Raises TargetBusy while another drill has it."""
        answer = await self._client.ask("lease", "POST", PATH, json=self._body)
        if answer.exchange.code == UNDER_WAY:
            raise TargetBusy(f"{self._client.target}: {_words(answer.body)} Or give another --target.")
        if answer.exchange.status in (404, 405):
            return False
        self._id = str(self._client.insist(answer).body.get("id", ""))
        return True

    async def keep(self) -> NoReturn:
        """Renew it again and again. Raises LeaseLost when it is another's, or was ended."""
        while True:
            await self._sleep(RENEWED_EVERY)
            if self._id is None:
                continue
            body = {"lease_seconds": LEASE_SECONDS}
            answer = await self._client.ask("lease", "PUT", f"{PATH}/{self._id}", json=body)
            if answer.exchange.status == 409:
                self.taken_by = _words(answer.body)
            if answer.exchange.status in (404, 409):
                raise LeaseLost(f"the drill has lost the gateway: {_words(answer.body)}")
            # Any other answer, or none, may be better the next time.

    async def end(self) -> str | None:
        """Give it back. Why that failed, if it did; it then runs out by itself."""
        if self._id is None or self.taken_by is not None:
            return None
        try:
            answer = await self._client.ask("lease", "DELETE", f"{PATH}/{self._id}")
        except DrillError as error:
            return str(error)
        return None if answer.accepted or answer.exchange.status == 404 else f"status {answer.exchange.status}"


def whereabouts() -> str:
    """Who drills, on which machine and in which process: for whoever is refused meanwhile."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    words = f"{user}@{platform.node() or 'unknown'}, process {os.getpid()}"
    return words.encode("ascii", "replace").decode()[:120]


def _words(body: object) -> str:
    """The message of an error's envelope."""
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return str(message) if message else "it does not say why."
