"""Read a YAML file into a pydantic model, and say where it is wrong.

`parse(text, model, name)` raises ScenarioError with one line per fault: file, line, key, what is wrong, what is
allowed, and the nearest allowed word.
"""

import difflib
from collections.abc import Hashable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from drills.errors import MisfitError, ScenarioError
from drills.lines import LineOf, NotYamlError, Place, dotted, load

Model = TypeVar("Model", bound=BaseModel)

MAX_FAULTS = 8


def parse(text: str, model: type[Model], name: str) -> Model:
    """Return the document as `model`. `name` is the file's name in messages. Raises ScenarioError."""
    try:
        data, line_of = load(text)
    except NotYamlError as error:
        place = "" if error.line is None else f":{error.line}"
        raise ScenarioError(f"{name}{place}: {error}") from error
    if data is None:
        raise ScenarioError(f"{name}: the file is empty")
    if not isinstance(data, Mapping):
        raise ScenarioError(f"{name}:1: expected keys and values, found {_kind(data)}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(_faults(error, model, name, line_of)) from error


def _faults(error: ValidationError, model: type[BaseModel], name: str, line_of: LineOf) -> str:
    """One line per fault, the first eight."""
    details = error.errors(include_url=False)
    words = [line for detail in details for line in _faults_of(detail, model, name, line_of)]
    if len(words) > MAX_FAULTS:
        words = [*words[:MAX_FAULTS], f"{name}: and {len(words) - MAX_FAULTS} more"]
    return "\n".join(words)


def _faults_of(detail: ErrorDetails, model: type[BaseModel], name: str, line_of: LineOf) -> list[str]:
    """A fault, or all that a misfit names."""
    misfit = detail.get("ctx", {}).get("error")
    if isinstance(misfit, MisfitError):
        return [f"{name}:{line_of(place)}: {dotted(place) or 'the file'}: {text}" for place, text in misfit.problems]
    return [_fault(detail, model, name, line_of)]


def _fault(detail: ErrorDetails, model: type[BaseModel], name: str, line_of: LineOf) -> str:
    """file:line: key: what is wrong; what is allowed."""
    path = tuple(part for part in detail["loc"] if part != "[key]")
    where = f"{name}:{line_of(path)}: {dotted(path) or 'the file'}"
    if detail["type"] == "extra_forbidden":
        allowed = _allowed_keys(model, path[:-1])
        return f"{where}: unknown key{_suggest(str(path[-1]), allowed)}; allowed: {', '.join(allowed)}"
    if detail["type"] == "missing":
        return f"{where}: missing"
    if detail["type"] == "literal_error":
        allowed = _allowed_values(model, path)
        near = _suggest(str(detail["input"]), allowed)
        return f"{where}: {detail['input']!r} is not allowed{near}; allowed: {', '.join(allowed)}"
    words = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {words[:1].lower()}{words[1:]}" + _found(detail["input"])


def _found(value: object) -> str:
    """What the file says instead, when it is short enough to repeat."""
    if isinstance(value, str | int | float | bool):
        return f", found {value!r}"
    return "" if isinstance(value, BaseModel | Mapping) else f", found {_kind(value)}"


def _suggest(word: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(word, allowed, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _kind(value: object) -> str:
    names = {list: "a list", dict: "keys and values", str: "text", type(None): "nothing", bool: "true or false"}
    return names.get(type(value), "a number")


def _allowed_keys(model: type[BaseModel], path: Place) -> list[str]:
    """Keys of the model that stands at `path`."""
    inner = _annotation(model, path)
    return list(inner.model_fields) if isinstance(inner, type) and issubclass(inner, BaseModel) else []


def _allowed_values(model: type[BaseModel], path: Place) -> list[str]:
    """Values of the Literal that stands at `path`."""
    inner = _annotation(model, path)
    return [str(value) for value in get_args(inner)] if get_origin(inner) is Literal else []


def _annotation(model: type[BaseModel], path: Place) -> Any:
    """The type that `path` leads to, lists and "or nothing" taken off."""
    current: Any = model
    for part in path:
        current = _bare(current)
        if isinstance(part, int):
            current = get_args(current)[0] if get_args(current) else None
        elif isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[part].annotation
        else:
            return None
    return _bare(current)


def _bare(annotation: Hashable) -> Any:
    """X out of X | None; anything else unchanged."""
    options = [option for option in get_args(annotation) if option is not type(None)]
    is_optional = type(None) in get_args(annotation) and len(options) == 1
    return options[0] if is_optional else annotation
