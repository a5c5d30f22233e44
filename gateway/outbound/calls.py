"""One GET or POST to a checked target: no redirects, no proxies, a bounded body, one timeout over everything."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

import httpx

from gateway import __version__
from gateway.errors import FetchFailed
from gateway.outbound.targets import Reach, Resolver, Target, checked, system_resolver

USER_AGENT = f"leakdrill/{__version__}"


@dataclass(frozen=True)
class Reply:
    """What a receiver answered; its body is not read. `retry_after` is the header as it came."""

    status: int
    retry_after: str | None = None


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
            async with _call("GET", target, None, {}, tls) as response:
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
) -> Reply:
    """Sends exactly `content`; whatever status comes back is the reply. Raises UrlRefused or FetchFailed."""
    try:
        async with asyncio.timeout(timeout):
            target = await checked(url, allow_private=allow_private, param=param, resolve=resolve)
            async with _call("POST", target, content, headers, tls) as response:
                return Reply(response.status_code, response.headers.get("retry-after"))
    except TimeoutError as exc:
        raise FetchFailed(f"The receiver did not answer within {timeout:g} s.", param=param) from exc
    except httpx.HTTPError as exc:
        raise FetchFailed(f"The receiver could not be reached ({_cause(exc)}).", param=param) from exc


@asynccontextmanager
async def _call(
    method: str, target: Target, content: bytes | None, headers: Mapping[str, str], tls: ssl.SSLContext | None
) -> AsyncIterator[httpx.Response]:
    """The response of the first address that takes the connection, its body still to be read."""
    async with httpx.AsyncClient(
        verify=tls or _public_roots(),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - the caller's timeout is over the whole call
    ) as client:
        response = await _first_answer(client, method, target, content, headers)
        try:
            yield response
        finally:
            await response.aclose()


async def _first_answer(
    client: httpx.AsyncClient, method: str, target: Target, content: bytes | None, headers: Mapping[str, str]
) -> httpx.Response:
    own = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    last = len(target.addresses) - 1
    for number, address in enumerate(target.addresses):
        request = client.build_request(
            method,
            target.at(address),
            content=content,
            headers={**own, **headers, "Host": target.host},
            # The name, not the address, is what the certificate must be for.
            extensions={"sni_hostname": target.url.raw_host.decode("ascii").rstrip(".")},
        )
        try:
            return await client.send(request, stream=True)
        except httpx.ConnectError:
            if number == last:
                raise
    raise httpx.ConnectError("there is no address to connect to")


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


@lru_cache(maxsize=1)
def _public_roots() -> ssl.SSLContext:
    # Reading the certificates takes some 20 ms, so it is done once.
    return httpx.create_ssl_context(trust_env=False)


def _cause(error: httpx.HTTPError) -> str:
    return type(error).__name__
