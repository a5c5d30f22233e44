"""docs/reference/settings.md: the fields of `gateway.settings.Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic.fields import FieldInfo

from gateway.settings import Settings
from scripts.reference.markdown import table

NAMES = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}


def page() -> str:
    rows = [
        (f"`LEAKDRILL_{name.upper()}`", _takes(field), _default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return f"""# Settings

What the gateway, the workers and `leakdrill up` read from the environment at their start. A value that does not fit is
told in one line, with exit code 2. The page has its own settings: [the page](../page.md#settings).

{table(("Variable", "Takes", "Default", "Meaning"), rows)}
"""


def _default(field: FieldInfo) -> str:
    return f"`{field.default}`" if str(field.default) else "empty"


def _takes(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(field.annotation))
    name = NAMES[field.annotation] if field.annotation in NAMES else str(field.annotation)
    return ", ".join([name, *_bounds(field)])


def _bounds(field: FieldInfo) -> list[str]:
    found: dict[str, object] = {}
    for bound in field.metadata:
        match bound:
            case Ge(ge):
                found["from"] = ge
            case Gt(gt):
                found["above"] = gt
            case Le(le):
                found["to"] = le
            case Lt(lt):
                found["below"] = lt
            case MinLen(least):
                found["of at least"] = f"{least} character" + ("s" if least != 1 else "")
            case MaxLen(most):
                found["of at most"] = f"{most} characters"
    words = [f"{word} {value}" for word, value in found.items()]
    return [" ".join(words)] if words else []
