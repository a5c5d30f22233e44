"""What stands before every route of the control room: the login, and that a change comes from our own page."""

from __future__ import annotations

import json
import re
from typing import Any, cast
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from frontend.sessions import Session, Sessions

MOST_BYTES = 16_384
SURROGATE = re.compile(r"[\ud800-\udfff]")
# No script, style or picture from elsewhere, nothing inline, and nobody may frame it. `form-action` keeps a form from
# ever being sent by the browser itself, which would put its fields into the address.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
LOG_IN = "Nobody is logged in here. Open /control and log in with the admin token."


class Refused(Exception):
    """A request that is answered with these words and changes nothing."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def said(words: str, status: int = 200, **more: object) -> Response:
    """What happened, in words; a status below 400 means that it did."""
    return JSONResponse({"ok": status < 400, "words": words, **more}, status_code=status, headers=HEADERS)


async def refusal(_: Request, error: Exception) -> Response:
    """The answer to a refused request."""
    refused = cast(Refused, error)
    return said(refused.words, refused.status)


class Guard:
    """Judges requests. Every route but the login asks it, by being registered through it."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def cookie_name(self, request: Request) -> str:
        """Browsers do not tell ports apart, so that two rooms on one host need two names."""
        return f"leakdrill-control-{request.url.port or 'default'}"

    def cookie(self, request: Request) -> str | None:
        """What the browser sent."""
        return request.cookies.get(self.cookie_name(request))

    def ask(self, request: Request) -> Session | None:
        """Who asks, or None."""
        return self.sessions.of(self.cookie(request))

    async def reader(self, request: Request) -> Session:
        """Who asks; raises Refused for anybody who is not logged in."""
        session = self.ask(request)
        if session is None:
            raise Refused(401, LOG_IN)
        return session

    async def changer(self, request: Request) -> Session:
        """The same for a change, which must come from our own page."""
        session = await self.reader(request)
        ensure_own_page(request)
        return session


def ensure_own_page(request: Request) -> None:
    """Raises Refused unless a script of this very origin sent JSON. The cookie is SameSite=Strict besides."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "This takes JSON, as the control room sends it.")
    origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
    # Behind a proxy the host may have another name here; then the browser's own word counts, which no page can forge.
    if request.headers.get("sec-fetch-site") == "same-origin" or (host and urlsplit(origin).netloc == host):
        return
    raise Refused(403, "This did not come from the control room's own page, so nothing was done.")


async def body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent; raises Refused for anything else, and for more than 16 kB."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise Refused(413, f"More than {MOST_BYTES} bytes were sent, so nothing was read.")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "What was sent is not a JSON object.")
    return found


def text(fields: dict[str, Any], name: str, *, most: int, least: int = 1) -> str:
    """A field's text, without white space around it; raises Refused."""
    value = fields.get(name, "")
    # Half of a surrogate pair can be written in JSON, is no character, and could not be passed on.
    if not isinstance(value, str) or not least <= len(value.strip()) <= most or SURROGATE.search(value):
        raise Refused(400, f"{name} must be text of {least} to {most} characters.")
    return value.strip()
