"""A room for one set of pictures: a gateway with one worker and the page, and people who call it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_port

PATIENCE = 90.0  # seconds
SEED = 20241126


class Unfit(Exception):
    """A state that did not come about, or a picture that must not be shown. The words say which."""


def until(ask: Callable[[], Any], what: str) -> None:
    """Waits for it; raises Unfit after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not ask():
        if time.monotonic() > deadline:
            raise Unfit(f"{what} did not come about within {PATIENCE:.0f} s")
        time.sleep(0.05)


@dataclass
class Room:
    """A gateway with one worker and the page, for one set of pictures."""

    supervisor: Supervisor

    def control(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """A call as the admin."""
        headers = {"Authorization": f"Bearer {self.supervisor.admin_token}", "leakdrill-actor": "Facilitator"}
        return self._call(method, f"/control/{path}", headers, body).raise_for_status().json()

    def issue(self, principal: str, cohort: str) -> str:
        """A new token."""
        token: str = self.control("POST", "tokens", {"principal": principal, "cohort": cohort})["token"]
        return token

    def ask(self, token: str, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """A call as a tester; a refusal is an answer too."""
        return self._call(method, f"/v1/videos{path}", {"Authorization": f"Bearer {token}"}, body)

    def order(self, token: str) -> str:
        """Orders a short clip; its id."""
        body = {"model": "turbo", "prompt": "lanterns", "seconds": "1", "size": "480x480", "seed": SEED}
        video: str = self.ask(token, "POST", "", body).raise_for_status().json()["id"]
        return video

    def line(self) -> tuple[int, int]:
        """How many jobs wait, and how many run."""
        queue = self._status()["queue"]
        return queue["waiting"], queue["running"]

    def clock(self, time_of_day: str, speed: float) -> None:
        """Starts the replay clock on the morning of the incident."""
        self.control("PUT", "clock", {"time": f"2024-11-26T{time_of_day}:00-05:00", "speed": speed})

    def wait_for_clock(self, time_of_day: str) -> None:
        """Until the replay clock shows that time, or a later one."""
        until(
            lambda: self._status()["replay_clock"]["time"][11:16] >= time_of_day, f"{time_of_day} on the replay clock"
        )

    def _status(self) -> Any:
        return self._call("GET", "/status", {}, None).raise_for_status().json()

    def _call(self, method: str, path: str, headers: dict[str, str], body: Any) -> httpx.Response:
        url = self.supervisor.gateway_url + path
        return httpx.request(method, url, headers=headers, json=body, trust_env=False, timeout=30)


@contextmanager
def room(**settings: Any) -> Iterator[Room]:
    """A room of its own; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="leakdrill-pictures-") as folder:
        own = Settings(data=Path(folder), port=free_port(), page_port=free_port(), **settings)
        with Supervisor(own) as supervisor:
            supervisor.give_page([])
            supervisor.start(workers=1, page=True)
            supervisor.wait_for_page()
            yield Room(supervisor)
