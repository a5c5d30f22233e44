"""The calls that load tests live on, answered before anything that they do not need; and where that is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.web.answers import answer_to


@dataclass(frozen=True)
class HotCall:
    """A verb, a path whose last part may be a parameter in braces, and an endpoint that reads its request itself."""

    method: str
    path: str
    endpoint: Callable[[Request], Awaitable[Response]]
    parameter: str = field(init=False, default="")

    def __post_init__(self) -> None:
        last = self.path.rpartition("/")[2]
        object.__setattr__(self, "parameter", last[1:-1] if last.startswith("{") else "")


class HotCalls:
    """Pure ASGI: gives these calls to their endpoints, and everything else to the application.

    They need none of what stands in front of a FastAPI endpoint: no search for a route, no solving of dependencies, no
    exit stacks, no choice of a response class. What they raise is answered as everywhere. The FastAPI routes of the
    same paths document them.
    """

    def __init__(self, app: ASGIApp, calls: Iterable[HotCall]) -> None:
        self._app = app
        self._calls = {(one.method, one.path.rpartition("/{")[0] if one.parameter else one.path): one for one in calls}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._called(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if call is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = call
        request = Request(scope, receive, send)
        try:
            response = await call.endpoint(request)
        except Exception as exc:  # noqa: BLE001  what nobody foresaw is logged and answered
            response = await answer_to(request, exc)
        await response(scope, receive, send)

    def _called(self, scope: Scope) -> HotCall | None:
        method, path = scope["method"], scope["path"]
        call = self._calls.get((method, path))
        if call is not None and not call.parameter:
            return call
        before, _, last = path.rpartition("/")
        call = self._calls.get((method, before))
        if call is None or not call.parameter or not last:
            return None
        scope["path_params"] = {call.parameter: last}
        return call


class Layered(FastAPI):
    """FastAPI with layers of our own around all of it, its handler of unforeseen errors included."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._outermost: ASGIApp = super().__call__

    def surround(self, layer: Callable[..., ASGIApp], **options: Any) -> None:
        """Puts a layer around what is there; the last one comes first."""
        self._outermost = layer(self._outermost, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._outermost(scope, receive, send)
