"""Routes for the calls that load tests live on."""

from __future__ import annotations

from starlette.routing import Match, Route
from starlette.types import Scope


class HotRoute(Route):
    """A route that reads its request itself, and so needs none of what FastAPI does around an endpoint: no solving of
    dependencies, no exit stacks, no choice of a response class. It stands before the FastAPI route of the same path,
    which documents it and takes every other method."""

    def __init__(self, path: str, endpoint: object, method: str) -> None:
        super().__init__(path, endpoint, methods=[method])  # type: ignore[arg-type]
        self._method = method

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope["method"] != self._method:
            return Match.NONE, {}
        match, child = super().matches(scope)
        return match, {**child, "route": self} if child else child
