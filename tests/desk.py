"""A gateway in the test's own process, with an admin and testers who call it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.clock import FrozenClock
from gateway.jobs import Job, lifecycle
from gateway.jobs.silence import Silence
from gateway.settings import Settings
from gateway.store import Store
from gateway.tokens.keys import Keyring
from gateway.web.context import Context

START = 1_732_627_800.0  # 26 November 2024, 08:30 US Eastern


@dataclass
class Desk:
    """A gateway in this process, and an admin and testers who call it."""

    http: httpx.AsyncClient
    store: Store
    clock: FrozenClock
    settings: Settings
    keys: Keyring
    context: Context

    def __post_init__(self) -> None:
        self.silence = Silence(5, at_most=math.inf, clock=self.clock.now)

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys.admin}"}

    async def issue(self, principal: str = "tester-001", cohort: str = "alpha", **more: Any) -> dict[str, Any]:
        """A new token: the control API's answer."""
        body = {"principal": principal, "cohort": cohort, **more}
        answer = await self.http.post("/control/tokens", json=body, headers=self.admin)
        assert answer.status_code == 201, answer.text
        issued: dict[str, Any] = answer.json()
        return issued

    async def bearer(self, principal: str = "tester-001", cohort: str = "alpha", **more: Any) -> dict[str, str]:
        """Headers with a new token."""
        return bearer_of(await self.issue(principal, cohort, **more))

    async def create(self, headers: dict[str, str], **fields: Any) -> dict[str, Any]:
        """A new video."""
        answer = await self.http.post("/v1/videos", json={"prompt": "a dog on a skateboard", **fields}, headers=headers)
        assert answer.status_code == 200, answer.text
        video: dict[str, Any] = answer.json()
        return video

    async def revoke(self, selector: dict[str, Any], **more: Any) -> httpx.Response:
        """Posts a revocation."""
        body = {"selector": selector, "reason": "drill", **more}
        return await self.http.post("/control/revocations", json=body, headers=self.admin)

    async def events(self, kind: str = "") -> list[dict[str, Any]]:
        """The event list."""
        answer = await self.http.get("/control/events", params={"kind": kind, "limit": 1000}, headers=self.admin)
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def claim(self, worker: str = "w1") -> Job | None:
        """What a worker would be given now. Whoever fell silent since the last call, is noticed."""
        await lifecycle.look_for_silent(self.store, self.silence)
        job = await lifecycle.claim(
            self.store, worker=worker, now=self.clock.now(), lease_seconds=5, max_attempts=self.settings.max_attempts
        )
        await lifecycle.look_for_silent(self.store, self.silence)
        return job

    async def claimed(self, worker: str = "w1") -> Job:
        """The next job, held by `worker`."""
        job = await self.claim(worker)
        assert job is not None
        return job

    async def complete(self, job: Job, content: bytes = b"0123456789") -> bool:
        """Puts a file in place and finishes the attempt; False where the attempt no longer holds the job."""
        file = f"{job.id}.{job.attempt}.mp4"
        (self.settings.media / file).write_bytes(content)
        return await lifecycle.complete(
            self.store,
            job,
            worker=job.worker or "w1",
            file=file,
            size=len(content),
            now=self.clock.now(),
            keep_seconds=self.settings.clip_seconds,
        )

    async def finished(self, content: bytes = b"0123456789") -> Job:
        """The next job, claimed and completed."""
        job = await self.claimed()
        assert await self.complete(job, content)
        return job


DeskMaker = Callable[..., Awaitable[Desk]]


def bearer_of(issued: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {issued['token']}"}
