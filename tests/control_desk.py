"""A control room on a real gateway, and an instructor who is logged in, for the tests of the control room."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from typing import Any

import httpx
from fastapi import FastAPI

from frontend.client import Gateway
from frontend.connected import Connected
from frontend.control_room import add_control_room
from frontend.tokens import PageTokens
from live import Live

# The fixture `serve` of tests/frontend.
Serve = Callable[[FastAPI], str]


def control_app(gateway_url: str, page_tokens: PageTokens | None = None, connected: Connected | None = None) -> FastAPI:
    """The control room alone, as the page's server has it, without the Generate page beside it."""
    gateway = Gateway(gateway_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await control.aclose()
        await gateway.aclose()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    tokens = page_tokens or PageTokens((), None, random.Random(1))
    control = add_control_room(app, gateway, tokens, connected=connected)
    return app


@dataclass
class Instructor:
    """Calls the page's server as the control room's own script does."""

    page: str
    jar: CookieJar = field(default_factory=CookieJar)

    @property
    def cookies(self) -> httpx.Cookies:
        """What the browser would keep."""
        return httpx.Cookies(self.jar)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        """One request, with the cookies of those before."""
        own = {"Origin": self.page, **(headers or {})}
        with httpx.Client(base_url=self.page, cookies=self.jar, trust_env=False, timeout=30) as http:
            return http.request(method, path, headers=own, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Reads."""
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Changes, or is refused."""
        return self.ask("POST", path, **options)

    def log_in(self, token: str, name: str = "") -> httpx.Response:
        """Logs in, or is refused."""
        return self.post("/control/login", json={"token": token, "name": name})

    def do(self, deed: str, **fields: Any) -> httpx.Response:
        """Asks for a deed."""
        return self.post(f"/control/{deed}", content=json.dumps(fields), headers={"Content-Type": "application/json"})

    def done(self, deed: str, **fields: Any) -> dict[str, Any]:
        """The same, where it must be done."""
        answer = self.do(deed, **fields)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        assert told["ok"]
        return told

    def state(self, path: str = "/control/state") -> dict[str, Any]:
        """The room as it is shown."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown


def events(live: Live, kind: str = "") -> list[dict[str, Any]]:
    """The gateway's event list."""
    found: list[dict[str, Any]] = live.control("GET", f"/control/events?kind={kind}&limit=1000")["data"]
    return found


def deeds(live: Live) -> list[dict[str, Any]]:
    """The list, without what workers tell whenever they come up."""
    return [event for event in events(live) if not event["kind"].startswith("worker.")]
