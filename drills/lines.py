"""Read YAML and remember where everything stands.

Only true and false are booleans, and only plain numbers are numbers: YAML 1.1 would read 12:00 as a number to the base
of sixty, and `on` as true.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml

Place = tuple[str | int, ...]
LineOf = Callable[[Place], int]

# More places than this are no document that somebody wrote: aliases of aliases grow without end.
MOST_PLACES = 100_000


class NotYamlError(ValueError):
    """The text is no YAML, or a key is written twice. `line` counts from 1 and is None where it is not known."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


class _Loader(yaml.SafeLoader):
    """SafeLoader that takes only true/false as booleans and plain numbers as numbers."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789")
)


def load(text: str) -> tuple[Any, LineOf]:
    """The document, None for an empty one; and the line (from 1) at which a place of it, such as ("msel", 2, "at"),
    stands: the line of the nearest thing around it, where there is no such place. Raises NotYamlError."""
    lines: dict[Place, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, lambda _: 1
        _note(node, (), lines)
        data = loader.construct_document(node)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise NotYamlError(f"not YAML: {problem}", _line_in(error, text)) from error
    except RecursionError as error:
        raise NotYamlError("nested too deep", None) from error

    def line_of(place: Place) -> int:
        while place and place not in lines:
            place = place[:-1]
        return lines.get(place, 1)

    return data, line_of


def dotted(place: Place) -> str:
    """msel, 2, at -> msel[2].at"""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def _line_in(error: yaml.YAMLError, text: str) -> int | None:
    """The line that a YAML error names."""
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1
    mark = getattr(error, "problem_mark", None)
    return None if mark is None else int(mark.line) + 1


def _note(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    """Fill `lines` with the line at which each key and item stands; refuse a key written twice."""
    lines.setdefault(place, node.start_mark.line + 1)
    if len(lines) > MOST_PLACES:
        raise NotYamlError(f"more than {MOST_PLACES} entries", node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                raise NotYamlError(f"{dotted(inner)}: written twice", key.start_mark.line + 1)
            lines[inner] = key.start_mark.line + 1
            _note(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note(value, (*place, index), lines)
