"""The wire of Replicate's predictions. Source: replicate 1.0.7 for Python, whose models need what has no default."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.jobs import Job, JobStatus, catalog
from gateway.web.fields import Address, Duration, Form, Ratio, Resolution, Steps, Text
from gateway.web.scenes import Scene

State = Literal["starting", "processing", "succeeded", "failed", "canceled"]
STATES: dict[JobStatus, State] = {
    JobStatus.QUEUED: "starting",
    JobStatus.IN_PROGRESS: "processing",
    JobStatus.COMPLETED: "succeeded",
    JobStatus.FAILED: "failed",
}
# The models are as old as the morning that is rehearsed.
CREATED_AT = "2024-11-26T00:00:00Z"


class Input(Scene):
    """What a model takes. Unknown ones are dropped, as Replicate does."""

    model_config = ConfigDict(extra="ignore")

    aspect_ratio: Ratio | None = None
    resolution: Resolution | None = None
    duration: Duration | None = None
    num_inference_steps: Steps | None = None
    image: Address | None = None


class CreatePrediction(Form):
    """The body of a creation by model. `stream` changes nothing: no model here streams its output."""

    input: Input
    stream: Annotated[bool, Field(strict=True)] | None = None
    webhook: Text | None = None
    webhook_completed: Text | None = None
    webhook_events_filter: list[Text] | None = None


class CreateByVersion(CreatePrediction):
    """The body of a creation by version: its id, or `owner/name`, or `owner/name:id`."""

    version: Text = Field(json_schema_extra={"examples": ["leakdrill/standard"]})


class Urls(BaseModel):
    """Where to ask for a prediction, and where to end it."""

    get: str
    cancel: str


class PredictionMetrics(BaseModel):
    """Seconds: of the render, and from the creation to the end."""

    predict_time: float
    total_time: float


class Prediction(BaseModel):
    """A video job. Times are ISO 8601; `output` is a signed link; the last line of `logs` is a progress bar."""

    id: str
    model: str
    version: str
    status: State
    input: dict[str, Any]
    output: str | None
    logs: str
    error: str | None
    metrics: PredictionMetrics | None
    data_removed: bool
    created_at: str
    started_at: str | None
    completed_at: str | None
    urls: Urls


class PredictionPage(BaseModel):
    """A page of predictions, newest first; `next` is a whole URL."""

    previous: str | None
    next: str | None
    results: list[Prediction]


class Version(BaseModel):
    """A model's version, of which each has one."""

    id: str
    created_at: str
    cog_version: str
    openapi_schema: dict[str, Any]


class Model(BaseModel):
    """A model as its page shows it."""

    url: str
    owner: str
    name: str
    description: str
    visibility: Literal["public"] = "public"
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    cover_image_url: str | None = None
    run_count: int
    default_example: Prediction | None = None
    latest_version: Version


def version_id(variant: str) -> str:
    """64 hexadecimal digits, as Replicate's are."""
    return hashlib.sha256(catalog.published(variant).encode()).hexdigest()


def variant_of(version: str) -> str | None:
    """The model that a version's id, `owner/name` or `owner/name:id` is of."""
    name, _, id = version.rpartition(":")
    for variant in catalog.MODELS:
        known = version_id(variant)
        if version in (known, catalog.published(variant)) or (name, id) == (catalog.published(variant), known):
            return variant
    return None


def prediction_of(job: Job, *, url: str, output: str | None, waited_in_vain: bool = False) -> Prediction:
    """A job as its owner sees it; `url` is the prediction's own, `output` its clip's where it has one.

    Where a creation was held open in vain, its client takes every state but `starting` for final.
    """
    status = "canceled" if job.error_code == "cancelled" else STATES[job.status]
    return Prediction(
        id=job.id,
        model=catalog.published(job.request.variant),
        version=version_id(job.request.variant),
        status="starting" if waited_in_vain and not job.ended else status,
        input=_input(job),
        output=output,
        logs=_bar(job),
        error=job.error_message if status == "failed" else None,
        metrics=_metrics(job),
        data_removed=job.status is JobStatus.COMPLETED and output is None,
        created_at=_iso(job.created_at) or "",
        started_at=_iso(job.started_at),
        completed_at=_iso(job.completed_at),
        urls=Urls(get=url, cancel=f"{url}/cancel"),
    )


def _input(job: Job) -> dict[str, Any]:
    """What the job was made from, in this wire's words."""
    request = job.request
    resolution, ratio = catalog.shape_of(request.size)
    found: dict[str, Any] = {
        "prompt": request.prompt,
        "resolution": resolution,
        "aspect_ratio": ratio,
        "duration": request.seconds,
        "fps": request.fps,
        "seed": request.seed,
    }
    more = ("negative_prompt", "num_inference_steps", "guidance_scale", "style")
    return {**found, **{name: value for name in more if (value := getattr(request, name))}}


def _bar(job: Job) -> str:
    """The bar of tqdm, which is what the client reads progress from."""
    if job.step is None or not job.steps:
        return ""
    percent = job.step * 100 // job.steps
    filled = percent // 10
    return f"{percent:3}%|{'█' * filled}{' ' * (10 - filled)}| {job.step}/{job.steps}"


def _metrics(job: Job) -> PredictionMetrics | None:
    if job.completed_at is None or job.started_at is None:
        return None
    return PredictionMetrics(
        predict_time=max(0.0, job.completed_at - job.started_at), total_time=max(0.0, job.completed_at - job.created_at)
    )


def _iso(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
