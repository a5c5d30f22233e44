"""What `/openapi.json` says beyond what the framework finds out: who may call, and how each call is refused."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from gateway.errors import (
    APIError,
    Conflict,
    InsufficientScope,
    InvalidCredentials,
    InvalidRequest,
    JoinRefused,
    LinkRefused,
    NotFound,
    PayloadTooLarge,
    RateLimitExceeded,
    SignatureRefused,
    StoreUnavailable,
    UnprocessableRequest,
    UnsupportedMediaType,
)
from gateway.web.faces import FACES, OPENAI, Face, face_of

SCHEMES: dict[str, Any] = {
    "token": {"type": "http", "scheme": "bearer", "description": "An access token, `ldk_…`."},
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The same access token in fal's scheme: `Key ldk_…`.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Github-Public-Key-Signature",
        "description": "ECDSA P-256 with SHA-256 over the body, base64; Github-Public-Key-Identifier names the key.",
    },
    "admin": {"type": "http", "scheme": "bearer", "description": "The admin token, from the file `admin.token`."},
}
# Who may call what lies below a path; elsewhere everybody may.
GUARDS = {
    "/v1/": "token",
    "/fal/": "key",
    "/replicate/": "token",
    "/together/": "token",
    "/control/": "admin",
    "/oauth/introspect": "admin",
    "/disclosures/": "signature",
}

ALWAYS: tuple[type[APIError], ...] = (InvalidRequest, UnprocessableRequest, StoreUnavailable)
WITH_BODY: tuple[type[APIError], ...] = (PayloadTooLarge, UnsupportedMediaType)
CHANGING: tuple[type[APIError], ...] = (NotFound, Conflict)
BY_GUARD: dict[str, tuple[type[APIError], ...]] = {
    "token": (InvalidCredentials, InsufficientScope, RateLimitExceeded),
    "key": (InvalidCredentials, InsufficientScope, RateLimitExceeded),
    "admin": (InvalidCredentials,),
    "signature": (SignatureRefused,),
}


def describe(app: FastAPI) -> None:
    """Makes the application's document name guards and refusals on every operation."""
    found = app.openapi

    def described() -> dict[str, Any]:
        document = found()
        if "securitySchemes" not in document.setdefault("components", {}):
            _complete(document)
        return document

    app.openapi = described  # type: ignore[method-assign]  # the framework's own way to extend the document


def _complete(document: dict[str, Any]) -> None:
    components = document["components"]
    components["securitySchemes"] = SCHEMES
    schemas = components.setdefault("schemas", {})
    for face in (OPENAI, *FACES.values()):
        schemas[_error_of(face)] = {"title": _error_of(face), **face.schema}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in document["paths"].items():
        guard = next((name for start, name in GUARDS.items() if path.startswith(start)), None)
        for method, operation in operations.items():
            if guard is not None:
                operation["security"] = [{guard: []}]
            answers = operation["responses"]
            answers.pop("422", None)  # the framework's shape, which nobody is ever told
            for error in _refusals(path, method, operation, guard):
                answers.setdefault(str(error.status), _refusal(error, path))


def _refusals(path: str, method: str, operation: dict[str, Any], guard: str | None) -> list[type[APIError]]:
    errors = [*ALWAYS, *BY_GUARD.get(guard or "", ())]
    if "{" in path or any(parameter["name"] in ("after", "cursor") for parameter in operation.get("parameters", ())):
        errors.append(NotFound)
    if path.startswith("/media/"):
        errors.append(LinkRefused)
    if path == "/join":
        errors += [JoinRefused, RateLimitExceeded]
    if method != "get":
        errors += CHANGING
    if "requestBody" in operation:
        errors += WITH_BODY
    return errors


def _refusal(error: type[APIError], path: str) -> dict[str, Any]:
    reason = (error.__doc__ or "").strip().splitlines()[0]
    schema = {"$ref": f"#/components/schemas/{_error_of(face_of(path))}"}
    return {"description": reason, "content": {"application/json": {"schema": schema}}}


def _error_of(face: Face) -> str:
    """The name of the schema of a vendor's errors."""
    return f"{face.name.capitalize()}Error" if face.name else "Error"
