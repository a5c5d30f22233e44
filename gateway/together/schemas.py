"""The wire of Together's videos. Source: together 3.1.1 for Python, and Hugging Face's client, which names fields
besides."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from gateway.jobs import Job, JobStatus, catalog
from gateway.limits import credits
from gateway.web.fields import Address, Duration, Form, Percent, Ratio, Resolution, Side, Steps, Text
from gateway.web.scenes import Scene


class FrameImage(Form):
    """A picture and where it goes; only the first frame can be one."""

    input_image: Address
    frame: Literal["first", 0] | None = None


class Media(Form):
    """What a video begins with."""

    frame_images: list[FrameImage] | None = Field(None, min_length=1, max_length=1)


class CreateVideo(Scene):
    """The body of a creation; unknown fields are refused. `output_quality` changes nothing here."""

    model: Text
    width: Side | None = None
    height: Side | None = None
    ratio: Ratio | None = None
    resolution: Resolution | None = None
    seconds: Duration | None = None
    steps: Steps | None = None
    output_format: Literal["MP4"] | None = None
    output_quality: Percent | None = None
    generate_audio: Literal[False] | None = None
    media: Media | None = None
    frame_images: list[FrameImage] | None = Field(None, min_length=1, max_length=1)


class VideoError(BaseModel):
    """Why a video failed."""

    code: str
    message: str


class Outputs(BaseModel):
    """What a video cost, in credits, and its clip as a signed link."""

    cost: int
    video_url: str


class VideoJob(BaseModel):
    """A video job. Times are Unix seconds. One that waits is `in_progress` too: the client knows no other word for
    what has not ended."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["in_progress", "completed", "failed"]
    created_at: float
    completed_at: float | None
    seconds: str
    size: str
    error: VideoError | None
    outputs: Outputs | None


def video_of(job: Job, url: str | None) -> VideoJob:
    """A job as its owner sees it; `url` is its clip's where it has one."""
    error = None
    if job.error_code is not None:
        error = VideoError(code=job.error_code, message=job.error_message or job.error_code)
    ended: Literal["completed", "failed"] = "completed" if job.status is JobStatus.COMPLETED else "failed"
    return VideoJob(
        id=job.id,
        model=catalog.published(job.request.variant),
        status=ended if job.ended else "in_progress",
        created_at=job.created_at,
        completed_at=job.completed_at,
        seconds=str(job.request.seconds),
        size=job.request.size,
        error=error,
        outputs=None if url is None else Outputs(cost=credits.cost(job.request), video_url=url),
    )
