"""Probes: the same few requests before and after the revocation, one kind per surface.

Before, each must be accepted: a surface that never worked proves nothing when it is refused. After, each is repeated
until the after-watch ends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from drills.gateway import Answer, Bearer, Caller, GatewayClient
from drills.history import History
from drills.scenario import Clip

PROBE_CLIP = Clip(weight=1, size="854x480", seconds=1, model="turbo")
WITNESS_CLIP = Clip(weight=1, size="1280x720", seconds=8, model="standard")
PROMPT = "a paper boat on a rainy street"
Sleep = Callable[[float], Awaitable[None]]


class ProbeKit:
    """Holds one leaked token and what was got with it: a finished clip, its signed link, a job to cancel."""

    def __init__(self, client: GatewayClient, bearer: Bearer, history: History, sleep: Sleep) -> None:
        self._client = client
        self._caller = Caller("probe", "probe", bearer)
        self._history = history
        self._sleep = sleep
        self._video: str | None = None
        self._spare: str | None = None
        self._url: str | None = None
        self._cut = asyncio.Event()

    async def make_clip(self, within_seconds: float) -> bool:
        """Get a finished clip to probe with. False when none is finished in time."""
        self._video = await finish_one(self._client, self._caller, within_seconds, self._history, self._sleep)
        return self._video is not None

    async def baseline(self) -> None:
        """Ask every surface once while the token counts, and keep what the later probes need."""
        await self._client.list_videos(self._caller)
        submitted = await self._client.submit(self._caller, PROBE_CLIP, PROMPT)
        self._spare = submitted.exchange.job
        if self._spare:
            await self._client.cancel(self._caller, self._spare)
        if self._video is None:
            return
        await self._client.poll(self._caller, self._video)
        await self._client.download(self._caller, self._video)
        link = await self._client.link(self._caller, self._video)
        self._url = str(link.body["url"]) if "url" in link.body else None
        if self._url:
            await self._client.fetch_link(self._caller, self._url, self._video)

    async def add_witness(self) -> Answer:
        """Submit a long job, so that the revocation finds work under way."""
        return await self._client.submit(self._caller, WITNESS_CLIP, PROMPT)

    def announce_cut(self) -> None:
        """The revocation was acknowledged: probe at once, without waiting for the next round."""
        self._cut.set()

    async def watch(self, every: float) -> None:
        """Probe each surface every so many seconds, side by side, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for probe in self._probes():
                group.create_task(self._repeat(probe, every))

    def _probes(self) -> list[Callable[[], Awaitable[Answer]]]:
        client, caller, video, spare, url = self._client, self._caller, self._video, self._spare, self._url
        probes: list[Callable[[], Awaitable[Answer]]] = [
            lambda: client.submit(caller, PROBE_CLIP, PROMPT),
            lambda: client.list_videos(caller),
        ]
        if spare:
            probes.append(lambda: client.cancel(caller, spare))
        if video:
            probes.append(lambda: client.poll(caller, video))
            probes.append(lambda: client.download(caller, video))
            if url:
                probes.append(lambda: client.fetch_link(caller, url, video))
        return probes

    async def _repeat(self, probe: Callable[[], Awaitable[Answer]], every: float) -> None:
        while True:
            cut_before = self._cut.is_set()
            await probe()
            if cut_before:
                await self._sleep(every)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self._cut.wait()


async def finish_one(
    client: GatewayClient, caller: Caller, within_seconds: float, history: History, sleep: Sleep
) -> str | None:
    """Submit a small clip, poll it to its end and download it. The video's id, or None when any of it failed."""
    deadline = history.now() + within_seconds
    answer = await client.submit(caller, PROBE_CLIP, PROMPT)
    video = answer.exchange.job
    if not answer.accepted or video is None:
        return None
    while history.now() < deadline:
        await sleep(answer.poll_after(0.2, 1.0))
        answer = await client.poll(caller, video)
        if answer.body.get("status") == "failed" or answer.exchange.outcome == "refused":
            return None
        if answer.body.get("status") == "completed":
            fetched = await client.download(caller, video)
            return video if fetched.accepted else None
    return None
