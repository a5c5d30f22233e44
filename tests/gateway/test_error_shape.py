"""Every error, whoever raises it, has one shape; each names the field and what is allowed."""

from typing import Any

import httpx
import pytest

from desk import Desk
from tampering import raw

pytestmark = pytest.mark.anyio


def ensure_envelope(answer: httpx.Response, status: int, code: str, param: str | None = None) -> str:
    """The message, after checking everything else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["leakdrill-replica"] == "r1"
    body = answer.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["error"]["code"], body["error"]["param"]) == (code, param)
    message: str = body["error"]["message"]
    assert message
    assert "Traceback" not in message
    return message


BAD_FIELDS: list[tuple[dict[str, Any], str, str, str]] = [
    ({}, "prompt", "missing_required_parameter", "prompt"),
    ({"prompt": "  "}, "prompt", "invalid_value", "1 to 32000"),
    ({"prompt": "x" * 100_000}, "prompt", "invalid_value", "at most 32000"),
    ({"prompt": 5}, "prompt", "invalid_value", "string"),
    ({"prompt": "x", "size": "640x480"}, "size", "invalid_value", "1920x1080"),
    ({"prompt": "x", "seconds": 0}, "seconds", "invalid_value", "1 to 12, 16 or 20"),
    ({"prompt": "x", "seconds": "13"}, "seconds", "invalid_value", "1 to 12, 16 or 20"),
    ({"prompt": "x", "seconds": "4.5"}, "seconds", "invalid_value", "integer"),
    ({"prompt": "x", "seconds": True}, "seconds", "invalid_value", "whole number"),
    ({"prompt": "x", "model": "real-thing"}, "model", "invalid_value", "standard, turbo"),
    ({"prompt": "x", "style": "oil"}, "style", "invalid_value", "saltglass"),
    ({"prompt": "x", "seed": -1}, "seed", "invalid_value", "0 to 4294967295"),
    ({"prompt": "x", "fps": 0}, "fps", "invalid_value", "1 to 60"),
    ({"prompt": "x", "colour": "red"}, "colour", "unknown_parameter", "negative_prompt"),
]


@pytest.mark.parametrize(("fields", "param", "code", "told"), BAD_FIELDS)
async def test_a_bad_field_is_named(desk: Desk, fields: dict[str, Any], param: str, code: str, told: str) -> None:
    answer = await desk.http.post("/v1/videos", json=fields, headers=await desk.bearer())
    assert told in ensure_envelope(answer, 400, code, param)
    assert await desk.events("job.") == []


@pytest.mark.parametrize(
    ("fields", "param", "code", "told"),
    # A form has neither numbers nor booleans: there is nothing to get wrong about their types.
    [case for case in BAD_FIELDS if case[0] not in ({"prompt": 5}, {"prompt": "x", "seconds": True})],
)
async def test_a_bad_form_field_is_named(desk: Desk, fields: dict[str, Any], param: str, code: str, told: str) -> None:
    # An empty form needs one part to be multipart at all.
    parts = {name: (None, str(value)) for name, value in fields.items()} or {"model": (None, "turbo")}
    answer = await desk.http.post("/v1/videos", files=parts, headers=await desk.bearer())
    assert told in ensure_envelope(answer, 400, code, param)
    assert await desk.events("job.") == []


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"[1]", "application/json", 400, "invalid_json"),
        (b"[" * 100_000, "application/json", 400, "invalid_json"),
        (b"prompt", "text/plain", 415, "unsupported_media_type"),
        (b"prompt", None, 415, "unsupported_media_type"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x", 400, "invalid_form"),
        (
            b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na dog',
            "multipart/form-data; boundary=x",
            400,
            "invalid_form",
        ),
        (b"nothing", "multipart/form-data", 400, "invalid_form"),
    ],
)
async def test_a_body_that_cannot_be_read(
    desk: Desk, body: bytes, content_type: str | None, status: int, code: str
) -> None:
    headers = await desk.bearer()
    if content_type:
        headers["Content-Type"] = content_type
    answer = await desk.http.post("/v1/videos", content=body, headers=headers)
    ensure_envelope(answer, status, code)


async def test_a_field_given_twice_and_a_file(desk: Desk) -> None:
    headers = await desk.bearer()
    twice = await desk.http.post(
        "/v1/videos", files=[("prompt", (None, "a")), ("prompt", (None, "b"))], headers=headers
    )
    ensure_envelope(twice, 400, "invalid_value", "prompt")
    file = await desk.http.post(
        "/v1/videos", files={"prompt": (None, "a"), "picture": ("a.png", b"png", "image/png")}, headers=headers
    )
    ensure_envelope(file, 400, "unknown_parameter", "picture")


async def test_a_body_above_the_limit_declared_or_not(desk: Desk) -> None:
    headers = {**await desk.bearer(), "Content-Type": "application/json"}
    admin = {**desk.admin, "Content-Type": "application/json"}
    declared = await desk.http.post("/control/tokens", content=b"x" * (5 * 1024 * 1024), headers=admin)
    assert "4194304 bytes" in ensure_envelope(declared, 413, "payload_too_large")
    declared = await desk.http.post("/v1/videos", content=b"x" * (65 * 1024 * 1024), headers=headers)
    assert "67108864 bytes" in ensure_envelope(declared, 413, "payload_too_large")

    async def chunks() -> Any:
        for _ in range(400):
            yield b"x" * 65_536

    streamed = await desk.http.post("/v1/videos", content=chunks(), headers=headers)
    ensure_envelope(streamed, 413, "payload_too_large")


@pytest.mark.parametrize(
    ("query", "param", "told"),
    [
        ("limit=101", "limit", "100"),
        ("limit=-1", "limit", "0"),
        ("limit=many", "limit", "integer"),
        ("order=sideways", "order", "asc"),
    ],
)
async def test_an_absurd_list_query(desk: Desk, query: str, param: str, told: str) -> None:
    answer = await desk.http.get(f"/v1/videos?{query}", headers=await desk.bearer())
    assert told in ensure_envelope(answer, 422, "invalid_value", param)


async def test_addresses_and_methods_that_do_not_exist(desk: Desk) -> None:
    ensure_envelope(await desk.http.get("/v1/nothing"), 404, "not_found")
    answer = await desk.http.put("/v1/videos")
    ensure_envelope(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


async def test_control_bodies_are_checked(desk: Desk) -> None:
    wrong = {"principal": "", "cohort": "alpha", "colour": 1}
    answer = await desk.http.post("/control/tokens", json=wrong, headers=desk.admin)
    message = ensure_envelope(answer, 422, "invalid_value", "principal")
    assert "colour" in message
    none = await desk.revoke({})
    assert "exactly one" in ensure_envelope(none, 422, "invalid_value", "selector")
    two = await desk.revoke({"cohort": "a", "all": True})
    assert "cohort, all" in ensure_envelope(two, 422, "invalid_value", "selector")
    naive = await desk.http.put("/control/clock", json={"time": "2024-11-26T08:30:00"}, headers=desk.admin)
    assert "offset" in ensure_envelope(naive, 422, "invalid_value", "body")


async def test_no_clock_to_change(desk: Desk) -> None:
    answer = await desk.http.put("/control/clock", json={"speed": 2}, headers=desk.admin)
    ensure_envelope(answer, 409, "conflict", "time")


async def test_a_store_that_does_not_answer_is_a_503(desk: Desk) -> None:
    headers = await desk.bearer()
    raw(desk, "ALTER TABLE events RENAME TO elsewhere")
    answer = await desk.http.post("/v1/videos", json={"prompt": "x"}, headers=headers)
    ensure_envelope(answer, 503, "store_unavailable")


async def test_an_unforeseen_fault_shows_no_traceback(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.keys.__dict__["links"] = None  # a broken part, as a bug would leave it
    answer = await desk.http.get("/media/video_1?exp=9999999999&sig=00")
    assert "log says why" in ensure_envelope(answer, 500, "server_error")
    assert "Traceback" in caplog.text
