"""What comes in as fields: every encoding that clients use, and everything that is no video."""

from __future__ import annotations

import json
from typing import Any

import pytest

from desk import Desk
from gateway.jobs import catalog
from gateway.store.jobs import RenderRequest

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_alone]

Parts = list[tuple[str, tuple[str | None, str]]]


async def asked(desk: Desk, **options: Any) -> RenderRequest:
    """What the worker is asked for."""
    answer = await desk.http.post("/v1/videos", headers=await desk.bearer(), **options)
    assert answer.status_code == 200, answer.text
    return (await desk.claimed()).request


async def refused(desk: Desk, **options: Any) -> tuple[str, str | None, str]:
    answer = await desk.http.post("/v1/videos", headers=await desk.bearer(), **options)
    assert answer.status_code == 400, (answer.status_code, answer.text)
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(answer.content) < 4000
    return error["code"], error["param"], error["message"]


def parts(**fields: str) -> Parts:
    return [(name, (None, value)) for name, value in fields.items()]


@pytest.mark.parametrize("seconds", [1, "1", 4, "4", 8, "12", 4.0, "16", 16, "20", 20])
async def test_seconds_are_numbers_or_text(desk: Desk, seconds: Any) -> None:
    assert (await asked(desk, json={"prompt": "x", "seconds": seconds})).seconds == int(seconds)


@pytest.mark.parametrize(
    "seconds", ["13", "15", 17, 19, 21, 0, "-4", "4.5", "", "four", True, [4], {"s": 4}, 1e308, "9" * 5000]
)
async def test_other_seconds_are_refused(desk: Desk, seconds: Any) -> None:
    code, param, message = await refused(desk, json={"prompt": "x", "seconds": seconds})
    assert (code, param) == ("invalid_value", "seconds")
    if seconds in ("13", 21):
        assert "1 to 12, 16 or 20" in message


@pytest.mark.parametrize("size", catalog.SIZES)
async def test_every_size_of_the_catalog(desk: Desk, size: str) -> None:
    assert (await asked(desk, files=parts(prompt="x", size=size))).size == size


@pytest.mark.parametrize("model", [*catalog.MODELS, *catalog.ALIASES])
async def test_every_name_of_a_model(desk: Desk, model: str) -> None:
    request = await asked(desk, json={"prompt": "x", "model": model})
    assert (request.model, request.variant) == (model, catalog.model_behind(model))
    shown = await desk.http.get(f"/v1/models/{model}", headers=await desk.bearer())
    assert shown.json()["id"] == model
    assert set(shown.json()) >= {"sizes", "seconds", "styles", "extension_seconds", "aliases"}


@pytest.mark.parametrize("style", catalog.STYLES)
async def test_every_style(desk: Desk, style: str) -> None:
    assert (await asked(desk, data={"prompt": "x", "style": style})).style == style


async def test_an_id_or_text_in_any_language(desk: Desk) -> None:
    prompt = "Ein Hund 🐕 auf dem Skateboard, 霓虹街道, مدينة, \u0000 and \u202e"
    for options in ({"json": {"prompt": prompt}}, {"files": parts(prompt=prompt)}, {"data": {"prompt": prompt}}):
        assert (await asked(desk, **options)).prompt == prompt


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "prompt"),
        ({"prompt": None}, "missing_required_parameter", "prompt"),
        ({"prompt": ""}, "invalid_value", "prompt"),
        ({"prompt": " \n\t"}, "invalid_value", "prompt"),
        ({"prompt": "x" * 32_001}, "invalid_value", "prompt"),
        ({"prompt": 5}, "invalid_value", "prompt"),
        ({"prompt": ["x"]}, "invalid_value", "prompt"),
        ({"prompt": "x", "size": "1280X720"}, "invalid_value", "size"),
        ({"prompt": "x", "size": 1280}, "invalid_value", "size"),
        ({"prompt": "x", "model": "x" * 10_000}, "invalid_value", "model"),
        ({"prompt": "x", "style": "oil"}, "invalid_value", "style"),
        ({"prompt": "x", "fps": 0}, "invalid_value", "fps"),
        ({"prompt": "x", "fps": "61"}, "invalid_value", "fps"),
        ({"prompt": "x", "seed": -1}, "invalid_value", "seed"),
        ({"prompt": "x", "seed": 2**32}, "invalid_value", "seed"),
        ({"prompt": "x", "seed": 10**400}, "invalid_value", "seed"),
        ({"prompt": "x", "guidance_scale": "nan"}, "invalid_value", "guidance_scale"),
        ({"prompt": "x", "guidance_scale": "inf"}, "invalid_value", "guidance_scale"),
        ({"prompt": "x", "guidance_scale": False}, "invalid_value", "guidance_scale"),
        ({"prompt": "x", "num_inference_steps": 101}, "invalid_value", "num_inference_steps"),
        ({"prompt": "x", "quality": "hd"}, "unknown_parameter", "quality"),
        ({"prompt": "x", "n" * 10_000: 1}, "unknown_parameter", "n" * 80),
        ({"prompt": "x", "__proto__": {}}, "unknown_parameter", "__proto__"),
        ({"prompt": "x", "input_reference": "https://example.com/x.png"}, "invalid_type", "input_reference"),
        ({"prompt": "x", "input_reference": {}}, "invalid_value", "input_reference"),
        ({"prompt": "x", "input_reference": {"image_url": "u", "file_id": "f"}}, "invalid_value", "input_reference"),
        ({"prompt": "x", "input_reference": {"url": "u"}}, "unknown_parameter", "input_reference.url"),
        ({"prompt": "x", "input_reference": [1]}, "invalid_value", "input_reference"),
        ({"prompt": "x", "characters": {"id": "c"}}, "invalid_value", "characters"),
        ({"prompt": "x", "characters": ["c"]}, "invalid_value", "characters.0"),
        ({"prompt": "x", "characters": [{"id": "c", "name": "n"}]}, "unknown_parameter", "characters.0.name"),
        ({"prompt": "x", "characters": [{"id": "c"}] * 3}, "invalid_value", "characters"),
        ({"prompt": "x", "characters": [{}]}, "missing_required_parameter", "characters.0.id"),
    ],
)
async def test_bad_values(desk: Desk, body: dict[str, Any], code: str, param: str) -> None:
    assert (await refused(desk, json=body))[:2] == (code, param)
    assert await desk.events("job.") == []


