"""The gateway's state, asked once for everybody who watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from frontend.client import Gateway, GatewayError, Status


class Live:
    """At most one question to the gateway at a time; an answer serves all who come within half a second."""

    def __init__(
        self, gateway: Gateway, *, max_age: float = 0.5, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._gateway = gateway
        self._max_age = max_age
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._status: Status | None = None
        self._asked_at: float | None = None
        self._read_at: float | None = None

    async def status(self, *, fresh: bool = False) -> Status | None:
        """The gateway's status, or None while it cannot be reached. `fresh` refuses an answer from before this call."""
        called_at = self._monotonic()
        async with self._lock:
            if fresh:
                known = self._asked_at is not None and self._asked_at >= called_at
            else:
                known = self._read_at is not None and self._monotonic() - self._read_at < self._max_age
            if not known:
                self._asked_at = self._monotonic()
                try:
                    self._status = await self._gateway.status()
                except GatewayError:
                    self._status = None
                self._read_at = self._monotonic()
            return self._status
