"""The fields of requests' bodies, checked: unknown ones are refused at every depth unless a form says otherwise. Form
fields arrive as strings."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.jobs import catalog

MAX_IMAGE_URL = 20_971_520
MAX_NAME = 80
# Of a list of what is not wanted; together they are no longer than one text may be.
MOST_AVOIDED, LONGEST_AVOIDED = 100, 300


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"must be one of {', '.join(allowed)}, not {value[:80]!r}")
    return value


def _no_truth(kind: str, value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"must be a {kind}, not true or false")  # noqa: TRY004  pydantic reads ValueError
    return value


def not_text(value: Any) -> Any:
    if isinstance(value, str):
        raise PydanticCustomError("invalid_type", "expected a file or an object, but got a string")
    return value


def _whole_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ValueError("holds half of a surrogate pair, which is no character") from exc
    return value


def _prompt(value: str) -> str:
    if not value.strip():
        raise ValueError(f"must not be empty; it takes 1 to {catalog.MAX_PROMPT} characters")
    if len(value) > catalog.MAX_PROMPT:
        raise ValueError(f"has {len(value)} characters; it takes at most {catalog.MAX_PROMPT}")
    return value


def _model(value: str) -> str:
    return _one_of(value, (*catalog.MODELS, *catalog.ALIASES))


def _size(value: str) -> str:
    return _one_of(value, catalog.SIZES)


def _style(value: str) -> str:
    return _one_of(value, catalog.STYLES)


def _name(value: str) -> str:
    if not value.strip() or len(value) > MAX_NAME:
        raise ValueError(f"must have 1 to {MAX_NAME} characters")
    return value


def _within(least: int, most: int, value: int) -> int:
    if not least <= value <= most:
        raise ValueError(f"must be {least} to {most}, not {str(value)[:40]}")
    return value


def _length(value: int) -> int:
    if value not in catalog.SECONDS:
        raise ValueError(f"must be {catalog.SECONDS_TEXT}, not {str(value)[:40]}")
    return value


def _ratio(value: str) -> str:
    return _one_of(value, catalog.RATIOS)


def _resolution(value: str) -> str:
    return _one_of(value, tuple(catalog.RESOLUTIONS))


def _without_unit(value: Any) -> Any:
    return value[:-1] if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}s", value) else value


def _joined(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if len(value) > MOST_AVOIDED or not all(isinstance(one, str) and len(one) <= LONGEST_AVOIDED for one in value):
        raise ValueError(f"must be text, or at most {MOST_AVOIDED} texts of at most {LONGEST_AVOIDED} characters each")
    return ", ".join(value)


def _whole_numbers(least: int, most: int) -> WithJsonSchema:
    """Whole numbers may come as text, as OpenAI's clients send them."""
    text: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{1,9}$"}
    if most <= 100:
        text = {"type": "string", "enum": [str(number) for number in range(least, most + 1)]}
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": least, "maximum": most}, text]})


def _numbers(allowed: tuple[int, ...]) -> WithJsonSchema:
    texts = [str(number) for number in allowed]
    return WithJsonSchema({"anyOf": [{"type": "integer", "enum": list(allowed)}, {"type": "string", "enum": texts}]})


def _real_numbers(most: int) -> WithJsonSchema:
    text = {"type": "string", "pattern": "^[01]$"}
    return WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": most}, text]})


def _choice(allowed: tuple[str, ...]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(allowed)})


def _written(most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "minLength": 1, "maxLength": most, "pattern": r"\S"})


def _range(least: int, most: int) -> AfterValidator:
    return AfterValidator(partial(_within, least, most))


def _no_number_as_text(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError("must be a whole number, not text")  # noqa: TRY004  pydantic reads ValueError
    return value


def _plain_numbers(least: int, most: int) -> tuple[object, ...]:
    """Whole numbers that never come as text."""
    schema = WithJsonSchema({"type": "integer", "minimum": least, "maximum": most})
    return _Whole, BeforeValidator(_no_number_as_text), _range(least, most), schema


_Whole = BeforeValidator(partial(_no_truth, "whole number"))
_Real = BeforeValidator(partial(_no_truth, "number"))
# JSON can spell text that UTF-8 cannot (RFC 8259, section 8.2), and no answer could repeat it.
Text = Annotated[str, AfterValidator(_whole_text)]
Prompt = Annotated[Text, AfterValidator(_prompt), _written(catalog.MAX_PROMPT)]
Name = Annotated[Text, AfterValidator(_name), _written(MAX_NAME)]
ModelName = Annotated[str, AfterValidator(_model), _choice((*catalog.MODELS, *catalog.ALIASES))]
Size = Annotated[str, AfterValidator(_size), _choice(catalog.SIZES)]
Style = Annotated[str, AfterValidator(_style), _choice(catalog.STYLES)]
Seconds = Annotated[int, _Whole, AfterValidator(_length), _numbers(catalog.SECONDS)]
_DURATIONS = [*map(str, catalog.SECONDS), *(f"{number}s" for number in catalog.SECONDS)]
# Seconds as other vendors write them besides: "5s".
Duration = Annotated[
    int,
    _Whole,
    BeforeValidator(_without_unit),
    AfterValidator(_length),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "enum": list(catalog.SECONDS)}, {"type": "string", "enum": _DURATIONS}]}
    ),
]
MoreSeconds = Annotated[int, _Whole, _range(*catalog.MORE_SECONDS), _whole_numbers(*catalog.MORE_SECONDS)]
Fps = Annotated[int, _Whole, _range(*catalog.FPS), _whole_numbers(*catalog.FPS)]
Seed = Annotated[int, _Whole, _range(0, catalog.MAX_SEED), _whole_numbers(0, catalog.MAX_SEED)]
Steps = Annotated[int, _Whole, _range(1, catalog.MAX_STEPS), _whole_numbers(1, catalog.MAX_STEPS)]
Guidance = Annotated[
    float, _Real, Field(ge=0, le=catalog.MAX_GUIDANCE, allow_inf_nan=False), _real_numbers(catalog.MAX_GUIDANCE)
]
Ratio = Annotated[str, AfterValidator(_ratio), _choice(catalog.RATIOS)]
Resolution = Annotated[str, AfterValidator(_resolution), _choice(tuple(catalog.RESOLUTIONS))]
Frames = Annotated[int, *_plain_numbers(1, catalog.MAX_FRAMES)]
Side = Annotated[int, *_plain_numbers(1, catalog.MAX_SIDE)]
Percent = Annotated[int, *_plain_numbers(0, 100)]
# Hugging Face's client sends a list.
Avoided = Annotated[
    Text,
    BeforeValidator(_joined),
    Field(max_length=catalog.MAX_PROMPT),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": catalog.MAX_PROMPT},
                {
                    "type": "array",
                    "items": {"type": "string", "maxLength": LONGEST_AVOIDED},
                    "maxItems": MOST_AVOIDED,
                },
            ]
        }
    ),
]
Address = Annotated[Text, Field(min_length=1, max_length=MAX_IMAGE_URL)]
Strength = Annotated[float, _Real, Field(ge=0, le=1, allow_inf_nan=False), _real_numbers(1)]


class Form(BaseModel):
    """A body. `files` are the fields that may come as files."""

    model_config = ConfigDict(extra="forbid")

    files: ClassVar[tuple[str, ...]] = ()
