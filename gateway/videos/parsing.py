"""A request's body, whichever form it comes in, as checked fields.

OpenAI's Python client always sends multipart to `POST /videos`; others send JSON. Both mean the same.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from gateway.errors import InvalidRequest, UnsupportedMediaType
from gateway.jobs import RenderRequest
from gateway.videos import catalog
from gateway.videos.schemas import CreateVideo

MAX_FIELDS = 50


async def create_request(request: Request) -> RenderRequest:
    """The render that a `POST /v1/videos` asks for; raises InvalidRequest naming the field and what it takes."""
    body = checked(await fields(request))
    return RenderRequest(
        prompt=body.prompt,
        model=body.model,
        variant=catalog.model_behind(body.model),
        size=body.size,
        seconds=body.seconds,
        fps=body.fps,
        seed=secrets.randbelow(catalog.MAX_SEED + 1) if body.seed is None else body.seed,
        style=body.style,
        negative_prompt=body.negative_prompt,
        num_inference_steps=body.num_inference_steps,
        guidance_scale=body.guidance_scale,
    )


async def fields(request: Request) -> dict[str, Any]:
    """The body's fields; raises UnsupportedMediaType or InvalidRequest."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _from_json(await request.body())
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return await _from_form(request)
    raise UnsupportedMediaType(
        f"The content type {kind[:80] or '(none)'!r} is not read here; send multipart/form-data or application/json."
    )


def checked(values: dict[str, Any]) -> CreateVideo:
    """The fields against the schema."""
    try:
        return CreateVideo.model_validate(values)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            known = ", ".join(CreateVideo.model_fields)
            raise InvalidRequest(
                f"Unknown parameter: {name[:80]!r}. This endpoint takes {known}.", param=name, code="unknown_parameter"
            ) from exc
        if first["type"] == "missing":
            raise InvalidRequest(
                f"Missing required parameter: {name!r}.", param=name, code="missing_required_parameter"
            ) from exc
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"Invalid {name!r}: {message}.", param=name) from exc


def _from_json(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"The body is not valid JSON: {exc}.", code="invalid_json") from exc
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object with the video's parameters.", code="invalid_json")
    # None means the same as an absent field, as OpenAI's clients treat it.
    return {name: item for name, item in value.items() if item is not None}


async def _from_form(request: Request) -> dict[str, Any]:
    _ensure_closed(request, await request.body())
    try:
        async with request.form(max_files=MAX_FIELDS, max_fields=MAX_FIELDS, max_part_size=512 * 1024) as form:
            return _text_fields(form)
    except HTTPException as exc:
        raise InvalidRequest(f"The form is malformed: {exc.detail}", code="invalid_form") from exc


def _text_fields(form: FormData) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, item in form.multi_items():
        if isinstance(item, UploadFile):
            raise InvalidRequest(
                f"{name[:80]!r} is a file; this endpoint takes text fields only.", param=name, code="unknown_parameter"
            )
        if name in values:
            raise InvalidRequest(f"{name[:80]!r} is given twice.", param=name)
        values[name] = item
    return values


def _ensure_closed(request: Request, raw: bytes) -> None:
    """A multipart body that breaks off would otherwise pass as a shorter one (RFC 2046, section 5.1.1: the closing
    delimiter ends it)."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        return
    closing = b"--" + options.get(b"boundary", b"") + b"--"
    if closing not in raw[-len(closing) - 64 :]:
        raise InvalidRequest("The form is malformed: it breaks off before its closing boundary.", code="invalid_form")
