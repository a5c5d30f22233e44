"""A job as an answer: the video object and the headers that clients read beside it."""

from __future__ import annotations

from fastapi.responses import Response
from pydantic import BaseModel

from gateway.jobs import JobStatus
from gateway.jobs.service import Standing
from gateway.videos.schemas import Video


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
        eta = int(standing.eta_seconds * 1000)
        headers["leakdrill-eta-ms"] = str(eta)
        # OpenAI's poll helper keeps the first value it sees, so it must suit the whole wait.
        headers["openai-poll-after-ms"] = str(min(2000, max(200, eta // 5)))
    return json_answer(Video.of(job), headers)
