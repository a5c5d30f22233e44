"""Where the browser finds the frames of a refinement; a gateway that has none is not troubled for long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from frontend.client import Gateway
from frontend.links import Links
from frontend.previews import MOST_REFUSALS, RENEWED_SECONDS, Preview
from frontend.render import Rendering, Sent, Waiting

pytestmark = pytest.mark.anyio


def rendering(step: int | None) -> Rendering:
    return Rendering(None if step is None else (step, 30), 10, None, "video_1")


class Desk:
    """A gateway that signs links for previews, or refuses to."""

    def __init__(self, serve: Callable[[FastAPI], str]) -> None:
        self.asked: list[str] = []
        self.refusal: tuple[int, str] | None = None
        self.seconds = 0.0
        app = FastAPI()

        @app.post("/{path:path}")
        async def link(path: str, request: Request) -> Response:
            self.asked.append(f"{path}?{request.url.query} {request.headers['authorization']}")
            if self.refusal:
                status, code = self.refusal
                error: dict[str, Any] = {"message": code, "type": "any", "param": None, "code": code}
                return JSONResponse({"error": error}, status)
            number = len(self.asked)
            return JSONResponse({"url": f"http://inside/media/video_1?exp=1&sig={number}&variant=preview"})

        self.gateway = Gateway(serve(app))
        links = Links(self.gateway, "https://outside")
        self.preview = Preview(self.gateway, links, "ldk_canary", monotonic=lambda: self.seconds)


@pytest.fixture
async def desk(serve: Callable[[FastAPI], str]) -> AsyncIterator[Desk]:
    desk = Desk(serve)
    yield desk
    await desk.gateway.aclose()


async def test_each_step_has_an_address_of_its_own_under_one_link(desk: Desk) -> None:
    for early in (Sent(), Waiting(1, None), rendering(None)):
        assert await desk.preview.at(early) is None
    assert desk.asked == []
    url = "https://outside/media/video_1?exp=1&sig=1&variant=preview"
    assert await desk.preview.at(rendering(1)) == f"{url}&step=1"
    assert await desk.preview.at(rendering(2)) == f"{url}&step=2"
    assert desk.asked == ["v1/videos/video_1/link?variant=preview Bearer ldk_canary"]


async def test_a_link_is_renewed_before_it_runs_out(desk: Desk) -> None:
    await desk.preview.at(rendering(1))
    desk.seconds = RENEWED_SECONDS
    assert "sig=1&" in str(await desk.preview.at(rendering(2)))
    desk.seconds += 0.1
    assert "sig=2&" in str(await desk.preview.at(rendering(3)))


@pytest.mark.parametrize("refusal", [(404, "no_preview"), (401, "invalid_api_key"), (500, "server_error")])
async def test_a_refusal_is_no_error_and_ends_the_asking(desk: Desk, refusal: tuple[int, str]) -> None:
    desk.refusal = refusal
    for step in range(1, 31):
        assert await desk.preview.at(rendering(step)) is None
    assert len(desk.asked) == MOST_REFUSALS


async def test_the_first_frame_may_come_late(desk: Desk) -> None:
    desk.refusal = (404, "no_preview")
    assert await desk.preview.at(rendering(1)) is None
    desk.refusal = None
    assert await desk.preview.at(rendering(1)) is not None


async def test_a_gateway_that_is_away_shows_nothing() -> None:
    away = Gateway("http://127.0.0.1:9")
    assert await Preview(away, Links(away, None), "ldk_canary").at(rendering(1)) is None
    await away.aclose()
