"""The wire of fal's queue. Source: fal_client 1.0.3 for Python, which needs every key without a default here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gateway.jobs import Job
from gateway.jobs.service import Standing
from gateway.web.fields import Address, Duration, Ratio, Resolution, Steps
from gateway.web.scenes import Scene


class Arguments(Scene):
    """What an application is called with. Unknown ones are left alone."""

    model_config = ConfigDict(extra="ignore")

    aspect_ratio: Ratio | None = None
    resolution: Resolution | None = None
    duration: Duration | None = None
    num_inference_steps: Steps | None = None
    image_url: Address | None = None


class Submitted(BaseModel):
    """The answer to a submission. Its client uses the three URLs as they are."""

    status: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    request_id: str
    gateway_request_id: str
    response_url: str
    status_url: str
    cancel_url: str
    queue_position: int


class LogLine(BaseModel):
    """How far a render is; `timestamp` is ISO 8601."""

    message: str
    level: Literal["INFO"] = "INFO"
    source: Literal["USER"] = "USER"
    timestamp: str


class Metrics(BaseModel):
    """Seconds from a render's start to its end."""

    inference_time: float


class InQueue(BaseModel):
    """`queue_position` counts from 0."""

    status: Literal["IN_QUEUE"] = "IN_QUEUE"
    request_id: str
    response_url: str
    queue_position: int


class InProgress(BaseModel):
    """`logs` is null unless they were asked for."""

    status: Literal["IN_PROGRESS"] = "IN_PROGRESS"
    request_id: str
    response_url: str
    logs: list[LogLine] | None


class Completed(BaseModel):
    """It has ended, well or badly; only the result tells which to every client."""

    status: Literal["COMPLETED"] = "COMPLETED"
    request_id: str
    response_url: str
    logs: list[LogLine] | None
    metrics: Metrics | None
    error: str | None
    error_type: str | None


Pending = InQueue | InProgress


class File(BaseModel):
    """A clip; `url` is a signed link, `file_size` bytes."""

    url: str
    content_type: Literal["video/mp4"] = "video/mp4"
    file_name: str
    file_size: int | None


class Result(BaseModel):
    """What a video application gives back."""

    video: File
    seed: int


class Cancelling(BaseModel):
    """The answer to a cancellation."""

    status: Literal["CANCELLATION_REQUESTED"] = "CANCELLATION_REQUESTED"


def status_of(standing: Standing, url: str, *, logs: bool, now: float) -> Pending | Completed:
    """Where a job stands; `url` is that of its result, `now` Unix seconds."""
    job = standing.job
    if job.ended:
        return Completed(
            request_id=job.id,
            response_url=url,
            logs=[] if logs else None,
            metrics=_metrics(job),
            error=job.error_message,
            error_type=job.error_code,
        )
    if standing.ahead is not None:
        return InQueue(request_id=job.id, response_url=url, queue_position=standing.ahead)
    return InProgress(request_id=job.id, response_url=url, logs=_logs(job, now) if logs else None)


def _metrics(job: Job) -> Metrics | None:
    if job.started_at is None or job.completed_at is None:
        return None
    return Metrics(inference_time=max(0.0, job.completed_at - job.started_at))


def _logs(job: Job, now: float) -> list[LogLine]:
    if job.step is None:
        return []
    at = datetime.fromtimestamp(now, UTC).isoformat()
    return [LogLine(message=f"step {job.step} of {job.steps}, {job.progress} %", timestamp=at)]
