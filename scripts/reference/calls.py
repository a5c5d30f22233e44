"""docs/reference/calls.md: every call that `/openapi.json` has."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.app import create_app
from gateway.clock import SystemClock
from gateway.settings import Settings, prepare_data
from gateway.store import open_store
from gateway.tokens.keys import load_keyring
from scripts.reference.markdown import code, table

# What is said once, above the tables.
EVERYWHERE = {"200", "400", "422", "503"}
BY_CHANGE, BY_BODY, BY_PATH = {"404", "409"}, {"413", "415"}, {"404"}
BY_TOKEN = {"401", "403", "429"}
BY_GUARD = {"token": BY_TOKEN, "key": BY_TOKEN, "admin": {"401"}, "signature": {"401"}, "": set[str]()}
# A key is the same token in the scheme of another vendor.
WHO = {"token": "token", "key": "token", "admin": "admin", "signature": "reporter", "": "-"}


@dataclass(frozen=True)
class Group:
    """Calls whose path begins so, and the page that explains them."""

    title: str
    paths: str
    more: str


GROUPS = (
    Group("Videos", r"/v1/videos(?!/\{video_id\}/share)|/media/", "../api.md"),
    Group("Models", r"/v1/models", "../api.md#fields-of-a-video"),
    Group("Shares", r"/v1/videos/\{video_id\}/share|/s/|/control/shares", "../sharing.md"),
    Group("Webhooks", r"/v1/webhook|/control/webhooks", "../webhooks.md"),
    Group("Child tokens", r"/v1/tokens", "../revocation.md#child-tokens"),
    Group("A token one holds", r"/oauth/", "../revocation.md"),
    Group("Other vendors' wires", r"/(fal|replicate|together|hf)/", "../clients.md"),
    Group("Leak notices", r"/disclosures/|/control/reporters", "../disclosures.md"),
    Group("State of the gateway", r"/healthz|/readyz|/status|/metrics", "../metrics.md"),
    Group("Tokens", r"/control/(tokens|mint)", "../api.md#tokens"),
    Group("Revocations and restorations", r"/control/(revocations|restorations)", "../revocation.md"),
    Group("The exercise", r"/control/(state|clock|broadcast|injects|reset|events|drill)", "../drills.md"),
    Group("A class", r"/control/class|/join", "../classroom.md"),
    Group("Slowness, failures, mistakes", r"/control/(profile|faults|replicas)", "../faults.md"),
    Group("The end of the API", r"/control/sunset", "../sunset.md"),
    Group("Clients and credits", r"/control/(clients|credits)", "../limits.md"),
    Group("Tracing", r"/control/trace", "../trace.md"),
    Group("Security events", r"/control/sinks|/\.well-known/", "../signals.md"),
)


def page() -> str:
    document = _document()
    rows: dict[str, list[tuple[str, ...]]] = {}
    for path, method, operation in _operations(document):
        rows.setdefault(_title(path), []).append(_row(document, path, method, operation))
    known = [(group.title, f"More: [{Path(group.more.partition('#')[0]).name}]({group.more}).") for group in GROUPS]
    sections = [
        f"## {title}\n\n{more}\n\n" + table(("Call", "For", "Takes", "Does", "Answers"), rows[title])
        for title, more in [*known, ("Further calls", "")]
        if title in rows
    ]
    return "\n\n".join([_head(document), *sections]).replace("\n\n\n", "\n") + "\n"


def _head(document: Mapping[str, Any]) -> str:
    number = sum(1 for _ in _operations(document))
    return f"""# Calls

The {number} calls of the gateway, made from what `GET /openapi.json` says. *For* is
who may: whoever has a token, the admin, a reporter of leaks, or everybody (-). Fields in **bold** are required.
*Answers* are those besides 200 and these [errors](errors.md): 400, 422 and 503 everywhere; 401, 403 and 429 to a token;
401 to the admin and to a reporter; 404 where the path names something, or something is changed, and then 409 too; 413
and 415 where there is a body."""


def _document() -> dict[str, Any]:
    """The application's own description, from a gateway on an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder) / "data")
        prepare_data(settings)
        store = open_store(settings.database)
        app = create_app(settings, store=store, clock=SystemClock(), keys=load_keyring(settings))
        return app.openapi()


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _title(path: str) -> str:
    return next((group.title for group in GROUPS if re.match(group.paths, path)), "Further calls")


def _row(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> tuple[str, ...]:
    guard = next((name for need in operation.get("security", ()) for name in need), "")
    said = EVERYWHERE | BY_GUARD[guard] | (BY_PATH if "{" in path or "after" in _query(operation) else set())
    said |= (BY_CHANGE if method != "get" else set()) | (BY_BODY if "requestBody" in operation else set())
    answers = sorted(set(operation["responses"]) - said)
    text = " ".join(operation.get("description", "").split())
    return (
        f"`{method.upper()} {path}`",
        WHO[guard],
        ", ".join(_fields(document, operation)),
        text,
        ", ".join(answers),
    )


def _fields(document: Mapping[str, Any], operation: Mapping[str, Any]) -> list[str]:
    """The names that a caller may send: of the query first, then of the body."""
    query = [_name(name, required=required) for name, required in _query(operation).items()]
    contents = operation.get("requestBody", {}).get("content", {})
    bodies = [_resolved(document, content.get("schema", {})) for content in contents.values()]
    body: dict[str, bool] = {}
    for schema in bodies:
        for name in schema.get("properties", {}):
            body.setdefault(name, name in schema.get("required", ()))
    shown = [_name(name, required=required) for name, required in body.items()]
    kinds = [kind for kind, schema in zip(contents, bodies, strict=True) if "properties" not in schema]
    return [*query, *shown, *([code(kinds)] if kinds and not shown else [])]


def _query(operation: Mapping[str, Any]) -> dict[str, bool]:
    """Names of the query's parameters, and whether each is required."""
    given = operation.get("parameters", ())
    return {one["name"]: one.get("required", False) for one in given if one["in"] == "query"}


def _name(name: str, *, required: bool) -> str:
    return f"**`{name}`**" if required else f"`{name}`"


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema
