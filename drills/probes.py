"""Probes: the same requests before and after the revocation, one kind per surface, on every replica.

Before, each must be accepted: a surface that never worked proves nothing when it is refused, and a replica on which the
token was never used has nothing to remember. After, each is repeated until the after-watch ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from drills.callers import Answer, Bearer, Caller, bearer_in, form_of
from drills.gateway import GatewayClient
from drills.history import Exchange, History
from drills.population import Clip
from drills.surfaces import CHILD_SECONDS, PROBE_CLIP, PROMPT, Goods, Probe, probes_of

WITNESS_CLIP = Clip(weight=1, size="1280x720", seconds=8, model="standard")
# All probes together send no more than so many requests a second.
MOST_A_SECOND = 60.0
# Between two quick looks, before the acknowledgement and after it: a bound is divided by the clock's speed, and what
# lives for a tenth of a second must have been used just before, and be asked for at once.
PULSES_BEFORE = 0.04
PULSES_AFTER = (0.0, 0.01, 0.02, 0.03, 0.05, *[0.1] * 20)
# While a runbook waits for a person, nothing is about to be cut.
CALM_SECONDS = 2.0
Sleep = Callable[[float], Awaitable[None]]


class ProbeKit:
    """Holds one leaked token and what was got with it, and asks every replica for it. The first one is `members[0]`."""

    def __init__(
        self, members: Sequence[GatewayClient], bearer: Bearer, history: History, sleep: Sleep, surfaces: Sequence[str]
    ) -> None:
        self._members = members
        self._first = members[0]
        self.caller = Caller("probe", "probe", bearer)
        self._history = history
        self._sleep = sleep
        self._wanted = set(surfaces)
        self._goods = Goods(key=f"drill-{bearer.accessor}")
        self._cut = asyncio.Event()
        self.minted: list[Bearer] = []
        self.witness: str | None = None
        self.calm = False

    async def make_clip(self, within_seconds: float) -> bool:
        """Get a finished clip to probe with. False when none is finished in time."""
        self._goods.video = await finish_one(self._first, self.caller, within_seconds, self._history, self._sleep)
        return self._goods.video is not None

    async def baseline(self) -> None:
        """Ask every surface once on each replica while the token counts, and keep what the later probes need."""
        for member in self._members:
            await self._spare(member)
        if "replay" in self._wanted:
            headers = {"Idempotency-Key": self._goods.key}
            order = form_of(PROBE_CLIP, PROMPT)
            await self._first.send(self.caller, "replay", "POST", "/v1/videos", form=order, headers=headers)
        if "child_token" in self._wanted:
            body = {"expires_in": CHILD_SECONDS}
            answer = await self._first.send(self.caller, "mint", "POST", "/v1/tokens", json=body)
            self._goods.child = self._keep_minted(answer)
        await self._fetch_goods()
        await asyncio.gather(*(self._warm(member) for member in self._members))

    async def _spare(self, member: GatewayClient) -> None:
        """A job that is cancelled at once, for later cancelling."""
        submitted = await member.submit(self.caller, PROBE_CLIP, PROMPT)
        if submitted.exchange.job:
            await member.cancel(self.caller, submitted.exchange.job)
            self._goods.spare = self._goods.spare or submitted.exchange.job

    async def _fetch_goods(self) -> None:
        """What a finished clip gives: a validator and links."""
        goods, first, caller = self._goods, self._first, self.caller
        if goods.video is None:
            return
        path, job = f"/v1/videos/{goods.video}", goods.video
        fetched = await first.download(caller, job)
        goods.etag = fetched.headers.get("etag")
        if "signed_link" in self._wanted:
            goods.link = _path_of(await first.send(caller, "link", "POST", f"{path}/link", job=job))
        if "share_link" in self._wanted:
            goods.share = _path_of(await first.send(caller, "share", "POST", f"{path}/share", job=job))

    async def _warm(self, member: GatewayClient) -> None:
        for probe in probes_of(member, self.caller, self._goods, self._wanted - {"submit", "cancel"}):
            await self._ask(probe)

    async def use_newest(self, newest: Bearer | None) -> None:
        """Use a token that was issued this second on every replica."""
        self._goods.newest = newest
        if newest:
            await asyncio.gather(
                *(
                    self._ask(probe)
                    for member in self._members
                    for probe in probes_of(member, self.caller, self._goods, {"new_token"})
                )
            )

    async def touch(self) -> None:
        """The last use before the revocation: the token on every replica, so that each has it to remember."""
        await asyncio.gather(*(member.list_videos(self.caller) for member in self._members))

    async def end_a_job(self) -> None:
        """Cancel a job, so that webhooks have something to tell."""
        await self._spare(self._first)

    async def add_witness(self) -> Answer:
        """Submit a long job, so that the revocation finds work under way."""
        answer = await self._first.submit(self.caller, WITNESS_CLIP, PROMPT)
        self.witness = answer.exchange.job or self.witness
        return answer

    def announce_cut(self) -> None:
        """The revocation was acknowledged: probe at once, without waiting for the next round."""
        self._cut.set()

    async def look(self, surfaces: set[str]) -> list[Exchange]:
        """Ask each of these surfaces once on every replica, side by side."""
        probes = [one for member in self._members for one in probes_of(member, self.caller, self._goods, surfaces)]
        answers = await asyncio.gather(*(self._ask(probe) for probe in probes))
        return [answer.exchange for answer in answers]

    async def watch(self, every: float) -> None:
        """Probe each surface of each replica every so many seconds, side by side, until cancelled."""
        probes = [one for member in self._members for one in probes_of(member, self.caller, self._goods, self._wanted)]
        every = max(every, len(probes) / MOST_A_SECOND)
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(self._pulse(member))
            for probe in probes:
                group.create_task(self._repeat(probe, every))

    async def _pulse(self, member: GatewayClient) -> None:
        """Quick looks while the revocation is under way, at its acknowledgement, and shortly after: what lives on may
        do so for moments, and what comes back does so within moments."""
        while not self._cut.is_set():
            await member.list_videos(self.caller)
            with suppress(TimeoutError):
                async with asyncio.timeout(CALM_SECONDS if self.calm else PULSES_BEFORE):
                    await self._cut.wait()
        for pause in PULSES_AFTER:
            await self._sleep(pause)
            await member.list_videos(self.caller)

    async def _repeat(self, probe: Probe, every: float) -> None:
        while True:
            cut_before = self._cut.is_set()
            await self._ask(probe)
            if cut_before:
                await self._sleep(every)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(max(every, CALM_SECONDS) if self.calm else every):
                    await self._cut.wait()

    async def _ask(self, probe: Probe) -> Answer:
        answer = await probe.ask()
        if probe.surface == "mint":
            self._keep_minted(answer)
        return answer

    def _keep_minted(self, answer: Answer) -> Bearer | None:
        """A token that was minted is one more that must be dead."""
        if not answer.accepted or self.caller.bearer is None:
            return None
        child = bearer_in(answer, self.caller.bearer.principal, self.caller.bearer.cohort)
        self.minted.append(child)
        return child


def _path_of(answer: Answer) -> str | None:
    """A link without its host, so that every replica can be asked for it."""
    if "url" not in answer.body:
        return None
    url = urlsplit(str(answer.body["url"]))
    return f"{url.path}?{url.query}" if url.query else url.path


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