async def test_what_is_unknown_is_told_what_is_known(desk: Desk) -> None:
    _, _, message = await refused(desk, json={"prompt": "x", "quality": "hd"})
    assert "prompt, model, size, seconds" in message
    _, _, message = await refused(desk, json={"prompt": "x", "input_reference": {"url": "u"}})
    assert message.endswith("'input_reference' takes image_url, file_id.")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "x", "\\ud800": 1}',
        b'{"prompt": "x", "model": "\\udfff"}',
        b'{"prompt": "x", "negative_prompt": "\\ud83d"}',
        b'{"prompt": "x", "characters": [{"id": "\\ud800"}]}',
        b'{"prompt": "x", "input_reference": {"image_url": "http://\\ud800/"}}',
        b'{"prompt": "x", "seed": 1' + b"0" * 5000 + b"}",
        b'{"prompt": "x", "seed": 1, "seed": 2}',
        b'{"prompt": "x", "characters": [{"id": "a", "id": "b"}]}',
        b'{"prompt": "x", "\\ud800": 1, "\\ud800": 2}',
        b"{" + b",".join(b'"%d": 1' % number for number in range(20_000)) + b', "19999": 1}',
        b"[" * 100_000,
        b'{"prompt": "\xff"}',
        b'["prompt"]',
        b"null",
        b"",
        b"{",
        b'{"prompt": NaN}',
    ],
)
async def test_json_that_is_none_or_holds_what_is_no_text(desk: Desk, raw: bytes) -> None:
    headers = {**await desk.bearer(), "Content-Type": "application/json"}
    answer = await desk.http.post("/v1/videos", content=raw, headers=headers)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("form", "param"),
    [
        (parts(prompt="x") + parts(prompt="y"), "prompt"),
        (parts(prompt="x", seed="true"), "seed"),
        (parts(prompt="x", **{"characters[0][id]": "c"}), "characters[0][id]"),
        (parts(prompt="x", **{"lora[name]": "n"}), "lora"),
        (
            parts(prompt="x", **{"input_reference[image_url]": "a"}) + parts(**{"input_reference[image_url]": "b"}),
            "input_reference",
        ),
        (parts(prompt="x", **{"prompt[a]": "b"}), "prompt"),
        ([*parts(prompt="x"), ("seed", ("f.txt", "7"))], "seed"),
        ([*parts(prompt="x"), ("extra", ("f.txt", "7"))], "extra"),
    ],
)
async def test_bad_forms(desk: Desk, form: Parts, param: str) -> None:
    assert (await refused(desk, files=form))[1] == param


async def test_ids_of_any_length_and_kind_are_only_not_found(desk: Desk) -> None:
    headers = await desk.bearer()
    for id in ("x" * 10_000, "%00", "%2e%2e%2fx", "%ff%fe", "'%20OR%201=1--", "%0d%0aX-Evil:%201", "video_" + "0" * 32):
        for method, path in [
            ("GET", f"/v1/videos/{id}"),
            ("DELETE", f"/v1/videos/{id}"),
            ("GET", f"/v1/videos/{id}/content"),
            ("POST", f"/v1/videos/{id}/cancel"),
            ("POST", f"/v1/videos/{id}/link"),
            ("GET", f"/v1/videos/characters/{id}"),
            ("GET", f"/v1/models/{id}"),
        ]:
            answer = await desk.http.request(method, path, headers=headers)
            assert answer.status_code == 404, (method, path[:60], answer.status_code)
            assert "x-evil" not in answer.headers
            assert len(answer.content) < 1000


async def test_the_document_describes_every_body(desk: Desk) -> None:
    document = (await desk.http.get("/openapi.json")).json()
    takes_none = {"/cancel", "/link", "/share"}
    for path, operations in document["paths"].items():
        if not path.startswith("/v1/videos") or "post" not in operations or any(path.endswith(x) for x in takes_none):
            continue
        content = operations["post"]["requestBody"]["content"]
        assert "multipart/form-data" in content, path
        assert "$defs" not in json.dumps(content)
        for described in content.values():
            assert described["schema"]["additionalProperties"] is False, path
    form = document["paths"]["/v1/videos"]["post"]["requestBody"]["content"]
    fields = form["multipart/form-data"]["schema"]["properties"]
    assert set(fields) >= {"input_reference", "input_reference[image_url]", "characters[][id]"}
    assert fields["size"]["enum"] == list(catalog.SIZES)
    assert set(form["application/json"]["schema"]["properties"]) == {
        "prompt", "model", "size", "seconds", "fps", "seed", "style", "negative_prompt", "num_inference_steps",
        "guidance_scale", "input_reference", "characters",
    }  # fmt: skip
