"""One clip from order to end, as a stream of moments the page can show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from frontend.client import Gateway, GatewayError, Order, Video
from frontend.live import Live
from frontend.wording import CANCELLED, Refusal, failed, lost, refused

# A gateway that restarts is back well within this; nobody watches a frozen bar for longer.
PATIENCE = 20.0


@dataclass(frozen=True)
class Credential:
    """What opens the gateway. `worked`: it was accepted before, so a refusal now means that it was withdrawn.
    `student` is the name of the seat that a token of one's own came with."""

    token: str
    own: bool
    worked: bool = False
    student: str | None = None


@dataclass(frozen=True)
class Sent:
    pass


@dataclass(frozen=True)
class Waiting:
    ahead: int | None
    eta_ms: int | None


@dataclass(frozen=True)
class Rendering:
    step: tuple[int, int] | None
    progress: int
    eta_ms: int | None
    video_id: str = ""


@dataclass(frozen=True)
class Silent:
    """The gateway does not answer just now; it is asked again."""


@dataclass(frozen=True)
class Finished:
    video: Video
    link: str
    seed: int | None
    took: float


@dataclass(frozen=True)
class Stopped:
    why: Refusal


Moment = Sent | Waiting | Rendering | Silent | Finished | Stopped


async def render_clip(
    gateway: Gateway,
    live: Live,
    order: Order,
    credential: Credential,
    stop: asyncio.Event,
    *,
    patience: float = PATIENCE,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[Moment, None]:
    """Orders a clip and follows it. Setting `stop`, or closing the stream as a closed tab does, ends the job too."""
    started = monotonic()
    yield Sent()
    creating = asyncio.create_task(gateway.create(order, credential.token))
    stopped = asyncio.create_task(stop.wait())
    over = False
    try:
        # Waiting on the task leaves it running when this stream is closed: a job whose id never arrived here would
        # render for nobody.
        await asyncio.wait({creating, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not creating.done():
            yield Stopped(CANCELLED)
            return
        video = creating.result()
        heard = monotonic()
        moment: Moment = _moment(video)
        while not video.ended:
            yield moment
            await asyncio.wait({stopped}, timeout=_pause(video))
            if stop.is_set():
                yield Stopped(CANCELLED)
                return
            try:
                video = await gateway.retrieve(video.id, credential.token)
                heard = monotonic()
                moment = _moment(video)
            except GatewayError as error:
                if not error.passing or monotonic() - heard > patience:
                    raise
                moment = Silent()
        over = True
        if video.status == "failed":
            yield Stopped(failed(video))
            return
        link = await gateway.link(video.id, credential.token)
        yield Finished(video, link, order.seed if video.seed is None else video.seed, monotonic() - started)
    except GatewayError as error:
        accepted = creating.done() and creating.exception() is None
        # Told apart by the gateway's phase now, not by the one of half a second ago.
        status = await live.status(fresh=True)
        phase = status.phase if status else None
        over = over or not accepted or not error.passing
        if accepted:
            yield Stopped(lost(error, phase, own_token=credential.own, student=credential.student))
        else:
            yield Stopped(
                refused(error, phase, own_token=credential.own, worked=credential.worked, student=credential.student)
            )
    finally:
        stopped.cancel()
        if not over:
            gateway.give_up(creating, credential.token)


def _moment(video: Video) -> Moment:
    if video.status == "queued":
        return Waiting(video.ahead, video.eta_ms)
    return Rendering(video.step, video.progress, video.eta_ms, video.id)


def _pause(video: Video) -> float:
    # The gateway names the pace; the bounds keep a wrong header from freezing the page or flooding the gateway.
    return min(max((video.poll_after_ms or 500) / 1000, 0.02), 2.0)
