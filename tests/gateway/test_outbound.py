"""Which URLs are called, that the judged address is the one that is called, and what comes back is bounded."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.errors import FetchFailed, UrlRefused
from gateway.outbound import Flights, Policy, Reach, Reply, Resolver, checked, fetch, post, system_resolver
from tls import certificate

pytestmark = pytest.mark.anyio


def knows(**names: list[str]) -> Resolver:
    """A resolver that knows these names only; `_` stands for the dot."""

    async def resolve(host: str, port: int) -> list[str]:
        try:
            return names[host.replace(".", "_").replace("-", "")]
        except KeyError:
            raise OSError(f"no address for {host}") from None

    return resolve


PUBLIC = knows(example_com=["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])

REFUSED = [
    "http://127.0.0.1/",
    "http://127.8.8.8:9/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://127.0.0.1./",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://168.63.129.16/",
    "http://192.0.2.7/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://134744072/",  # 8.8.8.8, but not as everybody reads it
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://user@example.com/",
    "http://user:pass@example.com/",
    "http://example.com@127.0.0.1/",
    "http://@example.com/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:-1/",
    "http:///path",
    "http://",
    "https:example.com",
    "//example.com/",
    "example.com",
    "",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "data:text/plain,x",
    "http://exa mple.com/",
    "http://example.com/a\nb",
    "http://exam%70le..com/",
    "http://127\u30020\u30020\u30021/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://ex$ample.com/",
    "http://" + "a" * 64 + ".com/",
    "http://example.com/" + "a" * 2048,
]


@pytest.mark.parametrize("url", REFUSED, ids=lambda url: url[:40])
async def test_addresses_inside_and_odd_spellings_are_refused(url: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        await checked(url, allow_private="none", resolve=PUBLIC)
    assert (refused.value.status, refused.value.error_code, refused.value.param) == (400, "url_not_allowed", "url")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://EXAMPLE.com:8443/hook?x=1#part",
        "https://example.com./",
        "https://example.com?user=a@b.c",
        "http://93.184.215.14:8080/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
    ],
)
async def test_public_addresses_pass(url: str) -> None:
    target = await checked(url, allow_private="none", resolve=PUBLIC)
    assert target.addresses
    assert "#" not in str(target.url)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.215.14", "10.0.0.1"],
        ["10.0.0.1", "93.184.215.14"],
        ["93.184.215.14", "::1"],
        ["93.184.215.14", "::ffff:10.0.0.1"],
        ["fe80::1%eth0"],
        ["169.254.169.254"],
    ],
)
async def test_one_bad_address_among_several_refuses_the_name(addresses: list[str]) -> None:
    with pytest.raises(UrlRefused) as refused:
        await checked("https://hook.test/", allow_private="none", resolve=knows(hook_test=addresses))
    assert all(address not in refused.value.message for address in addresses)


@pytest.mark.parametrize(
    ("url", "loopback", "everywhere"),
    [
        ("http://127.0.0.1:9/", True, True),
        ("http://[::1]:9/", True, True),
        ("http://[::ffff:127.0.0.1]/", True, True),
        ("http://localhost:9/", True, True),
        ("http://localhost.:9/", True, True),
        ("http://10.0.0.1/", False, True),
        ("http://[fd00::1]/", False, True),
        ("http://169.254.169.254/", False, False),
        ("http://[::ffff:169.254.169.254]/", False, False),
        ("http://0.0.0.0/", False, False),
        ("http://224.0.0.1/", False, False),
        ("http://2130706433/", False, False),
    ],
)
async def test_what_the_setting_opens(url: str, loopback: bool, everywhere: bool) -> None:
    resolve = knows(localhost=["127.0.0.1", "::1"])

    async def passes(reach: Reach) -> bool:
        try:
            await checked(url, allow_private=reach, resolve=resolve)
        except UrlRefused:
            return False
        return True

    assert [await passes("none"), await passes("loopback"), await passes("all")] == [False, loopback, everywhere]


async def test_a_name_that_does_not_resolve_is_told_apart() -> None:
    with pytest.raises(FetchFailed) as failed:
        await checked("https://nowhere.test/", allow_private="none", resolve=PUBLIC)
    assert failed.value.error_code == "url_unreachable"


async def test_a_name_whose_servers_are_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.outbound.targets.RESOLVE_SECONDS", 0.05)

    async def silent(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(FetchFailed, match="does not resolve"):
        await checked("https://silent.test/", allow_private="none", resolve=silent)


async def test_the_systems_resolver_knows_this_machine_and_admits_what_it_does_not_know() -> None:
    assert set(await system_resolver("localhost", 80)) & {"127.0.0.1", "::1"}
    for name in ("no-such-name.invalid", "a" * 64 + ".test"):
        with pytest.raises((OSError, UnicodeError)):
            await system_resolver(name, 80)
    with pytest.raises(UrlRefused):
        await checked("http://localhost/", allow_private="none")


Answer = Callable[[bytes, bytes], bytes]


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on 127.0.0.1 that answers each request, head and body, with raw bytes; its port."""

    handlers: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(length[0])) if length else b""
        writer.write(answer(head, body))
        await ended(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*(one for one in handlers if one is not None), return_exceptions=True)


