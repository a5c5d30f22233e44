"""From a body to a checked form. Errors name the field, what it takes, and what the endpoint takes at all."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from gateway.errors import InvalidRequest
from gateway.web.bodies import Body
from gateway.web.fields import Form

F = TypeVar("F", bound=Form)


def checked(form: type[F], body: Body) -> F:
    """The body's fields against the form; raises InvalidRequest."""
    if body.files:
        _check_files(form, body)
    try:
        return form.model_validate(body.values)
    except ValidationError as exc:
        raise _refused(form, exc) from exc


def required_file(name: str) -> InvalidRequest:
    """The error for a file that is not there."""
    return InvalidRequest(
        f"Missing required parameter: {name!r}. It is a file; send the body as multipart/form-data.",
        param=name,
        code="missing_required_parameter",
    )


def _check_files(form: type[Form], body: Body) -> None:
    for name in body.files:
        if name in body.values:
            raise InvalidRequest(f"{name[:80]!r} is given twice, as a file and as a value.", param=_printable(name))
        if name in form.files:
            continue
        if name in form.model_fields:
            raise InvalidRequest(
                f"{name[:80]!r} is a text field, but came as a file; leave out its filename.",
                param=name,
                code="invalid_type",
            )
        raise _unknown((name,), form)


def _refused(form: type[Form], exc: ValidationError) -> InvalidRequest:
    first = exc.errors(include_url=False, include_input=False)[0]
    loc = first["loc"]
    name = _printable(".".join(str(part) for part in loc))
    if first["type"] == "extra_forbidden":
        return _unknown(loc, form)
    if first["type"] == "missing":
        return InvalidRequest(f"Missing required parameter: {name!r}.", param=name, code="missing_required_parameter")
    message = str(first["msg"]).removeprefix("Value error, ")
    code = "invalid_type" if first["type"] == "invalid_type" else None
    return InvalidRequest(f"Invalid {name!r}: {message}.", param=name, code=code)


def _unknown(loc: tuple[int | str, ...], form: type[Form]) -> InvalidRequest:
    name = _printable(".".join(str(part) for part in loc))
    where, known = "This endpoint", dict.fromkeys((*form.model_fields, *form.files))
    inner = _form_at(form, loc[:-1])
    if inner is not form:
        where, known = repr(str(loc[0])), dict.fromkeys(inner.model_fields)
    return InvalidRequest(
        f"Unknown parameter: {name!r}. {where} takes {', '.join(known)}.", param=name, code="unknown_parameter"
    )


def _form_at(form: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The form that holds the field after `loc`."""
    for part in loc:
        field = form.model_fields.get(str(part))
        if field is not None:
            form = next(_forms_in(field.annotation), form)
    return form


def _forms_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (list, UnionType, Union, Annotated):
        for part in get_args(annotation):
            yield from _forms_in(part)


def _printable(name: str) -> str:
    """At most 80 characters that an answer can carry: JSON may hold halves of surrogate pairs."""
    return name[:80].encode("utf-8", "backslashreplace").decode()
