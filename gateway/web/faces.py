"""The vendors whose wire the gateway speaks, by the first part of a path: how each wants to be shown a token, and in
what body it tells an error. What is not below is OpenAI's.

Sources: the Python clients fal_client 1.0.3, replicate 1.0.7, together 3.1.1 and huggingface_hub 2.4.0, which read
these bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gateway.errors import APIError

_TEXT = {"type": "string"}
_NULLABLE = {"type": ["string", "null"]}


@dataclass(frozen=True)
class Face:
    """`schemes` are the authentication schemes that carry a token, in small letters; `scheme` is the one in challenges
    and texts. `body` makes an error's body, which has `schema`; `more` are headers of its own."""

    name: str
    schemes: tuple[str, ...]
    scheme: str
    body: Callable[[APIError], dict[str, Any]]
    schema: Mapping[str, Any]
    more: Callable[[APIError], dict[str, str]] = lambda _error: {}

    def headers_of(self, error: APIError) -> dict[str, str]:
        """The error's headers, any challenge in this face's scheme (RFC 9110, section 11.6.1)."""
        found = {**error.headers, **self.more(error)}
        given = found.get("WWW-Authenticate", "")
        if given.startswith("Bearer "):
            found["WWW-Authenticate"] = self.scheme + given.removeprefix("Bearer")
        return found


def _fal(error: APIError) -> dict[str, Any]:
    detail: object = error.message
    if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        where = ["body", *(error.param or "").split(".")] if error.param else ["body"]
        detail = [{"loc": where, "msg": error.message, "type": error.error_code}]
    return {"detail": detail, "error_type": error.error_code}


def _replicate(error: APIError) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": error.error_code,
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
    }
    if error.param is not None and error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        found["invalid_fields"] = [
            {"field": error.param, "type": error.error_code, "description": error.message},
        ]
    return found


def _hub(error: APIError) -> dict[str, Any]:
    return {"error": error.message}


def _hub_headers(error: APIError) -> dict[str, str]:
    # What its client tells kinds of "not found" by.
    return {"X-Error-Code": "RepoNotFound"} if error.status == HTTPStatus.NOT_FOUND else {}


def _object(required: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": fields}


OPENAI_SCHEMA = _object(
    ("error",),
    error=_object(("message", "type", "param", "code"), message=_TEXT, type=_TEXT, param=_NULLABLE, code=_NULLABLE),
)
_FIELD = _object(("loc", "msg", "type"), loc={"type": "array", "items": _TEXT}, msg=_TEXT, type=_TEXT)
_FAL_SCHEMA = _object(
    ("detail", "error_type"), detail={"anyOf": [_TEXT, {"type": "array", "items": _FIELD}]}, error_type=_TEXT
)
_REPLICATE_SCHEMA = _object(
    ("type", "title", "status", "detail"),
    type=_TEXT,
    title=_TEXT,
    status={"type": "integer"},
    detail=_TEXT,
    invalid_fields={
        "type": "array",
        "items": _object(("field", "type", "description"), field=_TEXT, type=_TEXT, description=_TEXT),
    },
)

OPENAI = Face("", ("bearer",), "Bearer", APIError.body, OPENAI_SCHEMA)
FACES: dict[str, Face] = {
    "fal": Face("fal", ("key",), "Key", _fal, _FAL_SCHEMA),
    # Older scripts send `Token`.
    "replicate": Face("replicate", ("bearer", "token"), "Bearer", _replicate, _REPLICATE_SCHEMA),
    "together": Face("together", ("bearer",), "Bearer", APIError.body, OPENAI_SCHEMA),
    "hf": Face("hf", ("bearer",), "Bearer", _hub, _object(("error",), error=_TEXT), _hub_headers),
}


def face_of(path: str) -> Face:
    """Whose wire is spoken at a path."""
    if path.startswith("/v1/"):  # the polls, of which there are many
        return OPENAI
    return FACES.get(path[1:].partition("/")[0], OPENAI)
