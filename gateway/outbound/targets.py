"""Where a call may go: the URL's form, and every address behind its name."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import httpx

from gateway.errors import FetchFailed, UrlRefused

Reach = Literal["none", "loopback", "all"]
Resolver = Callable[[str, int], Awaitable[list[str]]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL = 2048
RESOLVE_SECONDS = 5.0
PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")

# Addresses that answer with a machine's own credentials or settings, and look public.
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


@dataclass(frozen=True)
class Target:
    """A URL that may be called. `addresses` are what its name stood for when it was judged; calls go there and nowhere
    else, whatever the name stands for by then."""

    url: httpx.URL
    addresses: tuple[str, ...]

    @property
    def host(self) -> str:
        """The `Host` header (RFC 9110, section 7.2)."""
        return self.url.netloc.decode("ascii")

    def at(self, address: str) -> httpx.URL:
        """The same URL with an address in the place of the name."""
        return self.url.copy_with(host=address)


async def system_resolver(host: str, port: int) -> list[str]:
    """All addresses of a name, in the system's order; OSError where there is none.

    Each lookup has a thread of its own: the loop's pool has few, and names whose servers do not answer would hold
    them all.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def tell(found: list[str] | None, error: Exception | None) -> None:
        if answer.done():  # whoever asked has given up
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(found or [])

    def look() -> None:
        found, failed = None, None
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        except (OSError, UnicodeError) as exc:
            failed = exc
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=look, name="lookup", daemon=True).start()
    return await answer


async def checked(
    url: str, *, allow_private: Reach, param: str | None = "url", resolve: Resolver = system_resolver
) -> Target:
    """The target behind `url`, its name resolved once.

    `allow_private` is none, loopback (this machine) or all (this machine and private networks); link-local,
    multicast and metadata addresses are refused always. Raises UrlRefused, or FetchFailed for a name that does not
    resolve.
    """
    parsed = _parsed(url, param)
    host = parsed.raw_host.decode("ascii").rstrip(".").lower()
    literal = _literal(host, param)
    if literal is not None:
        addresses = [literal]
    elif _NAME.fullmatch(host):
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                names = await resolve(host, parsed.port or PORTS[parsed.scheme])
        except (OSError, UnicodeError) as exc:  # TimeoutError is an OSError
            raise FetchFailed(f"The host {host[:80]!r} of the URL does not resolve.", param=param) from exc
        addresses = [ipaddress.ip_address(name.partition("%")[0]) for name in names]
    else:
        raise _refused(f"{host[:80]!r} is not a host name", param)
    if not addresses:
        raise FetchFailed(f"The host {host[:80]!r} of the URL has no address.", param=param)
    for address in addresses:
        why = refusal(address, allow_private)
        if why is not None:
            # The address itself is not told: a caller must not learn what the gateway's resolver knows.
            raise _refused(f"its host is {why}, which this gateway does not call", param)
    return Target(parsed, tuple(str(address) for address in addresses))


def refusal(address: Address, allow_private: Reach) -> str | None:
    """Why calls do not go to `address`, or None where they may."""
    address = _inner(address)
    if address in _METADATA or address.is_multicast or address.is_unspecified or address.is_link_local:
        return "a link-local, multicast or metadata address"
    if address.is_loopback:
        return None if allow_private in ("loopback", "all") else "a loopback address"
    if address.version == 6 and address in _SITE_LOCAL:
        return "a private address" if allow_private != "all" else None
    if address.is_reserved:
        return "a reserved address"
    if not address.is_global:
        return None if allow_private == "all" else "a private address"
    return None


def _inner(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only wraps it: mapped, 6to4 (RFC 3056), Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo[1] if address.teredo else None
        nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        return address.ipv4_mapped or address.sixtofour or teredo or nat64 or address
    return address


def _literal(host: str, param: str | None) -> Address | None:
    """The address that `host` spells, or None for a name. An IPv4 address must be four decimal numbers: `0x7f.1`,
    `017700000001` and `2130706433` mean different things to different readers."""
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError as exc:
            raise _refused(f"{host[:80]!r} is not an IPv6 address", param) from exc
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        return ipaddress.IPv4Address(host)
    except ValueError as exc:
        raise _refused(f"{host[:80]!r} is not an IPv4 address of four decimal numbers", param) from exc


def _parsed(url: str, param: str | None) -> httpx.URL:
    if len(url) > MAX_URL:
        raise _refused(f"it is longer than {MAX_URL} characters", param)
    if any(character.isspace() or character == "\\" for character in url):
        raise _refused("it contains blanks or backslashes", param)
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as exc:
        raise _refused(f"it is malformed ({exc})", param) from exc
    if parsed.scheme not in PORTS:
        raise _refused("it must start with https:// or http://", param)
    if parsed.userinfo or "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        raise _refused("it carries a user name or password", param)
    if not parsed.host:
        raise _refused("it names no host", param)
    if parsed.port is not None and not 0 < parsed.port <= 65535:
        raise _refused("its port must be 1 to 65535", param)
    return parsed.copy_with(fragment=None)


def _refused(why: str, param: str | None) -> UrlRefused:
    return UrlRefused(f"This URL is not called: {why}.", param=param)
