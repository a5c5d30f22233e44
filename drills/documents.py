"""Read a YAML file into a pydantic model, and say where it is wrong.

`parse(text, model, name)` raises ScenarioError with one line per fault: file, line, key, what is wrong, what is
allowed, and the nearest allowed word.

Times such as 12:00 stay text: YAML 1.1 would read them as numbers to the base of sixty.
"""

import difflib
import re
from collections.abc import Hashable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from drills.errors import ScenarioError

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]

MAX_FAULTS = 8


class _Loader(yaml.SafeLoader):
    """SafeLoader that takes only true/false as booleans and plain numbers as numbers."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789")
)


def parse(text: str, model: type[Model], name: str) -> Model:
    """Return the document as `model`. `name` is the file's name in messages. Raises ScenarioError."""
    lines: dict[Path, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise ScenarioError(f"{name}: the file is empty")
        _note_lines(node, (), lines, name)
        data = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{name}{_yaml_words(error)}") from error
    if not isinstance(data, Mapping):
        raise ScenarioError(f"{name}:1: expected keys and values, found {_kind(data)}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(_faults(error, model, name, lines)) from error


def _note_lines(node: yaml.Node, path: Path, lines: dict[Path, int], name: str) -> None:
    """Fill `lines` with the line (from 1) at which each key stands; refuse a key written twice."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            if inner in lines:
                raise ScenarioError(f"{name}:{key.start_mark.line + 1}: {_dotted(inner)}: written twice")
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*path, index), lines, name)


def _yaml_words(error: yaml.YAMLError) -> str:
    """The place and the problem of a YAML error, on one line."""
    mark = getattr(error, "problem_mark", None)
    place = f":{mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{place}: not YAML: {problem}"


def _faults(error: ValidationError, model: type[BaseModel], name: str, lines: dict[Path, int]) -> str:
    """One line per fault, the first eight."""
    details = error.errors(include_url=False)
    words = [_fault(detail, model, name, lines) for detail in details[:MAX_FAULTS]]
    if len(details) > MAX_FAULTS:
        words.append(f"{name}: and {len(details) - MAX_FAULTS} more")
    return "\n".join(words)


def _fault(detail: ErrorDetails, model: type[BaseModel], name: str, lines: dict[Path, int]) -> str:
    """file:line: key: what is wrong; what is allowed."""
    path = tuple(part for part in detail["loc"] if part != "[key]")
    known = path
    while known and known not in lines:
        known = known[:-1]
    where = f"{name}:{lines.get(known, 1)}: {_dotted(path) or 'the file'}"
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


def _dotted(path: Path) -> str:
    """msel, 2, at -> msel[2].at"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def _allowed_keys(model: type[BaseModel], path: Path) -> list[str]:
    """Keys of the model that stands at `path`."""
    inner = _annotation(model, path)
    return list(inner.model_fields) if isinstance(inner, type) and issubclass(inner, BaseModel) else []


def _allowed_values(model: type[BaseModel], path: Path) -> list[str]:
    """Values of the Literal that stands at `path`."""
    inner = _annotation(model, path)
    return [str(value) for value in get_args(inner)] if get_origin(inner) is Literal else []


def _annotation(model: type[BaseModel], path: Path) -> Any:
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
