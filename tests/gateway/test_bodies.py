"""The one reader of request bodies, driven through an endpoint of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from desk import Desk
from gateway.web.answers import add_handlers
from gateway.web.bodies import MAX_PARTS, MAX_TEXT_BYTES, read_body

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]


@pytest.fixture
async def http(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    add_handlers(app)
    app.state.context = context = desk.context

    @app.post("/echo")
    async def echo(request: Request) -> JSONResponse:
        async with read_body(request, context) as body:
            files = {
                name: [one.filename, one.size, one.head.decode("latin-1"), one.path.read_bytes().decode("latin-1")]
                for name, one in body.files.items()
            }
            return JSONResponse({"values": body.values, "files": files})

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://echo.test") as client:
        yield client


def part(name: str, value: str, extra: str = "") -> bytes:
    return f'--XX\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{value}\r\n'.encode()


async def posted(http: httpx.AsyncClient, *parts: bytes, end: bytes = b"--XX--\r\n") -> httpx.Response:
    headers = {"content-type": "multipart/form-data; boundary=XX"}
    return await http.post("/echo", content=b"".join(parts) + end, headers=headers)


async def test_brackets_are_folded(http: httpx.AsyncClient) -> None:
    answer = await posted(
        http, part("prompt", "a dog"), part("video[id]", "video_1"), part("c[][id]", "a"), part("c[][id]", "b")
    )
    assert answer.json()["values"] == {"prompt": "a dog", "video": {"id": "video_1"}, "c": [{"id": "a"}, {"id": "b"}]}


async def test_urlencoded_and_json_mean_the_same(http: httpx.AsyncClient) -> None:
    form = await http.post("/echo", data={"prompt": "ein Hund, grün", "video[id]": "v"})
    json = await http.post("/echo", json={"prompt": "ein Hund, grün", "video": {"id": "v"}, "seed": None})
    assert form.json() == json.json() == {"values": {"prompt": "ein Hund, grün", "video": {"id": "v"}}, "files": {}}


async def test_a_file_is_spooled_and_gone_afterwards(http: httpx.AsyncClient, desk: Desk) -> None:
    content = b"\x89PNG" + bytes(range(256)) * 1000
    answer = await http.post(
        "/echo", data={"prompt": "x"}, files={"input_reference": ("../a.png", content, "text/odd")}
    )
    filename, size, head, whole = answer.json()["files"]["input_reference"]
    assert (filename, size, head) == ("../a.png", len(content), content[:64].decode("latin-1"))
    assert whole.encode("latin-1") == content
    assert list((desk.settings.data / "inputs").iterdir()) == []


@pytest.mark.parametrize(
    ("parts", "end", "code"),
    [
        ([part("a", "1"), part("a", "2")], b"--XX--\r\n", "invalid_value"),
        ([part("a[id]", "1"), part("a", "2")], b"--XX--\r\n", "invalid_value"),
        ([part("a[][][]", "1")], b"--XX--\r\n", "unknown_parameter"),
        ([part("a", "1")], b"", "invalid_form"),
        ([part("a", "1")], b"--XX", "invalid_form"),
        ([part("a", "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"))], b"--YY--\r\n", "invalid_form"),
        ([b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n"], b"--XX--\r\n", "invalid_form"),
        ([b"--XX\r\nX: y\r\n\r\nx\r\n"], b"--XX--\r\n", "invalid_form"),
        ([b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\xfe\r\n'], b"--XX--\r\n", "invalid_form"),
        (
            [b"--XX\r\nContent-Disposition: form-data; name=" + b"a" * 5000 + b"\r\n\r\nx\r\n"],
            b"--XX--",
            "invalid_form",
        ),
        ([part(f"a{n}", "1") for n in range(MAX_PARTS + 1)], b"--XX--\r\n", "invalid_form"),
        ([part("f", "1", '; filename="a"'), part("f", "2", '; filename="b"')], b"--XX--\r\n", "invalid_value"),
        ([part("f", "1" * 70_000, '; filename="a"')], b"", "invalid_form"),
    ],
)
async def test_malformed_forms_are_refused(
    http: httpx.AsyncClient, desk: Desk, parts: list[bytes], end: bytes, code: str
) -> None:
    answer = await posted(http, *parts, end=end)
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, code)
    folder = desk.settings.data / "inputs"
    assert not folder.exists() or list(folder.iterdir()) == []


async def test_text_is_bounded(http: httpx.AsyncClient) -> None:
    form = await posted(http, part("a", "x" * MAX_TEXT_BYTES + "y"))
    json = await http.post("/echo", json={"a": "x" * MAX_TEXT_BYTES})
    assert (form.status_code, json.status_code) == (413, 413)


async def test_other_media_types_are_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/echo", content=b"x", headers={"content-type": "text/plain"})).status_code == 415
    assert (await http.post("/echo", content=b"x")).status_code == 415
    bare = await http.post("/echo", content=b"x", headers={"content-type": "multipart/form-data"})
    assert bare.status_code == 400


@pytest.mark.parametrize("at", [1, 2, 3, 4, 6])
async def test_a_form_may_come_in_any_pieces(http: httpx.AsyncClient, at: int) -> None:
    """The closing delimiter and what follows it too, which large uploads bring in a piece of their own."""
    whole = part("prompt", "a dog") + part("seconds", "4") + b"--XX--\r\n"

    async def sent() -> AsyncIterator[bytes]:
        yield whole[:-at]
        yield whole[-at:]
        yield b"and an epilogue"

    headers = {"content-type": "multipart/form-data; boundary=XX"}
    answer = await http.post("/echo", content=sent(), headers=headers)
    assert answer.json() == {"values": {"prompt": "a dog", "seconds": "4"}, "files": {}}
