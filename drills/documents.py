"""Read a YAML file into a pydantic model, and say where it is wrong.

`parse(text, model, name)` raises ScenarioError with one line per fault: file, line, key, what is wrong, what is
allowed, and the nearest allowed word.
"""

import difflib
from collections.abc import Hashable, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

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
        raise ScenarioError(_faults(error, model, data, name, line_of)) from error


def _faults(error: ValidationError, model: type[BaseModel], data: Any, name: str, line_of: LineOf) -> str:
    """One line per fault, the first eight."""
    details = error.errors(include_url=False)
    words = [line for detail in details for line in _faults_of(detail, model, data, name, line_of)]
    if len(words) > MAX_FAULTS:
        words = [*words[:MAX_FAULTS], f"{name}: and {len(words) - MAX_FAULTS} more"]
    return "\n".join(words)


def _faults_of(detail: ErrorDetails, model: type[BaseModel], data: Any, name: str, line_of: LineOf) -> list[str]:
    """A fault, or all that a misfit names."""
    misfit = detail.get("ctx", {}).get("error")
    if isinstance(misfit, MisfitError):
        return [f"{name}:{line_of(place)}: {dotted(place) or 'the file'}: {text}" for place, text in misfit.problems]
    return [_fault(detail, model, data, name, line_of)]


def _fault(detail: ErrorDetails, model: type[BaseModel], data: Any, name: str, line_of: LineOf) -> str:
    """file:line: key: what is wrong; what is allowed."""
    path = _place(detail, data)
    where = f"{name}:{line_of(path)}: {dotted(path) or 'the file'}"
    if detail["type"] == "extra_forbidden":
        allowed = _allowed_keys(model, path[:-1], data)
        return f"{where}: unknown key{_suggest(str(path[-1]), allowed)}; allowed: {', '.join(allowed)}"
    if detail["type"] == "missing":
        return f"{where}: missing"
    if detail["type"] in ("union_tag_not_found", "union_tag_invalid"):
        key = str(detail["ctx"]["discriminator"]).strip("'")
        allowed = list(_by_tag(_annotation(model, path, data), key))
        found = detail["ctx"].get("tag")
        given = "missing" if found is None else f"{found!r} is not allowed{_suggest(str(found), allowed)}"
        return f"{name}:{line_of((*path, key))}: {dotted((*path, key))}: {given}; allowed: {', '.join(allowed)}"
    if detail["type"] == "literal_error":
        allowed = _allowed_values(model, path, data)
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


def _place(detail: ErrorDetails, data: Any) -> Place:
    """Where in the document a fault lies: without the words that tell the members of a union apart."""
    place: list[str | int] = []
    for part in detail["loc"]:
        inner = _inside(data, part)
        if inner is not None:
            data = inner
        elif not isinstance(data, Mapping) or part not in data:
            continue
        place.append(part)
    return (*place, detail["loc"][-1]) if detail["type"] == "missing" else tuple(place)


def _inside(data: Any, part: str | int) -> Any:
    """What stands there in a document; None where nothing does."""
    if isinstance(data, list):
        return data[part] if isinstance(part, int) and part < len(data) else None
    return data.get(part) if isinstance(data, Mapping) else None


def _allowed_keys(model: type[BaseModel], path: Place, data: Any) -> list[str]:
    """Keys of the model that stands at `path`."""
    inner = _annotation(model, path, data)
    return list(_keys(inner)) if _is_model(inner) else []


def _allowed_values(model: type[BaseModel], path: Place, data: Any) -> list[str]:
    """Values of the Literal that stands at `path`."""
    inner = _annotation(model, path, data)
    return [str(value) for value in get_args(inner)] if get_origin(inner) is Literal else []


def _annotation(model: type[BaseModel], path: Place, data: Any) -> Any:
    """The type that `path` leads to in this document, lists and "or nothing" taken off."""
    current: Any = model
    for part in path:
        current = _member(_bare(current), data)
        if isinstance(part, int):
            current = get_args(current)[0] if get_args(current) else None
        elif _is_model(current) and part in (keys := _keys(current)):
            current = keys[part]
        elif get_origin(current) is dict:
            current = get_args(current)[1]
        else:
            return None
        data = _inside(data, part)
    return _member(_bare(current), data)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    """The keys of a model as they are written, each with its type."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _by_tag(annotation: Any, key: str) -> dict[str, Any]:
    """The members of a union of models, by what `key` says in each."""
    return {
        str(tag): each
        for each in get_args(annotation)
        if _is_model(each) and key in each.model_fields
        for tag in get_args(each.model_fields[key].annotation)
    }


def _member(annotation: Any, data: Any) -> Any:
    """The member of a union of models that the document means by its `type`."""
    if not isinstance(data, Mapping) or not any(_is_model(each) for each in get_args(annotation)):
        return annotation
    return _by_tag(annotation, "type").get(str(data.get("type")), annotation)


def _bare(annotation: Hashable) -> Any:
    """X out of X | None, or out of an annotated X; anything else unchanged."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    options = [option for option in get_args(annotation) if option is not type(None)]
    is_optional = type(None) in get_args(annotation) and len(options) == 1
    return options[0] if is_optional else annotation
