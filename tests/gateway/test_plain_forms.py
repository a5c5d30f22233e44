"""The short way through a form reads what the parser reads, or leaves it to the parser."""

from __future__ import annotations

import random
from typing import Any

import pytest
from fastapi import Request

from desk import Desk
from gateway.errors import InvalidRequest
from gateway.web.bodies import MAX_PARTS, read_body
from gateway.web.plain_forms import MOST_BYTES, text_fields

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]

NAMED = b'Content-Disposition: form-data; name="'


def form(*fields: tuple[str, str], end: bytes = b"--XX--\r\n") -> bytes:
    return b"".join(b"--XX\r\n" + NAMED + f'{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields) + end


PLAIN = form(("prompt", "a grüner dog\r\n--X\r\n"), ("seconds", "4"), ("video[id]", ""))


async def read(desk: Desk, *pieces: bytes) -> dict[str, Any] | str:
    """What a form holds that comes in those pieces, or the code that it is refused with."""
    messages = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    headers = [(b"content-type", b"multipart/form-data; boundary=XX")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    try:
        async with read_body(request, desk.context) as body:
            return {**body.values, "files": {name: upload.path.read_bytes() for name, upload in body.files.items()}}
    except InvalidRequest as refused:
        return refused.error_code


def test_what_clients_write_is_read() -> None:
    assert text_fields("XX", PLAIN, 3) == [
        ("prompt", "a grüner dog\r\n--X\r\n"),
        ("seconds", "4"),
        ("video[id]", ""),
    ]
    assert text_fields("XX", PLAIN.removesuffix(b"\r\n"), 3) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--XX--\r\n",
        form(("a", "1"), end=b""),
        form(("a", "1"), end=b"--XX"),
        form(("a", "1"), end=b"--XX--\r\nmore"),
        form(("a", "1"), end=b"--XX--") + form(("b", "2")),
        b"before\r\n" + form(("a", "1")),
        b"\r\n" + form(("a", "1")),
        b"--XX  \r\n" + NAMED + b'a"\r\n\r\n1\r\n--XX--\r\n',
        b"--XX\r\n" + NAMED + b'a"; filename="b"\r\n\r\n1\r\n--XX--\r\n',
        b"--XX\r\n" + NAMED + b'a"\r\nContent-Type: text/plain\r\n\r\n1\r\n--XX--\r\n',
        b"--XX\r\n" + NAMED + b'a"\r\n--XX--\r\n',
        b"--XX\r\n" + NAMED + b'a"\r\n\r\n\xff\r\n--XX--\r\n',
        b"--XX\n" + NAMED + b'a"\n\n1\n--XX--\n',
        form(("", "1")),
        form(("a%22b", "1")),
        form(("ä", "1")),
        form(("a" * 5000, "1")),
        form(*((f"a{number}", "1") for number in range(MAX_PARTS + 1))),
        form(("a", "1" * MOST_BYTES)),
    ],
)
def test_everything_else_is_left_to_the_parser(body: bytes) -> None:
    assert text_fields("XX", body, MAX_PARTS) is None


async def test_both_ways_read_the_same(desk: Desk) -> None:
    """Forms with bytes dropped, doubled, swapped and put in: at once, which may go the short way, and in two pieces."""
    chance, short = random.Random(8), 0
    inserts = [b"\r\n", b"--XX", b"--", b'"', b"%", b"\\", b"\xc3", b"\xbc", NAMED, b"[", b"]", b"\r\n\r\n", b"a"]
    for _ in range(1000):
        body = PLAIN
        for _ in range(chance.randrange(3)):
            at, to = chance.randrange(len(body)), chance.randrange(1, 12)
            put = chance.choice([b"", body[at : at + to] * 2, chance.choice(inserts)])
            body = body[:at] + put + body[at + (to if chance.random() < 0.5 else 0) :]
        if text_fields("XX", body, MAX_PARTS) is None:
            continue
        short += 1
        at = chance.randrange(len(body))
        assert await read(desk, body) == await read(desk, body[:at], body[at:]), body
    assert 100 < short < 900
