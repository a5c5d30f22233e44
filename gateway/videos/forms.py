"""The bodies of requests as OpenAI names their fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from gateway.jobs import catalog
from gateway.web.fields import (
    MAX_IMAGE_URL,
    Form,
    Fps,
    Guidance,
    ModelName,
    MoreSeconds,
    Name,
    Prompt,
    Seconds,
    Seed,
    Size,
    Steps,
    Strength,
    Style,
    Text,
    not_text,
)

MAX_CHARACTERS = 2


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
    input_reference: Annotated[PictureReference, BeforeValidator(not_text)] | None = None
    characters: list[Named] = Field(default_factory=list, max_length=MAX_CHARACTERS)


class RemixVideo(Form):
    """The body of `POST /v1/videos/{video_id}/remix`."""

    prompt: Prompt


class EditVideo(Form):
    """The body of `POST /v1/videos/edits`."""

    files = ("video",)

    prompt: Prompt
    video: Annotated[Named, BeforeValidator(not_text)] | None = None
    model: ModelName | None = None
    seed: Seed | None = None
    style: Style | None = None
    strength: Strength | None = None


class ExtendVideo(Form):
    """The body of `POST /v1/videos/extensions`."""

    files = ("video",)

    prompt: Prompt
    seconds: MoreSeconds
    video: Annotated[Named, BeforeValidator(not_text)] | None = None


class CreateCharacter(Form):
    """The body of `POST /v1/videos/characters`, beside the file `video`."""

    files = ("video",)

    name: Name
