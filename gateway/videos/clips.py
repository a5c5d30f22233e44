"""A clip as a response: the file, its ranges, and the envelope where a range cannot be served."""

from __future__ import annotations

from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from gateway.errors import APIError, InvalidRequest, RangeNotSatisfiable
from gateway.web.answers import answer


class ClipResponse(FileResponse):
    """Starlette refuses a bad range in plain text, inside the response; here that refusal becomes the envelope."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: APIError | None = None

        async def watched(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start":
                refusal = _refusal(message)
            if refusal is None:
                await send(message)

        await super().__call__(scope, receive, watched)
        if refusal is not None:
            await answer(refusal)(scope, receive, send)


def _refusal(start: Message) -> APIError | None:
    if start["status"] == 416:
        span = Headers(raw=start["headers"]).get("content-range", "bytes */*")
        message = f"The range lies outside the clip ({span})."
        return RangeNotSatisfiable(message, param="range", headers={"Content-Range": span})
    if start["status"] == 400:
        return InvalidRequest("The Range header is malformed; send for example bytes=0-999.", param="range")
    return None
