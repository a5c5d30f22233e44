"""Pure ASGI middleware: a request id on every answer, and no body longer than the limit."""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ANSWER_HEADERS, PayloadTooLarge
from gateway.faults.sight import Sight, shown
from gateway.logs import ACCESS, REQUEST
from gateway.metrics import ProcessCounts
from gateway.web.answers import REQUEST_ID, answer, count_refusal
from gateway.web.context import ACCESSOR

access = logging.getLogger(ACCESS)

REPLICA_HEADER = b"leakdrill-replica"
MODE_HEADER = b"leakdrill-errs"


class RequestId:
    """Adds `x-request-id`, which OpenAI's clients put on their objects and exceptions, the name of this replica, what
    it does wrong on purpose, and the headers that anything on the way left under `ANSWER_HEADERS` in the scope: raw
    (name, value) pairs. All of them reach errors as well. It is the outermost layer, and so it also counts requests and
    their time, up to the answer's last byte. `logged` lets each entry of the log name its request; at the level `info`
    each request is an entry of its own, by its route's template, since paths and queries hold signatures."""

    def __init__(self, app: ASGIApp, replica: str, sight: Sight, counts: ProcessCounts, logged: bool = False) -> None:
        self._app = app
        self._counts = counts
        self._timer = counts.timer
        self._replica = (REPLICA_HEADER, replica.encode())
        self._sight = sight
        self._logged = logged
        self._access = access.isEnabledFor(logging.INFO)
        # Chance once, then a count: unique among processes, and cheaper than chance for each request.
        self._process = secrets.token_hex(6)
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{self._process}{next(self._count):08x}"
        scope[REQUEST_ID] = request_id
        if self._logged:
            REQUEST.set(request_id)
        timer = self._timer
        began, ended, status = timer(), 0.0, 0

        async def with_id(message: Message) -> None:
            nonlocal status, ended
            start = message["type"] == "http.response.start"
            if start:
                status = message["status"]
                own = [(b"x-request-id", request_id.encode()), self._replica, *scope.get(ANSWER_HEADERS, ())]
                if not self._sight.mode.right:
                    own.append((MODE_HEADER, shown(self._sight.mode).encode()))
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)
            if not start and not message.get("more_body"):
                ended = timer()

        try:
            await self._app(scope, receive, with_id)
        finally:
            # What a response does behind its last byte is not its reader's time.
            took = (ended or timer()) - began
            self._counts.answered(scope, status, took)
            if self._access:
                _tell(scope, request_id, status, took)


def _tell(scope: Scope, request_id: str, status: int, seconds: float) -> None:
    """One entry of the log for a request that was answered."""
    access.info(
        "action=answered method=%s route=%s status=%s ms=%s accessor=%s request_id=%s",
        scope["method"],
        getattr(scope.get("route"), "path", None) or "other",
        status,
        round(seconds * 1000, 3),
        scope.get(ACCESSOR),
        request_id,
    )


class BodyLimit:
    """Refuses a body above `limit` bytes, declared or actually sent, with the envelope.

    FastAPI's own `max_body_size` answers a declared length in plain text, which clients cannot read.
    """

    def __init__(self, app: ASGIApp, limit: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._limit = limit
        self._larger = tuple(larger.items())  # by the beginning of a path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Nothing here reads the body of a GET, and polls are many.
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        declared, limit = b"0", self._limit
        for name, value in scope["headers"]:
            if name == b"content-length":
                declared = value
        for start, most in self._larger:
            if scope["path"].startswith(start):
                limit = most
                break
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise _too_large(limit)
            return message

        if declared.isdigit() and int(declared) > limit:
            error = _too_large(limit)
            count_refusal(Request(scope), error)
            await answer(error, scope)(scope, receive, send)
            return
        await self._app(scope, counted, send)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is longer than {limit} bytes, the most that is read here.")
