"""Clocks that are set by an hour while everything works, and a worker that ends while they differ."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from chaos import evidence, stores
from chaos.clients import Crowd
from chaos.history import check
from chaos.run import PROFILES
from live import Live, eventually, live_gateway

HOUR = 3600.0
HERE = Path(__file__).with_name("astray.py")


def set_clock(data: Path, name: str, seconds: float) -> None:
    fresh = data / f"{name}.fresh"
    fresh.write_text(str(seconds))
    fresh.replace(data / name)


def astray(live: Live, data: Path, name: str, kind: str) -> None:
    set_clock(data, name, 0.0)
    live.supervisor._spawn(name, [], {}, needed=False)
    child = live.supervisor.children[-1]
    child.process.kill()
    child.process.wait()
    child.command = [sys.executable, str(HERE), str(data / name), kind]
    live.supervisor.start_again(child)


def held_by(place: evidence.Place, pid: int) -> list[str]:
    """What the worker with this process id renders."""
    sql = f"SELECT id FROM jobs WHERE status = 'in_progress' AND worker LIKE '%-{pid}-%'"
    return [str(id) for (id,) in evidence.rows(place, sql)]


def attempt_of(place: evidence.Place, job: str) -> int:
    return int(evidence.rows(place, f"SELECT attempt FROM jobs WHERE id = '{job}'")[0][0])


@pytest.mark.parametrize("store", stores("sqlite"))
def test_clocks_an_hour_apart_lose_and_double_nothing(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_database") if store == "postgresql" else ""
    data = tmp_path / "data"
    with live_gateway(
        data, workers=0, render="cached", profiles_dir=str(PROFILES), database_url=url, max_attempts=2
    ) as live:
        place, issued = live.supervisor.settings.database, live.issue()
        live.control("PUT", "/control/profile", json={"name": "brief"})
        live.kill_gateway()
        gateway = live.supervisor.children[0]
        set_clock(data, "gateway", 0.0)
        gateway.command = [sys.executable, str(HERE), str(data / "gateway"), "gateway"]
        live.start_gateway()
        for number in (1, 2):
            astray(live, data, f"worker-{number}", "worker")
        crowd = Crowd(live.url, issued["token"], 1, 8, time.monotonic() + 60)
        crowd.start()
        first, second = (live.supervisor.children[number].process.pid for number in (1, 2))
        eventually(lambda: held_by(place, first) and held_by(place, second), within=30)

        # One ahead, one behind, the gateway behind, then ahead, then right again: nobody's job is taken from him.
        for clocks in ((HOUR, -HOUR, -HOUR), (-HOUR, HOUR, HOUR), (-HOUR, HOUR, 0)):
            done = len(crowd.downloads)
            for name, seconds in zip(("worker-1", "worker-2", "gateway"), clocks, strict=True):
                set_clock(data, name, seconds)
            eventually(lambda done=done: len(crowd.downloads) >= done + 3, within=30)  # type: ignore[misc]

        # The one that is ahead ends: what it held goes on within seconds, not in two hours.
        lost = eventually(lambda: held_by(place, second), within=20)
        os.kill(second, signal.SIGKILL)
        eventually(lambda: all(attempt_of(place, job) == 2 for job in lost), within=20)
        crowd.end()
    history = evidence.history(place, data / "media", issued["accessor"], crowd, 2)
    assert check(history) == []
    assert crowd.broken == []
    taken = {event.job for event in history.events if event.kind == "job.reclaimed"}
    assert taken == set(lost), "only what the ended worker held was taken over"