async def ended(writer: asyncio.StreamWriter) -> None:
    """Closes a connection whose other side may be gone already."""
    with suppress(OSError):
        await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def plain(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_the_judged_address_is_called_though_the_name_moves_on() -> None:
    seen: list[bytes] = []
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    def answer(head: bytes, body: bytes) -> bytes:
        seen.append(head)
        return plain(b"here")

    async with serving(answer) as port:
        url = f"http://rebind.test:{port}/x?y=1"
        got = await fetch(url, allow_private="loopback", max_bytes=10, timeout=5, resolve=rebinding)
    assert got == b"here"
    assert seen[0].startswith(b"GET /x?y=1 HTTP/1.1\r\n")
    assert f"\r\nHost: rebind.test:{port}\r\n".encode() in seen[0]
    assert next(answers) == ["169.254.169.254"]  # the second answer was never asked for


async def test_the_next_address_is_tried_where_one_does_not_take_the_connection() -> None:
    both = knows(twice_test=["127.0.0.99", "127.0.0.1"])
    async with serving(lambda head, body: plain(b"second")) as port:
        url = f"http://twice.test:{port}/"
        assert await fetch(url, allow_private="loopback", max_bytes=10, timeout=5, resolve=both) == b"second"


async def test_the_posted_bytes_arrive_as_they_are() -> None:
    seen: list[tuple[bytes, bytes]] = []

    def answer(head: bytes, body: bytes) -> bytes:
        seen.append((head, body))
        return plain(b"", "429 Slow", "Retry-After: 7")

    content = '{"b": 1,"a":"ü"}'.encode()
    async with serving(answer) as port:
        reply = await post(
            f"http://127.0.0.1:{port}/hook",
            content=content,
            headers={"webhook-id": "evt_1"},
            allow_private="loopback",
            timeout=5,
        )
    assert reply == Reply(429, "7")
    assert seen[0][1] == content
    assert b"webhook-id: evt_1" in seen[0][0]


async def test_redirects_are_not_followed() -> None:
    calls = 0

    def answer(head: bytes, body: bytes) -> bytes:
        nonlocal calls
        calls += 1
        return plain(b"", "302 Found", "Location: http://169.254.169.254/")

    async with serving(answer) as port:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(FetchFailed, match="redirect is not followed"):
            await fetch(url, allow_private="loopback", max_bytes=10, timeout=5)
        reply = await post(url, content=b"x", headers={}, allow_private="loopback", timeout=5)
    assert (reply.status, calls) == (302, 2)


async def test_a_body_is_bounded_whatever_its_length_says() -> None:
    body = b"x" * 1000
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + body
    for raw in (plain(body), endless):
        async with serving(lambda head, _body, raw=raw: raw) as port:  # type: ignore[misc]
            url = f"http://127.0.0.1:{port}/"
            assert await fetch(url, allow_private="loopback", max_bytes=1000, timeout=5) == body
            with pytest.raises(FetchFailed, match="more than 999 bytes"):
                await fetch(url, allow_private="loopback", max_bytes=999, timeout=5)


@pytest.mark.parametrize("call", ["fetch", "post"])
async def test_the_timeout_is_over_the_whole_call(call: str) -> None:
    """A receiver that keeps sending a little is as slow as one that sends nothing."""

    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-More: 1\r\n")
            await asyncio.sleep(0.02)
        await ended(writer)
        left.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "fetch": lambda: fetch(url, allow_private="loopback", max_bytes=100, timeout=0.3),
        "post": lambda: post(url, content=b"x", headers={}, allow_private="loopback", timeout=0.3),
    }
    with pytest.raises(FetchFailed, match=r"within 0\.3 s"):
        await calls[call]()
    await asyncio.wait_for(left.wait(), 5)
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("raw", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
async def test_a_broken_answer_is_a_failed_fetch(raw: bytes) -> None:
    async with serving(lambda head, body: raw) as port:
        with pytest.raises(FetchFailed):
            await fetch(f"http://127.0.0.1:{port}/", allow_private="loopback", max_bytes=100, timeout=5)


async def test_nobody_there_is_a_failed_call() -> None:
    async with serving(lambda head, body: b"") as port:
        pass
    with pytest.raises(FetchFailed, match="ConnectError"):
        await post(f"http://127.0.0.1:{port}/", content=b"", headers={}, allow_private="loopback", timeout=5)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with serving(lambda head, body: plain(b"direct")) as port:
        assert await fetch(f"http://127.0.0.1:{port}/", allow_private="loopback", max_bytes=9, timeout=5) == b"direct"


async def test_the_certificate_must_be_for_the_name_not_the_address(tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "hook.test")
    names = knows(hook_test=["127.0.0.1"], other_test=["127.0.0.1"])
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def get(url: str, tls: ssl.SSLContext | None) -> bytes:
        return await fetch(url, allow_private="loopback", max_bytes=10, timeout=5, resolve=names, tls=tls)

    async with serving(lambda head, body: plain(b"safe"), server) as port:
        assert await get(f"https://hook.test:{port}/", client) == b"safe"
        with pytest.raises(FetchFailed):
            await get(f"https://other.test:{port}/", client)
        with pytest.raises(FetchFailed):  # our own roots do not know this issuer
            await get(f"https://hook.test:{port}/", None)
    assert asked[:2] == ["hook.test", "other.test"]


def test_every_ipv4_address_is_judged_alike_inside_ipv6() -> None:
    from gateway.outbound.targets import refusal

    for text in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8", "224.0.0.1"):
        plain_one = ipaddress.IPv4Address(text)
        number = int(plain_one)
        wrapped = [(0xFFFF << 32) | number, (0x2002 << 112) | (number << 80), (0x64FF9B << 96) | number]
        for reach in ("none", "loopback", "all"):
            expected = refusal(plain_one, reach)
            got = {refusal(ipaddress.IPv6Address(one), reach) for one in wrapped}
            assert got == {expected}, (text, reach)


@pytest.mark.parametrize("steps", range(6))
async def test_rounds_end_when_cancelled_while_an_attempt_lands(steps: int) -> None:
    """The gateway's end and a delivery's end may fall into one turn of the event loop."""

    async def nothing_due() -> int:
        return 0

    async def attempt() -> None:
        await landing.wait()

    landing = asyncio.Event()
    flights = Flights(Policy(), "signal")
    running = asyncio.create_task(flights.run(nothing_due, every=3600))
    flights.start("receiver", attempt())
    for _ in range(6):
        await asyncio.sleep(0)
    landing.set()
    await flights.landed()
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5)
    assert done == {running}
