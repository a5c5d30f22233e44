"""What a watched token is used for: surfaces that a bearer reaches through the public API, and an open loop of them.

Probes come at a set rate whether or not earlier ones were answered: a gateway that grows slow is asked as often.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from drills.callers import Answer, Bearer, Caller, form_of
from drills.errors import DrillError, TargetDown, TargetRefused
from drills.surfaces import PROBE_CLIP, PROMPT
from drills.watch.client import ForeignClient, Request

WatchSurface = Literal["list", "poll", "download", "signed_link", "stream", "submit"]
SURFACES: tuple[str, ...] = get_args(WatchSurface)
LIST = Request("list", "GET", "/v1/videos?limit=20")
SHOWN_LINK = "(signed link)"
# Where APIs of this family put a link to the clip in what they say of a video.
LINK_FIELDS = ("url", "download_url", "video_url", "content_url")
MOST_UNDER_WAY = 128


@dataclass(frozen=True)
class Probe:
    """A request that is sent again and again for one token."""

    caller: Caller
    request: Request


@dataclass
class Goods:
    """What one token reaches: a finished video, a link to it without a bearer, whether its events stream."""

    video: str | None = None
    link: str | None = None
    streams: bool = False


async def check_token(client: ForeignClient, caller: Caller) -> Answer:
    """The list of a token's videos. Raises TargetDown or TargetRefused where that is not what is answered."""
    answer = await client.ask(caller, LIST)
    each, where = answer.exchange, f"GET {client.target}/v1/videos"
    accessor = caller.bearer.accessor if caller.bearer else ""
    if each.status is None:
        raise TargetDown(f"{client.target} does not answer")
    if each.outcome == "fault":
        raise TargetDown(f"{where} answered {each.status}: the gateway does not work, so nothing can be watched")
    if each.outcome == "limited":
        raise TargetDown(f"{where} answered 429 to token {accessor}: wait, or lower --rate")
    if each.outcome == "accepted" and isinstance(answer.body.get("data"), list):
        return answer
    if each.status in (401, 403):
        raise TargetRefused(
            f"{where} refused token {accessor} ({caller.who}) with {each.status} {each.code or ''}".rstrip()
            + "; a watch begins while every token is accepted"
        )
    raise TargetRefused(f"{where} answered {each.status}, but no list of videos: this is no Videos API")


async def find_goods(
    client: ForeignClient, caller: Caller, listed: Mapping[str, Any], video: str | None, wanted: Sequence[str]
) -> Goods:
    """Look for what can be asked for: a finished video (`video`, else the newest), a link, a stream."""
    done = [each for each in listed.get("data", []) if isinstance(each, dict) and each.get("status") == "completed"]
    goods = Goods(video=video or next((str(each["id"]) for each in done if each.get("id")), None))
    if goods.video is None:
        return goods
    found = await client.ask(caller, Request("poll", "GET", f"/v1/videos/{goods.video}"))
    if found.exchange.outcome != "accepted":
        if video is not None:
            raise DrillError(f"video {video} answered {found.exchange.status}; name one of the watched token's own")
        return Goods()
    if "signed_link" in wanted:
        goods.link = _link_in(found.body) or await _asked_link(client, caller, goods.video)
    if "stream" in wanted:
        events = await client.ask(caller, _stream(goods.video))
        goods.streams = "event-stream" in events.headers.get("content-type", "")
    return goods


async def _asked_link(client: ForeignClient, caller: Caller, video: str) -> str | None:
    return _link_in((await client.ask(caller, Request("link", "POST", f"/v1/videos/{video}/link"))).body)


def _link_in(body: Mapping[str, Any]) -> str | None:
    values = [body.get(name) for name in LINK_FIELDS]
    return next(
        (each for each in values if isinstance(each, str) and each.startswith(("http://", "https://", "/"))), None
    )


def _stream(video: str) -> Request:
    return Request("stream", "GET", f"/v1/videos/{video}/events", media=True)


def probes_for(caller: Caller, goods: Goods, wanted: Sequence[str]) -> list[Probe]:
    """Those of the wanted surfaces for which there is something to ask."""
    rows = {"list": LIST, "submit": Request("submit", "POST", "/v1/videos", form=form_of(PROBE_CLIP, PROMPT))}
    if goods.video:
        rows["poll"] = Request("poll", "GET", f"/v1/videos/{goods.video}")
        rows["download"] = Request("download", "GET", f"/v1/videos/{goods.video}/content", media=True)
        if goods.streams:
            rows["stream"] = _stream(goods.video)
    if goods.link:
        rows["signed_link"] = Request("signed_link", "GET", goods.link, bare=True, media=True, shown=SHOWN_LINK)
    return [Probe(caller, rows[name]) for name in SURFACES if name in wanted and name in rows]


def callers(bearers: Sequence[Bearer], *, bystander: bool) -> list[Caller]:
    """Who asks with these tokens."""
    return [Caller("bystander" if bystander else "probe", bearer.principal, bearer) for bearer in bearers]


@dataclass
class OpenLoop:
    """Sends probes in turn, `rate` a second, until cancelled. Too many under way: one is dropped and counted."""

    client: ForeignClient
    probes: Sequence[Probe]
    rate: float
    now: Callable[[], float]
    heard: Callable[[Answer], None]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    dropped: int = 0
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Raises what a request raises, which is DrillError where the limit of requests is reached."""
        start, sent = self.now(), 0
        while True:
            await self.sleep(max(0.0, start + sent / self.rate - self.now()))
            for task in [each for each in self._under_way if each.done()]:
                self._under_way.discard(task)
                task.result()
            if len(self._under_way) >= MOST_UNDER_WAY:
                self.dropped += 1
            else:
                probe = self.probes[sent % len(self.probes)]
                self._under_way.add(asyncio.create_task(self._one(probe)))
            sent += 1

    async def _one(self, probe: Probe) -> None:
        self.heard(await self.client.ask(probe.caller, probe.request))

    async def finish(self, within: float) -> None:
        """Wait for what is under way; what takes longer is given up."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=within)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
