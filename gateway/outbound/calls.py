"""One GET or POST to a checked target: no redirects, no proxies, a bounded body, one timeout over everything."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import httpx

from gateway import __version__
from gateway.errors import FetchFailed
from gateway.outbound.targets import Reach, Resolver, Target, checked, system_resolver

USER_AGENT = f"leakdrill/{__version__}"


@dataclass(frozen=True)
class Reply:
    """What a receiver answered. `retry_after` is the header as it came; `content` is the beginning of the body, as much
    of it as the caller wanted."""

    status: int
    retry_after: str | None = None
    content: bytes = b""


async def fetch(
    url: str,
    *,
    allow_private: Reach,
    max_bytes: int,
    timeout: float,  # noqa: ASYNC109 - it is over name, connection and body alike
    param: str | None = "url",
    resolve: Resolver = system_resolver,
    tls: ssl.SSLContext | None = None,
) -> bytes:
    """The body behind `url`, at most `max_bytes`, within `timeout` seconds in all. Raises UrlRefused or FetchFailed."""
    try:
        async with asyncio.timeout(timeout):
            target = await checked(url, allow_private=allow_private, param=param, resolve=resolve)
            async with _call(_Request("GET", target), tls) as response:
                return await _bounded(response, max_bytes, param)
    except TimeoutError as exc:
        raise FetchFailed(f"The URL did not deliver within {timeout:g} s.", param=param) from exc
    except httpx.HTTPError as exc:
        raise FetchFailed(f"The URL could not be fetched ({_cause(exc)}).", param=param) from exc


async def post(
    url: str,
    *,
    content: bytes,
    headers: Mapping[str, str],
    allow_private: Reach,
    timeout: float,  # noqa: ASYNC109 - it is over name, connection and body alike
    param: str | None = "url",
    resolve: Resolver = system_resolver,
    tls: ssl.SSLContext | None = None,
    before_sending: Callable[[], Awaitable[None]] | None = None,
    wanted: int = 0,
) -> Reply:
    """Sends exactly `content`; whatever status comes back is the reply, with at most `wanted` bytes of its body.

    `before_sending` is awaited when the connection stands and nothing has been sent; what it raises ends the call.
    Raises UrlRefused or FetchFailed.
    """
    try:
        async with asyncio.timeout(timeout):
            target = await checked(url, allow_private=allow_private, param=param, resolve=resolve)
            async with _call(_Request("POST", target, content, headers, before_sending), tls) as response:
                answered = await _beginning(response, wanted)
                return Reply(response.status_code, response.headers.get("retry-after"), answered)
    except TimeoutError as exc:
        raise FetchFailed(f"The receiver did not answer within {timeout:g} s.", param=param) from exc
    except httpx.HTTPError as exc:
        raise FetchFailed(f"The receiver could not be reached ({_cause(exc)}).", param=param) from exc


@dataclass(frozen=True)
class _Request:
    """What is sent, whichever of the target's addresses takes it."""

    method: str
    target: Target
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    before_sending: Callable[[], Awaitable[None]] | None = None

    def at(self, client: httpx.AsyncClient, address: str) -> httpx.Request:
        own = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
        # The name, not the address, is what the certificate must be for.
        name = self.target.url.raw_host.decode("ascii").rstrip(".")
        return client.build_request(
            self.method,
            self.target.at(address),
            content=self.content,
            headers={**own, **self.headers, "Host": self.target.host},
            extensions={"sni_hostname": name, "trace": self._on_trace},
        )

    async def _on_trace(self, event: str, _info: Mapping[str, object]) -> None:
        # https://www.encode.io/httpcore/extensions/#trace
        if event == "http11.send_request_headers.started" and self.before_sending is not None:
            await self.before_sending()


@asynccontextmanager
async def _call(request: _Request, tls: ssl.SSLContext | None) -> AsyncIterator[httpx.Response]:
    """The response of the first address that takes the connection, its body still to be read."""
    async with httpx.AsyncClient(
        verify=tls or _public_roots(),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - the caller's timeout is over the whole call
    ) as client:
        response = await _first_answer(client, request)
        try:
            yield response
        finally:
            await response.aclose()


async def _first_answer(client: httpx.AsyncClient, request: _Request) -> httpx.Response:
    *others, last = request.target.addresses
    for address in others:
        try:
            return await client.send(request.at(client, address), stream=True)
        except httpx.ConnectError:
            continue
    return await client.send(request.at(client, last), stream=True)


async def _bounded(response: httpx.Response, max_bytes: int, param: str | None) -> bytes:
    if response.status_code != 200:
        where = " A redirect is not followed." if response.is_redirect else ""
        raise FetchFailed(f"The URL answered {response.status_code}, not 200.{where}", param=param)
    parts, size = [], 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > max_bytes:
            raise FetchFailed(f"The URL delivers more than {max_bytes} bytes.", param=param)
        parts.append(chunk)
    return b"".join(parts)


async def _beginning(response: httpx.Response, wanted: int) -> bytes:
    content = b""
    if wanted:
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) >= wanted:
                break
    return content[:wanted]


@lru_cache(maxsize=1)
def _public_roots() -> ssl.SSLContext:
    # Reading the certificates takes some 20 ms, so it is done once.
    return httpx.create_ssl_context(trust_env=False)


def _cause(error: httpx.HTTPError) -> str:
    return type(error).__name__
