"""`POST /control/trace`: whose clip is this?"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from gateway.control.schemas import TraceAnswer
from gateway.errors import InvalidRequest
from gateway.traces import service
from gateway.web.auth import Admin
from gateway.web.context import Ctx

router = APIRouter(prefix="/control", tags=["control"])

CLIP: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/trace", openapi_extra=CLIP)
async def trace(request: Request, ctx: Ctx, actor: Admin) -> TraceAnswer:
    """Reads the marks of the clip in the body and names the job and the token that made it, or says unknown."""
    descriptor, name = tempfile.mkstemp(prefix="trace-", suffix=".video")
    clip = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        if clip.stat().st_size == 0:  # noqa: ASYNC240  one stat of a local file
            raise InvalidRequest("The body is empty; send the clip itself.", param="body")
        return TraceAnswer.of(await service.trace_clip(ctx.store, ctx.keys.marks, clip, now=ctx.clock.now()))
    finally:
        clip.unlink(missing_ok=True)  # noqa: ASYNC240
