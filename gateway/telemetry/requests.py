"""A span for each request, around everything that answers it. Paths and queries are left out: they hold signatures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode, Tracer, use_span

from gateway.telemetry import TRACEPARENT
from gateway.telemetry.tracing import parent_from, traceparent_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# What the layers inside leave in a request's scope, and what that is called in its span.
_LEFT = {"leakdrill.request_id": "leakdrill.request_id", "leakdrill.accessor": "leakdrill.accessor"}


class TracedRequests:
    """Pure ASGI, the outermost layer. A caller's `traceparent` is taken up, so that its trace goes on here."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        context = parent_from(given.decode("latin-1") or None)
        span = self._tracer.start_span(scope["method"], context, SpanKind.SERVER)
        scope[TRACEPARENT] = traceparent_of(span)
        status = 0

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            span.update_name(f"{scope['method']} {route}")
            span.set_attributes({"http.request.method": scope["method"], "http.route": route})
            span.set_attributes({name: scope[key] for key, name in _LEFT.items() if scope.get(key)})
            if status:
                span.set_attribute("http.response.status_code", status)
            if status >= 500 or not status:
                span.set_status(StatusCode.ERROR)
            span.end()
