"""A job as an answer: the video object and the headers that clients read beside it."""

from __future__ import annotations

from typing import Any

from fastapi.responses import Response
from pydantic import BaseModel
from pydantic_core import to_json

from gateway.jobs import JobStatus
from gateway.jobs.service import Standing
from gateway.videos.schemas import wire


class _Wire(Response):
    """JSON with headers that need no checking, which is most of what a `Response` costs."""

    def __init__(self, content: dict[str, Any], headers: dict[str, str]) -> None:
        self.status_code = 200
        self.background = None
        self.body = to_json(content)
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self.body)).encode()),
            *[(name.encode(), value.encode()) for name, value in headers.items()],
        ]


def json_answer(body: BaseModel, headers: dict[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


def video_answer(standing: Standing) -> Response:
    job = standing.job
    headers = {"leakdrill-seed": str(job.request.seed)}
    if standing.ahead is not None:
        headers["leakdrill-queue-ahead"] = str(standing.ahead)
    if job.status is JobStatus.IN_PROGRESS and job.step is not None:
        headers["leakdrill-step"] = f"{job.step}/{job.steps}"
    if standing.eta_seconds is not None:
        headers["leakdrill-eta-ms"] = str(int(standing.eta_seconds * 1000))
        headers["openai-poll-after-ms"] = str(standing.poll_after_ms)
    return _Wire(wire(job), headers)
