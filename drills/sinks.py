"""Sinks of the drill's own, on 127.0.0.1: they take every security event that the gateway sends, and keep it."""

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ConfigDict

from drills.gateway import GatewayClient
from drills.history import History

MOST_BYTES = 65_536
TAKEN = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Told(BaseModel):
    """A security event that a sink was sent. `kinds` are the last parts of its event types; `id` is its `jti`, the same
    for each attempt; `accessor` is the token that it is about, None where it names none. Seconds on the history's
    clock: `acknowledged` is when the sink had answered 202, None where the gateway was gone by then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sink: int
    at: float
    id: str
    kinds: list[str]
    accessor: str | None
    acknowledged: float | None = None


class SinkReceiver:
    """Listens for one sink. Call `aclose()` whatever happened."""

    def __init__(self, number: int, history: History) -> None:
        self._number = number
        self._history = history
        self._server: asyncio.Server | None = None
        self._id: str | None = None
        self.told: list[Told] = []

    async def open(self, client: GatewayClient) -> bool:
        """Listen, and have the gateway tell this address. False where it does not call such an address."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0, limit=MOST_BYTES)
        port = self._server.sockets[0].getsockname()[1]
        body = {"url": f"http://127.0.0.1:{port}/sink", "audience": f"drill-sink-{self._number}"}
        answer = await client.ask("sink", "POST", "/control/sinks", json=body)
        self._id = str(answer.body["id"]) if answer.accepted and "id" in answer.body else None
        return self._id is not None

    async def take_back(self, client: GatewayClient) -> None:
        """The gateway tells this address nothing more. Raises DrillError."""
        if self._id is not None:
            await client.order("sink", "DELETE", f"/control/sinks/{self._id}")
            self._id = None

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at = self._history.now()
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            body = await reader.readexactly(min(_length(head), MOST_BYTES))
            told, place = self._read(at, body), len(self.told)
            self.told.append(told)
            writer.write(TAKEN)
            await writer.drain()
            self.told[place] = told.model_copy(update={"acknowledged": self._history.now()})
        writer.close()

    def _read(self, at: float, body: bytes) -> Told:
        claims = claims_of(body)
        subject = claims.get("sub_id")
        return Told(
            sink=self._number,
            at=at,
            id=str(claims.get("jti", "")),
            kinds=sorted(str(kind).rpartition("/")[2] for kind in claims.get("events") or {}),
            accessor=_accessor(subject) if isinstance(subject, Mapping) else None,
        )

    async def aclose(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()


def claims_of(body: bytes) -> dict[str, Any]:
    """The claims of a security event token (RFC 8417), its signature left alone. Raises ValueError."""
    part = body.split(b".")[1] if body.count(b".") == 2 else b""
    claims = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    if not isinstance(claims, dict):
        raise ValueError("no claims")  # noqa: TRY004 - it is what was sent that is wrong
    return claims


def _length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


def _accessor(subject: Mapping[str, Any]) -> str | None:
    """The first value that names a token."""
    values = [str(value).rpartition(":")[2].rpartition("/")[2] for value in subject.values()]
    return next((value for value in values if value.startswith("tok_")), None)
