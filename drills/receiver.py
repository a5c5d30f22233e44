"""A webhook receiver of the drill's own, on 127.0.0.1: it answers 503, so that every delivery is tried again."""

import asyncio
from contextlib import suppress

from drills.callers import Caller
from drills.gateway import GatewayClient
from drills.history import Exchange, History

MOST_BYTES = 65_536
ANSWER = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"


class Receiver:
    """Keeps each delivery as an accepted use of the token that the endpoint belongs to, from its connection on."""

    def __init__(self, caller: Caller, history: History) -> None:
        self._caller = caller
        self._history = history
        self._server: asyncio.Server | None = None

    async def subscribe(self, client: GatewayClient) -> bool:
        """Listen, and have the token's videos told here. False when the gateway does not call such an address."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0, limit=MOST_BYTES)
        port = self._server.sockets[0].getsockname()[1]
        body = {
            "name": "drill",
            "url": f"http://127.0.0.1:{port}/drill",
            "event_types": ["video.completed", "video.failed"],
        }
        answer = await client.send(self._caller, "hooks", "POST", "/v1/webhook_endpoints", json=body)
        return answer.accepted

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = self._history.now()
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            self._keep(start, head)
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    def _keep(self, start: float, head: bytes) -> None:
        method, path, *_ = head.decode("latin-1").split(" ", 2)
        bearer = self._caller.bearer
        self._history.add(
            Exchange(
                n=len(self._history.exchanges) + 1,
                actor="probe",
                who="receiver",
                surface="webhook",
                accessor=bearer.accessor if bearer else None,
                method=method,
                path=path,
                start=start,
                end=self._history.now(),
                status=503,
                outcome="accepted",
            )
        )

    async def aclose(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
