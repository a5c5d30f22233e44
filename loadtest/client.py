"""The published `openai` client for Python 3.54, as a gateway meets it: headers, form, retries and polls.

What it sends and when it tries again was read off the wire and from its source; tests/loadtest compares both. Requests
go through Locust's session, which is all that this module needs to know of Locust.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import math
import platform
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadtest.history import Exchange, History, Surface

VERSION = "3.54.0"
MAX_RETRIES = 2
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.5, 8.0
MAX_RETRY_AFTER_SECONDS = 120.0
CONNECT_SECONDS, READ_SECONDS = 5.0, 600.0
POLL_SECONDS = 1.0
CHUNK = 1 << 16
NAMES: dict[Surface, str] = {
    "submit": "POST /v1/videos",
    "poll": "GET /v1/videos/{id}",
    "download": "GET /v1/videos/{id}/content",
    "delete": "DELETE /v1/videos/{id}",
}
_ARCHITECTURES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}
STAINLESS = {
    "user-agent": f"OpenAI/Python {VERSION}",
    "x-stainless-lang": "python",
    "x-stainless-package-version": VERSION,
    "x-stainless-os": {"Darwin": "MacOS"}.get(platform.system(), platform.system()),
    "x-stainless-arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
    "x-stainless-runtime": platform.python_implementation(),
    "x-stainless-runtime-version": platform.python_version(),
    "x-stainless-async": "false",
}


class Response(Protocol):
    """What is used of an answer. `error` is there where none came; `stream` reads the body piece by piece."""

    headers: Mapping[str, str] | None

    @property
    def status_code(self) -> int: ...
    @property
    def content(self) -> bytes | None: ...


class Session(Protocol):
    """What is used of Locust's FastHttpSession."""

    def request(self, method: str, url: str, **options: Any) -> Any: ...


@dataclass(frozen=True)
class Reply:
    """How a call ended, retries and all. `body` is empty unless JSON came."""

    status: int
    code: str
    body: dict[str, Any]
    headers: Mapping[str, str]
    ended: float

    @property
    def ok(self) -> bool:
        """Whether the client got what it asked for."""
        return 200 <= self.status < 300 and not self.code

    @property
    def refused(self) -> bool:
        return self.status in (401, 403)

    @property
    def poll_after(self) -> float:
        """Seconds until the next poll, as told, or the client's own."""
        told = self.headers.get("openai-poll-after-ms")
        try:
            return int(told) / 1000.0 if told else POLL_SECONDS
        except ValueError:
            return POLL_SECONDS


@dataclass
class Line:
    """Where a process's requests are kept, and what tells it the time. `tried` is when a request last went out, and
    `answered` when an answer last came."""

    history: History
    now: Callable[[], float]
    sleep: Callable[[float], None]
    tried: float = 0.0
    answered: float = 0.0


