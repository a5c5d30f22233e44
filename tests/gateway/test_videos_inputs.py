"""Uploads at the door: what is taken, what is refused and how, and that nothing of it stays."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest

from desk import Desk, DeskMaker
from footage import bomb, clip, picture, plain_clip, sound_only

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]

SIZE = {"prompt": "a lake", "size": "854x480"}


def left(desk: Desk) -> list[str]:
    """Files in the inputs directory."""
    return sorted(path.name for path in desk.settings.inputs.glob("*"))


async def with_picture(desk: Desk, content: bytes, **fields: str) -> httpx.Response:
    files = {"input_reference": ("upload", content, "application/octet-stream")}
    return await desk.http.post("/v1/videos", data={**SIZE, **fields}, files=files, headers=await desk.bearer())


async def edit_of(desk: Desk, content: bytes, filename: str = "clip.mp4") -> httpx.Response:
    files = {"video": (filename, content, "video/mp4")}
    return await desk.http.post("/v1/videos/edits", data={"prompt": "x"}, files=files, headers=await desk.bearer())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_picture_is_told_by_its_bytes_and_kept_for_its_job(desk: Desk, kind: str) -> None:
    answer = await with_picture(desk, picture(kind=kind))
    assert answer.status_code == 200, answer.text
    job = await desk.claimed()
    assert job.request.kind == "create"
    assert job.request.input == left(desk)[0] == f"{job.id}.input"


@pytest.mark.parametrize("form", ["json", "brackets"])
async def test_a_data_url_is_a_picture_too(desk: Desk, form: str) -> None:
    url = "data:image/png;base64," + base64.b64encode(picture()).decode()
    bodies: dict[str, dict[str, Any]] = {
        "json": {"json": {**SIZE, "input_reference": {"image_url": url}}},
        "brackets": {
            "files": {name: (None, value) for name, value in (SIZE | {"input_reference[image_url]": url}).items()}
        },
    }
    answer = await desk.http.post("/v1/videos", headers=await desk.bearer(), **bodies[form])
    assert answer.status_code == 200, answer.text
    assert left(desk) == [f"{answer.json()['id']}.input"]


async def test_a_picture_must_match_the_size(desk: Desk) -> None:
    answer = await with_picture(desk, picture(640, 360))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_image", "input_reference")
    assert "exactly 854x480" in error["message"]
    assert "not 640x360" in error["message"]
    assert left(desk) == []


BAD_PICTURES = {
    "text": b"not a picture at all",
    "nothing": b"",
    "bomb": bomb(),
    "gif": picture(kind="GIF"),
    "cut short": picture(kind="JPEG")[:600],
    "html": b"<html><svg onload=alert(1)></html>",
}


@pytest.mark.parametrize("name", BAD_PICTURES)
async def test_bad_pictures_are_refused_and_leave_nothing(desk: Desk, name: str) -> None:
    answer = await with_picture(desk, BAD_PICTURES[name])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_image", "input_reference")
    assert left(desk) == []
    assert await desk.events("job.") == []


async def test_bad_clips_are_refused_and_leave_nothing(desk: Desk, tmp_path: Path) -> None:
    whole = clip(tmp_path)
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    bad = {
        "text called mp4": b"not a clip at all",
        "nothing": b"",
        "picture": picture(),
        "sound only": sound_only(tmp_path),
        "cut short": whole[: len(whole) * 2 // 3],
        "too long": clip(tmp_path, size="32x32", seconds=122, fps=2),
        "playlist": playlist,
        "concat script": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "avi": clip(tmp_path, suffix="avi"),
    }
    for name, content in bad.items():
        answer = await edit_of(desk, content)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_video", "video"), name
        assert "passwd" not in error["message"]
        assert left(desk) == [], name
    assert await desk.events("job.") == []


async def test_an_upload_above_the_limit_is_refused(make_desk: DeskMaker) -> None:
    desk = await make_desk(max_upload_bytes=100_000)
    answer = await edit_of(desk, bytes(200_000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
    assert left(desk) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:1/picture.png", "url_not_allowed"),
        ("http://169.254.169.254/latest/meta-data", "url_not_allowed"),
        ("http://[::1]/x", "url_not_allowed"),
        ("file:///etc/passwd", "url_not_allowed"),
        ("ftp://example.com/x", "url_not_allowed"),
        ("http://user:pw@example.com/x", "url_not_allowed"),
        ("data:image/png;base64,***", "invalid_value"),
        ("data:image/png,raw", "invalid_value"),
        ("data:image/png;base64,aGVsbG8=", "invalid_image"),
        ("", "url_not_allowed"),
        ("x" * 10_000, "url_not_allowed"),
    ],
)
async def test_bad_urls_are_refused_by_name(desk: Desk, url: str, code: str) -> None:
    body = {**SIZE, "input_reference": {"image_url": url}}
    answer = await desk.http.post("/v1/videos", json=body, headers=await desk.bearer())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert str(answer.json()["error"]["param"]).startswith("input_reference")
    assert left(desk) == []


class Gallery(BaseHTTPRequestHandler):
    """Serves pictures, a page, and a way around."""

    answers: ClassVar[dict[str, tuple[int, bytes]]] = {
        "/good.png": (200, picture()),
        "/page": (200, b"<html>"),
        "/small.png": (200, picture(64, 64)),
        "/gone": (404, b""),
        "/endless": (200, bytes(20_000_001)),
        "/around": (302, b""),
    }

    def do_GET(self) -> None:
        status, content = self.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == 302:
            self.send_header("Location", "/good.png")
        self.end_headers()
        with suppress(ConnectionError):  # a reader that has had enough hangs up
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def gallery() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gallery) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_picture_is_fetched_where_that_is_allowed(make_desk: DeskMaker, gallery: str) -> None:
    desk = await make_desk(allow_private_targets="loopback")
    body = {**SIZE, "input_reference": {"image_url": f"{gallery}/good.png"}}
    answer = await desk.http.post("/v1/videos", json=body, headers=await desk.bearer())
    assert answer.status_code == 200, answer.text
    job = await desk.claimed()
    assert left(desk) == [job.request.input]
    assert (desk.settings.inputs / left(desk)[0]).read_bytes() == picture()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/page", "invalid_image"),
        ("/small.png", "invalid_image"),
        ("/gone", "url_unreachable"),
        ("/endless", "url_unreachable"),
        ("/around", "url_unreachable"),
    ],
)
async def test_a_fetched_file_is_looked_at_like_any_other(
    make_desk: DeskMaker, gallery: str, path: str, code: str
) -> None:
    desk = await make_desk(allow_private_targets="loopback")
    body = {**SIZE, "input_reference": {"image_url": gallery + path}}
    answer = await desk.http.post("/v1/videos", json=body, headers=await desk.bearer())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert left(desk) == []


async def test_a_file_that_is_named_is_refused_with_a_way_out(desk: Desk) -> None:
    body = {**SIZE, "input_reference": {"file_id": "file_1"}}
    answer = await desk.http.post("/v1/videos", json=body, headers=await desk.bearer())
    assert answer.status_code == 400
    assert "image_url" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "filename",
    ['x.mp4"\r\nX-Evil: 1', "../../etc/passwd", "a" * 3000 + ".mp4", "\u202egnp.4pm", "nul\x00.mp4", "CON", ";rm -rf"],
)
async def test_a_filename_means_nothing(desk: Desk, tmp_path: Path, filename: str) -> None:
    answer = await edit_of(desk, clip(tmp_path), filename)
    assert answer.status_code in (200, 400), answer.text
    assert "x-evil" not in answer.headers
    if answer.status_code == 200:
        assert left(desk) == [f"{answer.json()['id']}.input"]
    assert {path.name for path in desk.settings.data.iterdir()} >= {"inputs", "media"}
    assert not list(desk.settings.data.glob("passwd"))


@pytest.mark.parametrize("how", ["cancel", "delete", "reset"])
async def test_an_input_goes_with_its_job(desk: Desk, how: str) -> None:
    headers = await desk.bearer()
    files = {"input_reference": picture()}
    video = (await desk.http.post("/v1/videos", data=SIZE, files=files, headers=headers)).json()
    assert len(left(desk)) == 1
    if how == "cancel":
        await desk.http.post(f"/v1/videos/{video['id']}/cancel", headers=headers)
    elif how == "delete":
        await desk.http.delete(f"/v1/videos/{video['id']}", headers=headers)
    else:
        answer = await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
        assert answer.status_code == 200, answer.text
    assert left(desk) == []


async def test_an_input_goes_after_a_revocation_with_the_next_sweep(desk: Desk) -> None:
    from gateway.inputs import Inputs

    issued = await desk.issue()
    headers = {"Authorization": f"Bearer {issued['token']}"}
    other = await desk.bearer("tester-002")
    for who in (headers, other):
        await desk.http.post("/v1/videos", data=SIZE, files={"input_reference": picture()}, headers=who)
    await desk.revoke({"accessor": issued["accessor"]})
    kept = desk.settings.inputs / "incoming-fresh"
    kept.write_bytes(b"x")
    sweeper = Inputs(desk.settings.inputs, "none")
    # Files that are a moment old may belong to a request that is under way.
    assert await sweeper.sweep(desk.store, now=kept.stat().st_ctime) == 0
    assert await sweeper.sweep(desk.store, now=kept.stat().st_ctime + 61) == 1
    job = await desk.claimed()
    assert left(desk) == ["incoming-fresh", job.request.input]
    assert await sweeper.sweep(desk.store, now=kept.stat().st_ctime + 901) == 1
    assert left(desk) == [job.request.input]


async def test_a_revoked_token_uploads_nothing(desk: Desk) -> None:
    issued = await desk.issue()
    headers = {"Authorization": f"Bearer {issued['token']}"}
    await desk.revoke({"accessor": issued["accessor"]})
    for path in ("/v1/videos", "/v1/videos/edits", "/v1/videos/extensions", "/v1/videos/characters"):
        answer = await desk.http.post(path, data=SIZE, files={"video": b"x"}, headers=headers)
        assert answer.status_code == 401, path
    assert left(desk) == []


async def test_a_full_line_keeps_no_input(make_desk: DeskMaker) -> None:
    desk = await make_desk(queue_limit=1)
    await desk.create(await desk.bearer())
    answer = await with_picture(desk, picture())
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
    assert left(desk) == []


async def test_a_characters_colours_reappear_in_what_names_it(desk: Desk, tmp_path: Path) -> None:
    headers = await desk.bearer()
    made = await desk.http.post(
        "/v1/videos/characters",
        data={"name": "Pip"},
        files={"video": plain_clip(tmp_path, "0xd01020")},
        headers=headers,
    )
    assert made.status_code == 200, made.text
    character = made.json()
    assert character == {"id": character["id"], "name": "Pip", "created_at": 1_732_627_800}
    path = f"/v1/videos/characters/{character['id']}"
    assert (await desk.http.get(path, headers=headers)).json() == character
    assert left(desk) == []
    forms: list[dict[str, Any]] = [
        {"json": {"prompt": "x", "characters": [{"id": character["id"]}]}},
        {"files": [("prompt", (None, "x")), ("characters[][id]", (None, character["id"]))]},
    ]
    for form in forms:
        answer = await desk.http.post("/v1/videos", headers=headers, **form)
        assert answer.status_code == 200, answer.text
        ((red, green, blue), *_) = (await desk.claimed()).request.colours
        assert (red > 180, green < 50, blue < 60) == (True, True, True)


async def test_a_character_belongs_to_its_token_and_ends_with_it(desk: Desk, tmp_path: Path) -> None:
    issued = await desk.issue()
    mine, other = {"Authorization": f"Bearer {issued['token']}"}, await desk.bearer("tester-002")
    files = {"video": plain_clip(tmp_path, "green")}
    character = (await desk.http.post("/v1/videos/characters", data={"name": "Pip"}, files=files, headers=mine)).json()
    path = f"/v1/videos/characters/{character['id']}"
    assert (await desk.http.get(path, headers=other)).status_code == 404
    stolen = {"prompt": "x", "characters": [{"id": character["id"]}]}
    answer = await desk.http.post("/v1/videos", json=stolen, headers=other)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "characters")
    await desk.revoke({"accessor": issued["accessor"]})
    assert (await desk.http.get(path, headers=mine)).status_code == 401
    kinds = [event["kind"] for event in await desk.events("character.")]
    assert kinds == ["character.created"]
    await desk.http.post("/control/reset", json={"confirm": "reset"}, headers=desk.admin)
    assert await desk.store.read(lambda tx: tx.fetch_all("SELECT * FROM characters")) == []


@pytest.mark.parametrize(
    ("data", "files", "param"),
    [
        ({"name": "Pip"}, {}, "video"),
        ({}, {"video": b"x"}, "name"),
        ({"name": ""}, {"video": b"x"}, "name"),
        ({"name": "n" * 81}, {"video": b"x"}, "name"),
        ({"name": "Pip"}, {"video": b"x"}, "video"),
        ({"name": "Pip"}, {"video": picture()}, "video"),
        ({"name": "Pip", "age": "3"}, {"video": b"x"}, "age"),
    ],
)
async def test_bad_characters(desk: Desk, data: dict[str, str], files: dict[str, bytes], param: str) -> None:
    forms: dict[str, Any] = {**{name: (None, value) for name, value in data.items()}, **files}
    answer = await desk.http.post("/v1/videos/characters", files=forms, headers=await desk.bearer())
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
