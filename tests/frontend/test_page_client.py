"""The client, the stream of moments and the link check, each against a small gateway on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from frontend.client import AWAY, STRANGE, Gateway, GatewayError, Order, Status
from frontend.links import Links
from frontend.live import Live
from frontend.render import Credential, Finished, Moment, Rendering, Sent, Stopped, Waiting, render_clip

pytestmark = pytest.mark.anyio

ORDER = Order("a dog", "standard", "854x480", 2, 7)
PAGE = Credential("ldk_page", own=False)
POLL = {"openai-poll-after-ms": "20"}
QUEUED: dict[str, Any] = {"id": "video_1", "status": "queued", "progress": 0}


def error(status: int, code: str, **headers: str) -> Response:
    body = {"error": {"message": f"{code} happened", "type": "any", "param": None, "code": code}}
    return JSONResponse(body, status, headers=headers)


@dataclass
class Small:
    """A gateway that answers from a list and remembers what it was asked."""

    answers: list[Response] = field(default_factory=list)
    created: Response = field(default_factory=lambda: JSONResponse(QUEUED, headers=POLL))
    linked: Response = field(default_factory=lambda: JSONResponse({"url": "http://gw/media/video_1?exp=1&sig=new"}))
    media: Response = field(default_factory=lambda: Response(media_type="video/mp4"))
    phase: str = "exposed"
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    held: float = 0.0

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "POST", "HEAD"])
        async def any_route(path: str, request: Request) -> Response:
            self.asked.append(f"{request.method} {path}")
            self.tokens.add(request.headers.get("authorization", ""))
            if path == "status":
                await asyncio.sleep(self.held)
                queue = {"waiting": 3, "running": 2}
                return JSONResponse({"phase": self.phase, "queue": queue, "eta_ms": 900, "workers": 1})
            if path == "v1/videos":
                self.bodies.append(await request.json())
                await asyncio.sleep(self.held)
                return self.created
            if path.endswith("/link"):
                return self.linked
            if path.endswith("/cancel"):
                return JSONResponse(QUEUED | {"status": "failed", "error": {"code": "cancelled", "message": ""}})
            if path.startswith("media/"):
                return self.media
            if path == "v1/models":
                return JSONResponse({"data": [{"styles": ["salt", "moss"]}, {"styles": ["moss", "ink"]}, {}]})
            if path == "join":
                self.bodies.append((request.headers["x-forwarded-for"], await request.json()))
            return self.answers.pop(0)

        return app

    async def saw(self, what: str) -> None:
        async with asyncio.timeout(5):
            while what not in self.asked:
                await asyncio.sleep(0.01)


@pytest.fixture
def small() -> Small:
    return Small()


@pytest.fixture
async def gateway(small: Small, serve: Callable[[FastAPI], str]) -> AsyncIterator[Gateway]:
    client = Gateway(serve(small.app()))
    yield client
    await client.aclose()


@pytest.fixture
async def nobody(free_port: int) -> AsyncIterator[Gateway]:
    client = Gateway(f"http://127.0.0.1:{free_port}")
    yield client
    await client.aclose()


def video(status: str, progress: int = 0, code: str | None = None, headers: dict[str, str] | None = None) -> Response:
    problem = {"code": code, "message": "why"} if code else None
    body = {"id": "video_1", "status": status, "progress": progress, "error": problem}
    return JSONResponse(body, headers=POLL | (headers or {}))


async def moments(gateway: Gateway, credential: Credential = PAGE, patience: float = 5) -> list[Moment]:
    stream = render_clip(gateway, Live(gateway), ORDER, credential, asyncio.Event(), patience=patience)
    return [moment async for moment in stream]


def stopped(moment: Moment) -> str:
    assert isinstance(moment, Stopped)
    return moment.why.kind


async def test_status_is_typed(gateway: Gateway) -> None:
    assert await gateway.status() == Status("exposed", 3, 2, 1, 900, None, None, 1.0, False, "strict", ())


async def test_an_order_is_sent_as_the_gateway_names_its_fields(gateway: Gateway, small: Small) -> None:
    await gateway.create(Order("a dog", "turbo", "480x480", 3, 5, style="moss", negative_prompt="rain"), "ldk_page")
    await gateway.create(Order("a dog", "turbo", "480x480", 3), "ldk_page")
    plain = {"model": "turbo", "prompt": "a dog", "seconds": "3", "size": "480x480"}
    assert small.bodies == [plain | {"seed": 5, "style": "moss", "negative_prompt": "rain"}, plain]
    assert small.tokens == {"Bearer ldk_page"}


async def test_what_travels_in_headers_is_read(gateway: Gateway, small: Small) -> None:
    headers = {
        "leakdrill-queue-ahead": "6",
        "leakdrill-eta-ms": "8000",
        "leakdrill-step": "12/30",
        "leakdrill-seed": "9",
    }
    small.answers = [video("queued", headers=headers), video("queued", headers={"leakdrill-step": "soon"})]
    first = await gateway.retrieve("video_1", "ldk_page")
    assert (first.ahead, first.eta_ms, first.step, first.seed, first.poll_after_ms) == (6, 8000, (12, 30), 9, 20)
    assert (await gateway.retrieve("video_1", "ldk_page")).step is None


async def test_a_visitor_joins_by_code_under_their_own_address(gateway: Gateway, small: Small) -> None:
    seat = {"seat": 7, "name": "Student 07", "token": "ldk_x"}
    small.answers = [JSONResponse(seat), JSONResponse(seat), error(403, "class_ended"), JSONResponse({"seat": 7})]
    joined = await gateway.join("HKTM-4C7R", None, "10.0.0.7")
    assert (joined.name, joined.token) == ("Student 07", "ldk_x")
    await gateway.join("HKTM-4C7R", "Ada", "10.0.0.8")
    assert small.bodies == [
        ("10.0.0.7", {"code": "HKTM-4C7R"}),
        ("10.0.0.8", {"code": "HKTM-4C7R", "name": "Ada"}),
    ]
    for code in ("class_ended", STRANGE):
        with pytest.raises(GatewayError) as refused:
            await gateway.join("HKTM-4C7R", None, "10.0.0.7")
        assert refused.value.code == code


async def test_styles_of_all_models_once_each(gateway: Gateway) -> None:
    assert await gateway.styles("ldk_page") == ("salt", "moss", "ink")


async def test_a_refusal_carries_code_message_status_and_wait(gateway: Gateway, small: Small) -> None:
    small.created = error(429, "queue_full", **{"Retry-After": "7"})
    with pytest.raises(GatewayError) as caught:
        await gateway.create(ORDER, "ldk_page")
    refused = caught.value
    assert (refused.code, refused.message, refused.status, refused.retry_after, refused.passing) == (
        "queue_full",
        "queue_full happened",
        429,
        7.0,
        False,
    )


async def test_no_answer_is_one_kind_of_error(nobody: Gateway) -> None:
    with pytest.raises(GatewayError) as caught:
        await nobody.status()
    assert (caught.value.code, caught.value.passing) == (AWAY, True)


@pytest.mark.parametrize("answer", [PlainTextResponse("hello"), JSONResponse([1]), JSONResponse({"id": "video_1"})])
async def test_an_answer_of_something_else_is_one_kind_of_error(
    gateway: Gateway, small: Small, answer: Response
) -> None:
    small.answers = [answer]
    with pytest.raises(GatewayError) as caught:
        await gateway.retrieve("video_1", "ldk_page")
    assert caught.value.code == STRANGE


async def test_a_clip_goes_from_the_line_over_the_steps_to_its_link(gateway: Gateway, small: Small) -> None:
    small.answers = [
        video("queued", headers={"leakdrill-queue-ahead": "1", "leakdrill-eta-ms": "500"}),
        video("in_progress", 40, headers={"leakdrill-step": "12/30"}),
        video("completed", 100, headers={"leakdrill-seed": "7"}),
    ]
    *before, last = await moments(gateway)
    assert before == [Sent(), Waiting(None, None), Waiting(1, 500), Rendering((12, 30), 40, None, "video_1")]
    assert isinstance(last, Finished)
    assert (last.link, last.seed) == ("http://gw/media/video_1?exp=1&sig=new", 7)
    assert "POST v1/videos/video_1/cancel" not in small.asked


@pytest.mark.parametrize(("phase", "kind"), [("exposed", "unknown_token"), ("revoked", "revoked")])
async def test_a_refused_token_is_explained_by_the_phase(gateway: Gateway, small: Small, phase: str, kind: str) -> None:
    small.phase, small.created = phase, error(401, "invalid_api_key")
    assert stopped((await moments(gateway))[-1]) == kind


async def test_a_token_revoked_during_the_render_stops_the_clip(gateway: Gateway, small: Small) -> None:
    small.phase, small.answers = "revoked", [error(401, "invalid_api_key")]
    assert stopped((await moments(gateway))[-1]) == "access_revoked"
    small.answers = [video("failed", code="access_revoked")]
    assert stopped((await moments(gateway))[-1]) == "access_revoked"


async def test_a_gateway_that_stumbles_is_asked_again(gateway: Gateway, small: Small) -> None:
    small.answers = [error(503, "starting"), video("completed", 100)]
    assert isinstance((await moments(gateway))[-1], Finished)


async def test_a_gateway_that_stays_silent_is_given_up(gateway: Gateway, small: Small) -> None:
    small.answers = [error(503, "starting"), error(503, "starting")]
    assert stopped((await moments(gateway, patience=0))[-1]) == "gateway_away"
    await small.saw("POST v1/videos/video_1/cancel")


async def test_an_order_to_nobody_says_that_the_gateway_is_away(nobody: Gateway) -> None:
    assert stopped((await moments(nobody))[-1]) == "gateway_away"


async def test_closing_the_stream_ends_the_job(gateway: Gateway, small: Small) -> None:
    small.answers = [video("queued") for _ in range(1000)]
    stream = render_clip(gateway, Live(gateway), ORDER, PAGE, asyncio.Event())
    async with aclosing(stream):
        async for moment in stream:
            if isinstance(moment, Waiting):
                break
    await small.saw("POST v1/videos/video_1/cancel")


async def test_closing_the_stream_before_the_gateway_named_the_job_ends_it_too(gateway: Gateway, small: Small) -> None:
    small.held = 0.3

    async def watch() -> None:
        await moments(gateway)

    watching = asyncio.create_task(watch())
    await small.saw("POST v1/videos")
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    await small.saw("POST v1/videos/video_1/cancel")


async def test_stop_ends_the_job_and_says_so(gateway: Gateway, small: Small) -> None:
    small.answers = [video("queued") for _ in range(1000)]
    stop = asyncio.Event()
    seen: list[Moment] = []
    async for moment in render_clip(gateway, Live(gateway), ORDER, PAGE, stop):
        seen.append(moment)
        if isinstance(moment, Waiting):
            stop.set()
    assert stopped(seen[-1]) == "cancelled"
    await small.saw("POST v1/videos/video_1/cancel")


async def test_a_crowd_costs_the_gateway_one_question(gateway: Gateway, small: Small) -> None:
    small.held = 0.05
    live = Live(gateway, max_age=60)
    said = await asyncio.gather(*(live.status() for _ in range(50)))
    assert {status.phase for status in said if status} == {"exposed"}
    assert small.asked == ["GET status"]


async def test_a_fresh_answer_is_one_from_after_the_question(gateway: Gateway, small: Small) -> None:
    live = Live(gateway, max_age=60)
    await live.status()
    small.phase = "revoked"
    fresh = await live.status(fresh=True)
    assert fresh is not None
    assert fresh.phase == "revoked"


async def test_the_state_recovers_when_the_gateway_comes_back(gateway: Gateway, nobody: Gateway) -> None:
    live = Live(nobody, max_age=0)
    assert await live.status() is None
    back = Live(gateway, max_age=0)
    assert await back.status() is not None


LINK = "http://anywhere.example/media/video_1?exp=1&sig=old"


@pytest.mark.parametrize(
    ("media", "state"),
    [
        (Response(media_type="video/mp4"), "served"),
        (error(401, "invalid_api_key"), "cut"),
        (error(403, "invalid_link"), "gone"),
        (error(404, "not_found"), "gone"),
        (error(503, "starting"), "gone"),
    ],
)
async def test_a_link_is_asked_for_at_the_gateway(gateway: Gateway, small: Small, media: Response, state: str) -> None:
    small.media = media
    said = await Links(gateway, None).check("video_1", LINK)
    assert (said.state, said.url) == (state, LINK if state == "served" else None)
    assert bool(said.words) == (state != "served")


async def test_a_cut_link_says_that_the_clip_was_made_before(gateway: Gateway, small: Small) -> None:
    small.media = error(401, "invalid_api_key")
    said = await Links(gateway, None).check("video_1", LINK)
    assert said.words.startswith("Made before revocation; the gateway no longer serves it")


async def test_a_link_that_ran_out_is_renewed_for_the_pages_own_clips_only(gateway: Gateway, small: Small) -> None:
    small.media = error(403, "link_expired")
    links = Links(gateway, "https://public.example/api")
    assert (await links.check("video_1", LINK)).state == "expired"
    links.remember("video_1", "ldk_page")
    said = await links.check("video_1", LINK)
    assert (said.state, said.url) == ("served", "https://public.example/api/media/video_1?exp=1&sig=new")
    small.linked = error(401, "invalid_api_key")
    assert (await links.check("video_1", LINK)).state == "cut"


@pytest.mark.parametrize("link", ["", "/v1/videos", "http://h/media/../status", "http://h/media/a/b", "media/a"])
async def test_nothing_but_a_media_link_is_asked_for(gateway: Gateway, small: Small, link: str) -> None:
    assert (await Links(gateway, None).check("video_1", link)).state == "gone"
    assert small.asked == []


async def test_a_link_cannot_be_checked_while_the_gateway_is_away(nobody: Gateway) -> None:
    assert (await Links(nobody, None).check("video_1", LINK)).state == "away"
