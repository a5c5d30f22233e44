"""The wire: OpenAI's video object, list page and deletion, and the fields of a request.

Source: the Video schema of OpenAI's published OpenAPI document; every one of its 13 keys is always present.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from gateway.jobs import Job
from gateway.videos import catalog


class VideoError(BaseModel):
    """Why a video failed."""

    code: str
    message: str


class Video(BaseModel):
    """A video job. Times are Unix seconds; `seconds` and `size` are strings."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str | None
    size: str
    seconds: str
    remixed_from_video_id: str | None
    error: VideoError | None

    @classmethod
    def of(cls, job: Job) -> Video:
        """The job as its owner sees it."""
        error = None
        if job.error_code is not None:
            error = VideoError(code=job.error_code, message=job.error_message or job.error_code)
        return cls.model_construct(
            id=job.id,
            object="video",
            model=job.request.model,
            status=job.status.value,
            progress=job.progress,
            created_at=int(job.created_at),
            completed_at=_whole(job.completed_at),
            expires_at=_whole(job.expires_at),
            prompt=job.request.prompt,
            size=job.request.size,
            seconds=str(job.request.seconds),
            remixed_from_video_id=None,
            error=error,
        )


class VideoPage(BaseModel):
    """A page of videos; clients go on from `last_id` while `has_more`."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(BaseModel):
    """The answer to a deletion."""

    id: str
    deleted: Literal[True] = True
    object: Literal["video.deleted"] = "video.deleted"


class SignedLink(BaseModel):
    """A link that plays without a bearer, until `expires_at` (Unix seconds) or the token's end."""

    url: str
    expires_at: int


class Model(BaseModel):
    """A model and what it takes."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    sizes: list[str]
    seconds: dict[str, int]
    styles: list[str]


class ModelPage(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


def _not_fractional(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a whole number, not true or false")  # noqa: TRY004  pydantic reads ValueError
    return value


Whole = Annotated[int, BeforeValidator(_not_fractional)]


class CreateVideo(BaseModel):
    """The body of `POST /v1/videos`; form fields arrive as strings. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    prompt: str
    model: str = catalog.DEFAULT_MODEL
    size: str = catalog.DEFAULT_SIZE
    seconds: Whole = Field(catalog.DEFAULT_SECONDS)
    fps: Whole = Field(catalog.DEFAULT_FPS, ge=catalog.MIN_FPS, le=catalog.MAX_FPS)
    seed: Whole | None = Field(None, ge=0, le=catalog.MAX_SEED)
    style: str | None = None
    negative_prompt: str = Field("", max_length=catalog.MAX_PROMPT)
    num_inference_steps: Whole | None = Field(None, ge=1, le=catalog.MAX_STEPS)
    guidance_scale: float | None = Field(None, ge=0, le=catalog.MAX_GUIDANCE, allow_inf_nan=False)

    @field_validator("prompt")
    @classmethod
    def _prompt(cls, value: str) -> str:
        if not value.strip():
            raise ValueError(f"must not be empty; it takes 1 to {catalog.MAX_PROMPT} characters")
        if len(value) > catalog.MAX_PROMPT:
            raise ValueError(f"has {len(value)} characters; it takes at most {catalog.MAX_PROMPT}")
        return value

    @field_validator("model")
    @classmethod
    def _model(cls, value: str) -> str:
        return _one_of(value, (*catalog.MODELS, *catalog.ALIASES))

    @field_validator("size")
    @classmethod
    def _size(cls, value: str) -> str:
        return _one_of(value, catalog.SIZES)

    @field_validator("style")
    @classmethod
    def _style(cls, value: str | None) -> str | None:
        return value if value is None else _one_of(value, catalog.STYLES)

    @field_validator("seconds")
    @classmethod
    def _seconds(cls, value: int) -> int:
        if not catalog.MIN_SECONDS <= value <= catalog.MAX_SECONDS:
            raise ValueError(f"must be {catalog.MIN_SECONDS} to {catalog.MAX_SECONDS}, not {value}")
        return value


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"must be one of {', '.join(allowed)}, not {value[:80]!r}")
    return value


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