@dataclass
class OpenAIClient:
    """One user's client during one session."""

    session: Session
    line: Line
    token: str
    place: int
    number: int
    person: int
    chance: random.Random = field(default_factory=random.Random)

    def create(self, prompt: str, model: str, seconds: int, size: str) -> Reply:
        """POST /v1/videos as a form."""
        body, kind = multipart({"prompt": prompt, "model": model, "seconds": str(seconds), "size": size})
        return self._call("submit", "POST", "/v1/videos", {"content-type": kind}, body)

    def retrieve(self, video: str) -> Reply:
        """One poll, as the poll helper sends it."""
        helper = {"x-stainless-poll-helper": "true", "x-stainless-raw-response": "true"}
        return self._call("poll", "GET", f"/v1/videos/{video}", helper)

    def download(self, video: str) -> Reply:
        """The clip; its bytes are counted and dropped."""
        return self._call("download", "GET", f"/v1/videos/{video}/content", {"accept": "application/binary"})

    def delete(self, video: str) -> Reply:
        return self._call("delete", "DELETE", f"/v1/videos/{video}", {"content-type": "application/json"})

    def _call(
        self, surface: Surface, method: str, path: str, own: Mapping[str, str], body: bytes | None = None
    ) -> Reply:
        """A request and, where the client would, the same again."""
        for attempt in range(MAX_RETRIES + 1):
            headers = {"authorization": f"Bearer {self.token}", "accept": "application/json", **STAINLESS, **own}
            headers["x-stainless-retry-count"] = str(attempt)
            headers["x-stainless-read-timeout"] = f"{READ_SECONDS:.0f}"
            start = self.line.now()
            status, code, content, told = self._send(surface, method, path, headers, body)
            end = self.line.now()
            parsed = _object(content) if surface != "download" or status >= 400 else {}
            # A body that broke off is to the client as if no answer had come.
            failed = bool(code) or not 200 <= status < 400
            again = failed and attempt < MAX_RETRIES and should_retry(0 if code else status, told)
            code = code or _error_code(parsed)
            size = len(content) if isinstance(content, bytes) else content
            self.line.history.exchanges.append(
                Exchange(
                    0, self.number, self.person, self.place, surface, attempt, start, end, status, code, not again, size
                )
            )
            if not again:
                break
            self.line.sleep(retry_seconds(attempt, told, self.chance.random()))
        return Reply(status, code, parsed, told, end)

    def _send(
        self, surface: Surface, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, str, bytes | int, Mapping[str, str]]:
        """Status (0 for none), what broke, the body or how many bytes it had, and the headers."""
        streams = surface == "download"
        self.line.tried = self.line.now()
        answer = self.session.request(
            method, path, name=NAMES[surface], data=body, headers=headers, stream=streams, allow_redirects=True
        )
        status: int = answer.status_code
        if not status:
            return 0, _broke(getattr(answer, "error", None)), b"", {}
        self.line.answered = self.line.now()
        told = answer.headers or {}
        if streams and status < 400:
            size, broke = _count(answer)
            return status, broke, size, told
        return status, "", answer.content or b"", told


def multipart(fields: Mapping[str, str]) -> tuple[bytes, str]:
    """The form and its content type. A field without a file has no content type of its own."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return f"{''.join(parts)}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that an answer asks to wait, in the order in which the client looks; None where it does not say.

    Args:
        now: Unix seconds, for a date; the system's unless given.
    """
    for header, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return float(headers[header]) / divisor
        except (KeyError, ValueError):
            continue
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    if date is None:
        return None
    return float(email.utils.mktime_tz(date)) - (time.time() if now is None else now)


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the client sends a request that failed again; 0 stands for no answer."""
    wait = retry_after(headers)
    if wait is not None and math.isfinite(wait) and wait > MAX_RETRY_AFTER_SECONDS:
        return False
    told = headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    return status in (0, 408, 409, 429) or status >= 500


def retry_seconds(attempt: int, headers: Mapping[str, str], drawn: float) -> float:
    """How long the client waits before it sends the request again.

    Args:
        attempt: 0 for the first one.
        drawn: from 0 to 1; shortens the wait by up to a quarter.
    """
    wait = retry_after(headers)
    if wait is not None and math.isfinite(wait) and 0 < wait <= MAX_RETRY_AFTER_SECONDS:
        return wait
    return min(FIRST_RETRY_SECONDS * 2.0**attempt, MAX_RETRY_SECONDS) * (1 - 0.25 * drawn)


def _count(answer: Any) -> tuple[int, str]:
    """How many bytes came, and what broke before the end."""
    size = 0
    try:
        while chunk := answer.stream.read(CHUNK):
            size += len(chunk)
    except (OSError, http.client.HTTPException) as error:
        answer.release()
        return size, _broke(error)
    return size, ""


def _broke(error: BaseException | None) -> str:
    """A short name for what ended a request."""
    if isinstance(error, ConnectionRefusedError):
        return "connection_refused"
    return {
        "timeout": "timeout",
        "TimeoutError": "timeout",
        "ConnectionResetError": "connection_reset",
        "BrokenPipeError": "connection_reset",
        "HTTPConnectionClosed": "connection_closed",
        "HTTPParseError": "not_http",
        "gaierror": "name_not_found",
    }.get(type(error).__name__, "no_answer")


def _object(content: bytes | int) -> dict[str, Any]:
    """The JSON object of a body; empty for anything else."""
    try:
        body = json.loads(content) if isinstance(content, bytes) and content else {}
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _error_code(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return str(code) if code else ""
