"""The bodies of requests, checked: unknown fields are refused at every depth. Form fields arrive as strings."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from gateway.videos import catalog

MAX_IMAGE_URL = 20_971_520
MAX_CHARACTERS = 2
MAX_NAME = 80


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"must be one of {', '.join(allowed)}, not {value[:80]!r}")
    return value


def _no_truth(kind: str, value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"must be a {kind}, not true or false")  # noqa: TRY004  pydantic reads ValueError
    return value


def _not_text(value: Any) -> Any:
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
MoreSeconds = Annotated[int, _Whole, _range(*catalog.MORE_SECONDS), _whole_numbers(*catalog.MORE_SECONDS)]
Fps = Annotated[int, _Whole, _range(*catalog.FPS), _whole_numbers(*catalog.FPS)]
Seed = Annotated[int, _Whole, _range(0, catalog.MAX_SEED), _whole_numbers(0, catalog.MAX_SEED)]
Steps = Annotated[int, _Whole, _range(1, catalog.MAX_STEPS), _whole_numbers(1, catalog.MAX_STEPS)]
Guidance = Annotated[
    float, _Real, Field(ge=0, le=catalog.MAX_GUIDANCE, allow_inf_nan=False), _real_numbers(catalog.MAX_GUIDANCE)
]
Strength = Annotated[float, _Real, Field(ge=0, le=1, allow_inf_nan=False), _real_numbers(1)]


class Form(BaseModel):
    """A body. `files` are the fields that may come as files."""

    model_config = ConfigDict(extra="forbid")

    files: ClassVar[tuple[str, ...]] = ()


class PictureReference(Form):
    """A picture that is named and not sent: exactly one of the two is given."""

    image_url: Text | None = Field(None, max_length=MAX_IMAGE_URL)
    file_id: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> PictureReference:
        if (self.image_url is None) == (self.file_id is None):
            raise ValueError("takes exactly one of image_url and file_id")
        if self.file_id is not None:
            raise ValueError("takes no file_id here, because there is no files API; send the file, or an image_url")
        return self


class Named(Form):
    """Something that exists already, by its id."""

    id: Text


class CreateVideo(Form):
    """The body of `POST /v1/videos`."""

    files = ("input_reference",)

    prompt: Prompt
    model: ModelName = catalog.DEFAULT_MODEL
    size: Size = catalog.DEFAULT_SIZE
    seconds: Seconds = catalog.DEFAULT_SECONDS
    fps: Fps = catalog.DEFAULT_FPS
    seed: Seed | None = None
    style: Style | None = None
    negative_prompt: Text = Field("", max_length=catalog.MAX_PROMPT)
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    input_reference: Annotated[PictureReference, BeforeValidator(_not_text)] | None = None
    characters: list[Named] = Field(default_factory=list, max_length=MAX_CHARACTERS)


class RemixVideo(Form):
    """The body of `POST /v1/videos/{video_id}/remix`."""

    prompt: Prompt


class EditVideo(Form):
    """The body of `POST /v1/videos/edits`."""

    files = ("video",)

    prompt: Prompt
    video: Annotated[Named, BeforeValidator(_not_text)] | None = None
    model: ModelName | None = None
    seed: Seed | None = None
    style: Style | None = None
    strength: Strength | None = None


class ExtendVideo(Form):
    """The body of `POST /v1/videos/extensions`."""

    files = ("video",)

    prompt: Prompt
    seconds: MoreSeconds
    video: Annotated[Named, BeforeValidator(_not_text)] | None = None


class CreateCharacter(Form):
    """The body of `POST /v1/videos/characters`, beside the file `video`."""

    files = ("video",)

    name: Name
