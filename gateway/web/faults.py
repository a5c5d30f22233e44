"""Download faults, done to the bytes on their way out: a clip that trickles, breaks off, or takes its connection along.

Pure ASGI. A response that ends before its Content-Length can only be told by closing the connection, which ASGI has no
message for; `Protocol` therefore gives each request its transport. Under another server the response is left as it is,
unfinished, and it is for that server to close.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import struct
from collections.abc import Awaitable
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.errors import InvalidRequest
from gateway.faults.failures import DEFAULT_BYTES_PER_SECOND
from gateway.faults.service import DOWNLOAD, FaultDesk, Strike

TRANSPORT = "leakdrill.transport"
LEAVING = "leakdrill.leaving"
SLICE_SECONDS = 0.1
# Lingering for no time makes the kernel answer with a reset instead of an orderly end (POSIX, SO_LINGER).
RESET = struct.pack("ii", 1, 0)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which also tells the application its connection, and refuses with the envelope."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope[TRANSPORT] = self.transport

    def shutdown(self) -> None:
        """The server ends: what never ends by itself is told so, and ends before it is broken off."""
        scope: Any = self.scope
        if scope is not None:
            scope[LEAVING] = True
        super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP reaches no application; it is refused in the same shape all the same."""
        error = InvalidRequest(f"This is not a request of HTTP/1.1. {msg}", code="invalid_request")
        body = json.dumps(error.body()).encode()
        head = (
            f"HTTP/1.1 {error.status} Bad Request\r\nx-request-id: req_{secrets.token_hex(8)}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class Downloads:
    """Lets download faults happen to requests that one has struck; all others pass untouched."""

    def __init__(self, app: ASGIApp, faults: FaultDesk) -> None:
        self._app = app
        self._faults = faults

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and (scope["path"].endswith("/content") or scope["path"].startswith("/media/")):
            return self._watched(scope, receive, send)
        return self._app(scope, receive, send)

    async def _watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, _Sender(scope, send, self._faults).send)
        except _BrokenOffError as broken:
            await _close(scope, receive, reset=broken.reset)


class _BrokenOffError(Exception):
    """Leaves a response where it is. Never seen outside of this module."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("a download fault ends this response here")
        self.reset = reset


class _Sender:
    """Sends one response; from its start on, it knows whether a fault has struck the request."""

    def __init__(self, scope: Scope, send: Send, faults: FaultDesk) -> None:
        self._scope = scope
        self._send = send
        self._faults = faults
        self._strike: Strike | None = None
        self._left = 0  # bytes until the response breaks off

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._strike is not None and self._strike.failure == "slow_download":
            await self._trickle(message, self._strike)
            return
        elif self._strike is not None:
            await self._break_off(message, self._strike)
            return
        await self._send(message)

    def _begin(self, start: Message) -> None:
        strike = self._scope.get(DOWNLOAD)
        if strike is None or start["status"] not in (200, 206) or self._scope["method"] == "HEAD":
            return
        length = int(Headers(raw=start["headers"]).get("content-length", "0"))
        if length == 0:
            return
        after = strike.options.after_bytes
        self._left = min(length - 1, length // 2 if after is None else after)
        self._strike = strike

    async def _break_off(self, message: Message, strike: Strike) -> None:
        body = message.get("body", b"")[: self._left]
        self._left -= len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        if self._left == 0:
            raise _BrokenOffError(reset=strike.failure == "dropped_download")

    async def _trickle(self, message: Message, strike: Strike) -> None:
        """A slowed transfer would outlive its token by as long as it is slow; so the token is judged at each slice."""
        body = message.get("body", b"")
        slice_bytes = max(1, int((strike.options.bytes_per_second or DEFAULT_BYTES_PER_SECOND) * SLICE_SECONDS))
        for start in range(0, len(body), slice_bytes):
            await asyncio.sleep(SLICE_SECONDS)
            if _gone(self._scope) or not await self._faults.still_accepted(strike.accessor):
                raise _BrokenOffError
            piece = body[start : start + slice_bytes]
            more = message.get("more_body", False) or start + slice_bytes < len(body)
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        if not body:
            await self._send(message)


def _gone(scope: Scope) -> bool:
    transport = scope.get(TRANSPORT)
    return transport is not None and transport.is_closing()


def leaving(scope: Scope) -> bool:
    """Whether the server is about to end."""
    return LEAVING in scope


def unsent(scope: Scope) -> int:
    """Bytes that were handed to the connection and that the system has not taken; 0 where that is not known."""
    transport: asyncio.Transport | None = scope.get(TRANSPORT)
    return 0 if transport is None else transport.get_write_buffer_size()


def sever(scope: Scope) -> None:
    """Resets the connection; what it still holds of the response is thrown away."""
    transport: asyncio.Transport | None = scope.get(TRANSPORT)
    if transport is None:
        return
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()


async def until_gone(scope: Scope, receive: Receive) -> None:
    """Returns once the connection is closed; at once under a server that does not tell its connection."""
    while scope.get(TRANSPORT) is not None and (await receive())["type"] != "http.disconnect":
        pass


async def _close(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Ends the connection, orderly or by a reset, and returns once it is gone."""
    transport: asyncio.Transport | None = scope.get(TRANSPORT)
    if transport is None:
        return
    if reset:
        # What was sent must be on its way before the reset throws the rest away.
        await asyncio.sleep(SLICE_SECONDS)
        sever(scope)
    else:
        transport.close()
    await until_gone(scope, receive)
