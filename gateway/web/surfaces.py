"""Which surface a request is for: the names by which uses are counted and the effect report tells what ended.

A file's surface also says what of it was asked for. It follows from the request alone, so that a use and a refusal of
the same request have the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.tokens.usage import INTROSPECTION

OTHER = "other"
HOOK = "/v1/webhook_endpoints/{webhook_endpoint_id}"
VIDEO = "/v1/videos/{video_id}"
SUBMIT = ("POST", "/v1/videos")
FAL = "/fal/{owner}/{alias}"
REPLICATE = "/replicate/v1"

BY_ROUTE: dict[tuple[str, str], str] = {
    ("GET", VIDEO): "poll",
    ("GET", "/v1/videos"): "list",
    ("GET", f"{VIDEO}/events"): "stream",
    ("DELETE", VIDEO): "delete",
    ("POST", f"{VIDEO}/cancel"): "cancel",
    ("POST", f"{VIDEO}/remix"): "remix",
    ("POST", "/v1/videos/edits"): "edit",
    ("POST", "/v1/videos/extensions"): "extend",
    ("POST", "/v1/videos/characters"): "new character",
    ("GET", "/v1/videos/characters/{character_id}"): "character",
    ("GET", "/v1/models"): "models",
    ("GET", "/v1/models/{model}"): "models",
    ("POST", f"{VIDEO}/link"): "new signed link",
    ("POST", f"{VIDEO}/share"): "new share",
    ("GET", f"{VIDEO}/share"): "share",
    ("DELETE", f"{VIDEO}/share"): "share withdrawal",
    ("POST", "/v1/webhook_endpoints"): "webhook create",
    ("GET", "/v1/webhook_endpoints"): "webhook list",
    ("GET", HOOK): "webhook retrieve",
    ("POST", HOOK): "webhook update",
    ("DELETE", HOOK): "webhook delete",
    ("POST", f"{HOOK}/rotate_secret"): "webhook rotate",
    ("POST", f"{HOOK}/test"): "webhook test",
    ("GET", "/v1/webhook_event_types"): "webhook event types",
    ("POST", "/v1/tokens"): "mint",
    ("POST", "/oauth/introspect"): INTROSPECTION,
    ("POST", FAL): "fal submit",
    ("POST", f"{FAL}/{{task}}"): "fal submit",
    ("GET", f"{FAL}/requests/{{request_id}}/status"): "fal status",
    ("GET", f"{FAL}/requests/{{request_id}}"): "fal result",
    ("PUT", f"{FAL}/requests/{{request_id}}/cancel"): "fal cancel",
    ("POST", f"{REPLICATE}/predictions"): "replicate submit",
    ("POST", f"{REPLICATE}/models/{{owner}}/{{name}}/predictions"): "replicate submit",
    ("GET", f"{REPLICATE}/predictions/{{prediction_id}}"): "replicate poll",
    ("GET", f"{REPLICATE}/predictions"): "replicate list",
    ("POST", f"{REPLICATE}/predictions/{{prediction_id}}/cancel"): "replicate cancel",
    ("GET", f"{REPLICATE}/models/{{owner}}/{{name}}"): "replicate model",
    ("GET", f"{REPLICATE}/models/{{owner}}/{{name}}/versions/{{version_id}}"): "replicate model",
    ("POST", "/together/v2/videos"): "together submit",
    ("GET", "/together/v2/videos/{video_id}"): "together poll",
}
# Files: what a whole one is called, and how its parts begin.
FILES = {f"{VIDEO}/content": ("download", ""), "/media/{video_id}": ("signed link", "signed link, ")}
FILES["/s/{share_id}"] = ("share link", "share link, ")


def surface_of(scope: Mapping[str, Any]) -> str:
    """The surface of a request."""
    method, route = scope["method"], getattr(scope.get("route"), "path", "")
    name = BY_ROUTE.get((method, route))
    if name is not None:
        return name
    if (method, route) == SUBMIT:
        return _of_submit(scope)
    file = FILES.get(route)
    return OTHER if file is None else _of_file(scope, *file)


def _of_submit(scope: Mapping[str, Any]) -> str:
    """A submit that may stand for an earlier one is a replay, whether or not there was one."""
    form = False
    for name, value in scope["headers"]:
        if name == b"idempotency-key" or (name == b"x-stainless-retry-count" and value.strip(b"0") != b""):
            return "idempotent replay"
        form = form or (name == b"content-type" and value.startswith(b"multipart/"))
    return "upload" if form else "submit"


def _of_file(scope: Mapping[str, Any], whole: str, prefix: str) -> str:
    asked = {name for name, _ in scope["headers"]}
    query = scope["query_string"]
    if b"variant=preview" in query:
        part = "preview"  # it has no ranges and no validators
    elif scope["method"] == "HEAD":
        part = "HEAD"
    elif b"if-none-match" in asked or b"if-modified-since" in asked:
        part = "304"
    elif b"range" in asked:
        part = "range"
    elif b"variant=thumbnail" in query:
        part = "thumbnail"
    elif b"variant=spritesheet" in query:
        part = "spritesheet"
    else:
        return whole
    return prefix + part
