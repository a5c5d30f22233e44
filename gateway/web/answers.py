"""Every error as the one envelope, whoever raised it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from gateway.clients.report import owner_of
from gateway.errors import (
    APIError,
    InsufficientScope,
    InvalidCredentials,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ServerFault,
    UnprocessableRequest,
)
from gateway.limits import repeats
from gateway.tokens import service
from gateway.web.context import ACCESSOR, context_of
from gateway.web.faces import face_of
from gateway.web.surfaces import surface_of

log = logging.getLogger("leakdrill.gateway")

REQUEST_ID = "leakdrill.request_id"


def add_handlers(app: FastAPI) -> None:
    """Puts the envelope on our errors, the framework's, validation's, and on what nobody foresaw."""
    for kind, handler in _FORESEEN.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(Exception, _on_unforeseen)


def answer(error: APIError, scope: Mapping[str, Any], background: BackgroundTask | None = None) -> JSONResponse:
    """The response for an error, in the body of the vendor whose wire this request speaks."""
    face = face_of(scope["path"])
    return JSONResponse(face.body(error), error.status, headers=face.headers_of(error), background=background)


async def answer_to(request: Request, exc: Exception) -> Response:
    """The same for who calls an endpoint itself."""
    for kind, handler in _FORESEEN.items():
        if isinstance(exc, kind):
            return await handler(request, exc)
    return await _on_unforeseen(request, exc)


async def _on_api_error(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, APIError):
        raise exc
    count_refusal(request, exc)
    if ACCESSOR in request.scope and repeats.begins_anew(request.scope):
        await repeats.forget_unnamed(context_of(request).store, request.scope[ACCESSOR])
    # After the answer, so that a refusal for a known token takes no longer than one for an unknown token.
    return answer(exc, request.scope, BackgroundTask(_note_refusal, request, exc, context_of(request).clock.now()))


def count_refusal(request: Request, error: APIError) -> None:
    """Counts an error that is answered, and what it says of a bearer."""
    counts = context_of(request).metrics.counts
    counts.refused(error.error_code)
    if isinstance(error, (InvalidCredentials, InsufficientScope)):
        counts.judged(error.reason)


async def _note_refusal(request: Request, error: APIError, now: float) -> None:
    """Tells the event list of a known token's refusal, and the clients' report of any."""
    ctx = context_of(request)
    accessor = request.scope.get(ACCESSOR)
    if isinstance(error, (InvalidCredentials, InsufficientScope)) and error.accessor is not None:
        accessor = error.accessor
        await service.record_refusal(
            ctx.store,
            accessor=accessor,
            surface=_surface(request),
            use=surface_of(request.scope),
            replica=ctx.settings.replica,
            reason=error.reason,
            now=now,
        )
    if error.error_code == "link_expired":
        accessor = await owner_of(ctx.store, request.path_params["video_id"])
    if accessor is not None:
        ctx.clients.refused(accessor, error, request.scope, now)
        ctx.ramps.refused(accessor, error, now)


async def _on_http_exception(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, HTTPException):
        raise exc
    headers = {name.title(): value for name, value in (exc.headers or {}).items()}
    where = f"{request.method} {request.url.path[:200]}"
    if exc.status_code == 404:
        error: APIError = NotFound(f"There is nothing at {where}.", headers=headers)
    elif exc.status_code == 405:
        allowed = headers["Allow"] = ", ".join(_methods(request))
        error = MethodNotAllowed(f"{where} is not possible here; use {allowed}.", headers=headers)
    elif exc.status_code < 500:
        error = InvalidRequest(str(exc.detail), headers=headers, code="invalid_request")
    else:
        error = ServerFault(str(exc.detail), headers=headers)
    count_refusal(request, error)
    response = answer(error, request.scope)
    response.status_code = exc.status_code
    return response


def _methods(request: Request) -> list[str]:
    """Every method of this address (RFC 9110, section 10.2.1); the framework names those of one route. An address that
    is spelled out goes before a template that would match it too."""
    spelled_out = request.app.openapi()["paths"].get(request.url.path)
    if spelled_out is not None:
        return sorted(method.upper() for method in spelled_out)
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _on_validation_error(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, RequestValidationError):
        raise exc
    error = unprocessable(exc.errors())
    count_refusal(request, error)
    return answer(error, request.scope)


async def _on_disconnect(_request: Request, _exc: Exception) -> Response:
    # The client broke off its own body. Nobody reads this answer, and nothing here went wrong.
    return Response(status_code=499)


_FORESEEN: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    APIError: _on_api_error,
    HTTPException: _on_http_exception,
    RequestValidationError: _on_validation_error,
    ClientDisconnect: _on_disconnect,
}


async def _on_unforeseen(request: Request, exc: Exception) -> JSONResponse:
    request_id = str(request.scope.get(REQUEST_ID, ""))
    log.error("action=unforeseen_error surface=%r request_id=%s", _surface(request), request_id, exc_info=exc)
    error = ServerFault("The gateway failed on this request; its log says why.")
    count_refusal(request, error)
    return answer(error, request.scope)


def unprocessable(errors: Sequence[Any]) -> UnprocessableRequest:
    """Pydantic's findings as one sentence; `param` is the first field's dotted name."""
    parts = []
    for error in errors:
        name = ".".join(str(part) for part in error["loc"] if part not in ("body", "query", "path"))
        message = str(error["msg"]).removeprefix("Value error, ")
        parts.append(f"{name or 'body'}: {message}")
    first = parts[0].partition(":")[0] if parts else None
    return UnprocessableRequest("; ".join(parts[:5]) + ".", param=first)


def _surface(request: Request) -> str:
    """The route's template, so that ids do not end up in the list as surfaces."""
    route = request.scope.get("route")
    return f"{request.method} {getattr(route, 'path', request.url.path[:200])}"
