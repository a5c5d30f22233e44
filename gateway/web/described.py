"""The bodies of requests as `/openapi.json` tells them: once as JSON, once as a form with bracketed keys and files."""

from __future__ import annotations

from typing import Any

from gateway.web.fields import Form


def json_of(form: type[Form]) -> dict[str, Any]:
    """The `openapi_extra` of an endpoint that takes `form` as JSON alone."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _as_json(_schema(form))}}}}


def body_of(form: type[Form], *, json: bool = True, files: tuple[str, ...] = ()) -> dict[str, Any]:
    """The `openapi_extra` of an endpoint that takes `form`. `files` are required besides."""
    schema = _schema(form)
    content = {"multipart/form-data": {"schema": _as_form(schema, form.files, files)}}
    if json:
        content = {"application/json": {"schema": _as_json(schema)}, **content}
    if json and not files:
        content["application/x-www-form-urlencoded"] = {"schema": _as_form(schema, (), ())}
    return {"requestBody": {"required": True, "content": content}}


def _schema(form: type[Form]) -> dict[str, Any]:
    schema = form.model_json_schema()
    found: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return found


def _as_json(schema: dict[str, Any]) -> dict[str, Any]:
    # null counts as absent.
    fields = {
        name: field if name in schema["required"] or _nullable(field) else {"anyOf": [field, {"type": "null"}]}
        for name, field in schema["properties"].items()
    }
    return {**schema, "properties": fields}


def _as_form(schema: dict[str, Any], files: tuple[str, ...], required: tuple[str, ...]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, field in schema["properties"].items():
        options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
        shape = options[0]
        if shape.get("type") == "object":
            fields |= {f"{name}[{key}]": _single(inner) for key, inner in shape["properties"].items()}
        elif shape.get("type") == "array":
            inner = shape["items"]["properties"]
            limits = {key: shape[key] for key in ("maxItems",) if key in shape}
            fields |= {f"{name}[][{key}]": {"type": "array", "items": _single(inner[key]), **limits} for key in inner}
        else:
            fields[name] = options[0] if len(options) == 1 else {"anyOf": options}
    fields |= {name: {"type": "string", "format": "binary"} for name in files}
    return {**schema, "properties": fields, "required": [*schema["required"], *required]}


def _single(field: dict[str, Any]) -> dict[str, Any]:
    return next(option for option in field.get("anyOf", [field]) if option.get("type") != "null")


def _nullable(field: dict[str, Any]) -> bool:
    return any(option.get("type") == "null" for option in field.get("anyOf", ()))


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """References into the schema's own definitions would lead nowhere inside the document."""
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(item, definitions) for key, item in value.items()}
    return [_inlined(item, definitions) for item in value] if isinstance(value, list) else value
