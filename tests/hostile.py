"""Words that somebody else chose, put into every free text of a model."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel

Kind = TypeVar("Kind", bound=BaseModel)

# Begins a formula, a table's row, a heading, a fence, a list, a quote, a rule, HTML, links and an image; turns the
# direction of writing round, clears the screen, and says at its end which text it was.
HOSTILE = (
    "=HYPERLINK(1)\n| a | b |\n\n# heading\n\n```\n~~~\n\n- list\n\n1. one\n\n> quote\n\n---\n***\n"
    "<script>alert(1)</script><img src=x onerror=alert(1)> [a](javascript:alert(1)) ![b](http://x.invalid/p.png) <http://x.invalid>"
    " `code` **bold** _it_ ~~gone~~ &amp; \\| \\ {{ 7*7 }} {% raw %} ]]>"
    " --> \" ' \x00\x1b[2J\x07\u202e\u2028\x85 + - @ "
)


def hostile(text: str) -> str:
    """The hostile words with the text at their end: what was the same stays the same, so that references fit."""
    return f"{HOSTILE}{text}"


def poisoned(model: Kind, skip: frozenset[str] = frozenset()) -> Kind:
    """A copy in which every field that may hold any text, however deep, is hostile; but for `skip`: `Check.id`."""
    update = {
        name: _poisoned(getattr(model, name), field.annotation, _bound(field.metadata), skip)
        for name, field in type(model).model_fields.items()
        if f"{type(model).__name__}.{name}" not in skip
    }
    return model.model_copy(update=update)


def _poisoned(value: Any, annotation: Any, bound: bool, skip: frozenset[str]) -> Any:
    if isinstance(value, BaseModel):
        return poisoned(value, skip)
    if isinstance(value, str):
        return hostile(value) if not bound and _free(annotation) else value
    held = get_args(annotation)[-1] if get_args(annotation) else None
    if isinstance(value, list):
        return [_poisoned(each, held, False, skip) for each in value]
    if isinstance(value, Mapping):
        return {key: _poisoned(each, held, False, skip) for key, each in value.items()}
    return value


def _free(annotation: Any) -> bool:
    """Whether any text will do: not a Literal, and nothing with a pattern."""
    if get_origin(annotation) is Annotated:
        inner, *extra = get_args(annotation)
        return _free(inner) and not _bound(extra)
    members = get_args(annotation)
    return annotation is str or (type(None) in members and all(_free(one) for one in members if one is not type(None)))


def _bound(extra: Iterable[Any]) -> bool:
    """Whether a pattern stands among what is said of a type."""
    return any(getattr(one, "pattern", None) or _bound(getattr(one, "metadata", ())) for one in extra)
