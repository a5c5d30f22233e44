"""The wire: OpenAI's video object, list page and deletion, characters, models.

Source: the Video schema of OpenAI's published OpenAPI document; every one of its 13 keys is always present.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from gateway.jobs import Job


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
        return cls.model_construct(**wire(job))


def wire(job: Job) -> dict[str, Any]:
    """The same as plain fields: polls are many, and a model costs more than what it holds."""
    request, error = job.request, None
    if job.error_code is not None:
        error = {"code": job.error_code, "message": job.error_message or job.error_code}
    return {
        "id": job.id,
        "object": "video",
        "model": request.model,
        "status": job.status.value,
        "progress": job.progress,
        "created_at": int(job.created_at),
        "completed_at": _whole(job.completed_at),
        "expires_at": _whole(job.expires_at),
        "prompt": request.prompt,
        "size": request.size,
        "seconds": str(request.seconds),
        "remixed_from_video_id": request.remixed_from,
        "error": error,
    }


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


class Character(BaseModel):
    """A character; `created_at` is Unix seconds."""

    id: str
    name: str
    created_at: int


class SignedLink(BaseModel):
    """A link that plays without a bearer, until `expires_at` (Unix seconds) or the token's end."""

    url: str
    expires_at: int


class Model(BaseModel):
    """A model and what it takes. `aliases` are other names that it answers to; `seconds` is every length of a new clip,
    `extension_seconds` the least and the most that one extension may append."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    sizes: list[str]
    seconds: list[int]
    extension_seconds: dict[str, int]
    styles: list[str]
    aliases: list[str]


class ModelPage(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
