"""A gateway that is not ours, seen through its public API: one request, timed, sorted and kept.

What is kept holds neither a token nor the address of a signed link.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from drills.callers import Answer, Bearer, Caller
from drills.history import Exchange, History, Outcome, outcome_of

# More of an answer is not read: a clip that is asked for again and again need not come whole.
MOST_JSON = 1_048_576
MOST_MEDIA = 4096
MOST_HOPS = 3
# How a link without a bearer may say that it is no longer good.
GONE = frozenset({401, 403, 404, 410})


@dataclass(frozen=True)
class Request:
    """What is asked. `shown` stands in the journal instead of a path that is a secret itself; `bare` sends no bearer;
    `media` is an answer that need not be JSON."""

    surface: str
    method: str
    path: str
    form: Mapping[str, str] | None = None
    bare: bool = False
    media: bool = False
    shown: str | None = None


def bearer_of(secret: str, name: str) -> Bearer:
    """A token under the name of its fingerprint."""
    return Bearer(secret, "fp_" + hashlib.sha256(secret.encode()).hexdigest()[:12], name, "")


class ForeignClient:
    """Asks one gateway. Close it with `aclose()`.

    Args:
        refusals: statuses that say that a token does not count.
        hosts: hosts, besides the target's, whose links are followed; without a bearer.
    """

    def __init__(
        self,
        target: str,
        history: History,
        *,
        timeout: float,
        refusals: frozenset[int],
        hosts: frozenset[str] = frozenset(),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.target = target.rstrip("/")
        self._history = history
        self._refusals = refusals
        self._hosts = hosts | {urlsplit(self.target).netloc}
        self._http = httpx.AsyncClient(
            base_url=self.target,
            timeout=timeout,
            transport=transport,
            trust_env=False,
            limits=httpx.Limits(max_connections=128, max_keepalive_connections=64),
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    def follows(self, url: str) -> bool:
        """Whether a link leads to a host that may be asked."""
        parts = urlsplit(url)
        return not parts.netloc or (parts.scheme in ("http", "https") and parts.netloc in self._hosts)

    async def ask(self, caller: Caller, request: Request) -> Answer:
        """Send, time, sort, keep. Nothing that goes wrong on the way raises: it is a fault of the target."""
        self._history.check_limit()
        token = caller.bearer.token if caller.bearer and not request.bare else None
        start = self._history.now()
        try:
            status, headers, content = await self._fetch(request, token)
        except (httpx.HTTPError, httpx.InvalidURL):
            status, headers, content = None, httpx.Headers(), b""
        end = self._history.now()
        body = _object(content) if status is not None and not request.media else {}
        code = _code(_object(content)) if status is not None and status >= 400 else None
        exchange = Exchange(
            n=len(self._history.exchanges) + 1,
            actor=caller.actor,
            who=caller.who,
            surface=request.surface,
            accessor=caller.bearer.accessor if caller.bearer else None,
            method=request.method,
            path=request.shown or urlsplit(request.path).path,
            start=start,
            end=end,
            status=status,
            outcome=self._sort(request, status, headers, body, code),
            code=code,
            bytes=len(content) if status is not None and status < 300 and request.media else None,
        )
        self._history.add(exchange)
        return Answer(exchange, body, headers)

    async def _fetch(self, request: Request, token: str | None) -> tuple[int, httpx.Headers, bytes]:
        """The end of a chain of redirects, and the beginning of its body. Only the first hop bears the token."""
        method, url, form = request.method, request.path, request.form
        for _ in range(MOST_HOPS):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            parts = {name: (None, value) for name, value in form.items()} if form else None
            async with self._http.stream(method, url, headers=headers, files=parts) as response:
                where = response.headers.get("location")
                if not (300 <= response.status_code < 400 and where and request.media):
                    most = MOST_JSON if not request.media or response.status_code >= 400 else MOST_MEDIA
                    return response.status_code, response.headers, await _beginning(response, most)
                url = urljoin(str(response.url), where)
            if not self.follows(url):
                return response.status_code, response.headers, b""
            method, token, form = "GET", None, None
        return response.status_code, response.headers, b""

    def _sort(
        self,
        request: Request,
        status: int | None,
        headers: Mapping[str, str],
        body: Mapping[str, Any],
        code: str | None,
    ) -> Outcome:
        """What the answer means for the token. A page in HTML, or a redirect to it, is neither yes nor no."""
        if status is not None and status < 400:
            is_page = "html" in headers.get("content-type", "").lower()
            says_so = status < 300 and not is_page and (request.media or bool(body))
            return "accepted" if says_so else "unclear"
        if status in (GONE if request.bare else self._refusals):
            return "refused"
        outcome = outcome_of(status, code)
        # 401 is a refusal only where the caller said so: a gateway may use another status.
        return "unclear" if outcome == "refused" and status == 401 else outcome


async def _beginning(response: httpx.Response, most: int) -> bytes:
    if "event-stream" in response.headers.get("content-type", ""):
        return b""  # it may stay silent for long
    content = b""
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) >= most:
            break
    return content[:most]


def _object(content: bytes) -> dict[str, Any]:
    """The JSON object in an answer; empty for anything else."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _code(body: Mapping[str, Any]) -> str | None:
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return str(code)[:80] if code else None
