"""Clients as careful people write them: a key for each video, tried again until it is answered, polled to its end."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from chaos.history import Create, Download, Poll

SIZE, SECONDS, FPS = "480x480", "1", "5"


@dataclass
class Crowd:
    """So many clients of a gateway, each with one video at a time. What they see is in the lists.

    `url` may be another from one call to the next. A client gives up, and leaves its video as it is, only when
    `deadline` (monotonic seconds) has passed.
    """

    url: str
    bearer: str
    seed: int
    size: int
    deadline: float
    creates: list[Create] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._live, args=(number,), name=f"client-{number}", daemon=True)
            for number in range(self.size)
        ]

    def start(self) -> None:
        """Lets them begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Nobody begins another video. Returns when each has seen the end of its own, or the deadline has passed."""
        self._enough.set()
        for thread in self._threads:
            thread.join(max(0.0, self.deadline - time.monotonic()) + 15.0)
            if thread.is_alive():
                self.broken.append(f"{thread.name} hangs")

    def _live(self, number: int) -> None:
        chance = random.Random(f"{self.seed}-{number}")
        headers = {"Authorization": f"Bearer {self.bearer}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=10.0, trust_env=False) as http:
            made = 0
            while not self._enough.is_set():
                made += 1
                try:
                    self._one_video(http, f"key-{number}-{made}", chance)
                except Exception as exc:  # noqa: BLE001  a client that ends early must not go unseen
                    self.broken.append(f"client-{number}: {exc!r}")
                    return

    def _one_video(self, http: httpx.Client, key: str, chance: random.Random) -> None:
        job = self._create(http, key, {"prompt": f"video {key}", "size": SIZE, "seconds": SECONDS, "fps": FPS})
        if job is None:
            return
        while self._patient():
            shown = self._ask(http, "GET", f"/v1/videos/{job}")
            if shown is None:
                continue
            state = str(shown.json()["status"]) if shown.status_code == 200 else f"answered {shown.status_code}"
            self.polls.append(Poll(job, time.time(), state))
            if state == "completed":
                self._download(http, job)
            if state not in ("queued", "in_progress"):
                return
            time.sleep(chance.uniform(0.3, 0.8))

    def _create(self, http: httpx.Client, key: str, video: dict[str, Any]) -> str | None:
        while self._patient():
            at = time.time()
            answer = self._ask(http, "POST", "/v1/videos", json=video, headers={"Idempotency-Key": key})
            status = None if answer is None else answer.status_code
            job = str(answer.json()["id"]) if answer is not None and status == 200 else None
            self.creates.append(Create(key, at, time.time(), status, job))
            if status is not None and status < 500:
                return job
        return None

    def _download(self, http: httpx.Client, job: str) -> None:
        while self._patient():
            answer = self._ask(http, "GET", f"/v1/videos/{job}/content")
            if answer is None or answer.status_code >= 500:
                continue
            if answer.status_code == 200:
                digest = hashlib.sha256(answer.content).hexdigest()
                self.downloads.append(Download(job, time.time(), len(answer.content), digest))
            return

    def _patient(self) -> bool:
        return time.monotonic() < self.deadline

    def _ask(self, http: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response | None:
        """The answer; None, a moment later, where none came or the gateway could not tell."""
        try:
            answer = http.request(method, path, **options)
        except httpx.TransportError:
            answer = None
        if answer is None or answer.status_code >= 500:
            time.sleep(0.2)
        return answer
