"""A job's files: the clip and its stills in the media directory, what it starts from in the inputs directory.

Their names begin with the job's id, so that whatever is left of a job can be found by it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

from gateway.errors import Conflict, NotFound
from gateway.store.jobs import Job, JobStatus

Variant = Literal["video", "thumbnail", "spritesheet"]
Asked = Literal["video", "thumbnail", "spritesheet", "preview"]  # a preview is there only while a clip is rendered
SUFFIXES: dict[Variant, str] = {"video": ".mp4", "thumbnail": ".webp", "spritesheet": ".jpg"}


def beside(clip: Path, variant: Variant) -> Path:
    """Where the clip's `variant` lies."""
    return clip.with_suffix(SUFFIXES[variant])


def remove(clip: Path) -> None:
    """Takes away the clip and its stills, as far as they are there."""
    for variant in SUFFIXES:
        beside(clip, variant).unlink(missing_ok=True)


def ensure_completed(job: Job, *, param: str = "video_id") -> str:
    """The name of its clip; raises Conflict (`video_not_ready`) for a job that has none yet, or failed."""
    if job.status is JobStatus.COMPLETED and job.file is not None:
        return job.file
    raise Conflict(
        f"Video {job.id} is {job.status}; this takes one that is completed.",
        param=param,
        code="video_not_ready",
        headers={"x-should-retry": "false"},
    )


def ready(media: Path, job: Job, variant: Variant, *, now: float, param: str = "video_id") -> Path:
    """The file of a finished job; raises Conflict before it is done, NotFound (`content_expired`) once it is gone."""
    path = beside(media / ensure_completed(job, param=param), variant)
    expired = job.expires_at is not None and job.expires_at <= now
    if expired or not path.is_file():
        raise gone(job.id, variant, param=param)
    return path


def preview_at(media: Path, id: str, attempt: int) -> Path:
    """Where an attempt at a job puts the frame of its refinement that is shown just now."""
    return media / f"{id}.{attempt}.preview.jpg"


def preview(media: Path, job: Job) -> bytes:
    """That frame, a JPEG. Raises NotFound (`no_preview`) where the job is not being rendered or has none yet; what an
    earlier attempt has left is none."""
    if job.status is JobStatus.IN_PROGRESS:
        with suppress(FileNotFoundError):
            return preview_at(media, job.id, job.attempt).read_bytes()
    raise NotFound(
        f"Video {job.id} is {job.status} and has no preview now; there is one while its noise is refined.",
        param="variant",
        code="no_preview",
    )


def gone(id: str, variant: Variant, *, param: str = "video_id") -> NotFound:
    """The error for a file that is no longer there."""
    what = "content" if variant == "video" else variant
    return NotFound(f"The {what} of video {id} has expired.", param=param, code="content_expired")


def drop_input(inputs: Path, job: Job) -> None:
    """Removes what the job started from."""
    if job.request.input is not None:
        (inputs / job.request.input).unlink(missing_ok=True)
