"""A database that takes no writes for longer than a lease, and disks that are full."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chaos import evidence, stores
from chaos.clients import Crowd
from chaos.history import ENDS, History, check
from chaos.run import PROFILES
from live import Live, eventually, live_gateway
from postgres import LASTING, Server, own_server

LEASE, HEARTBEAT = 3.0, 1.0
STUCK = 6.0  # seconds: the fault itself, twice the lease


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds SQLite's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as file:
        file.execute("BEGIN IMMEDIATE")
        yield
        file.execute("ROLLBACK")


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Freezes PostgreSQL: it keeps its connections and answers none."""
    first = int((server.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(first, signal.SIGSTOP)  # from now on it starts no other
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    pids = [first, *(int(pid) for pid, parent in map(str.split, listed.stdout.splitlines()) if int(parent) == first)]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def crowd_of(live: Live, issued: dict[str, str], size: int) -> Crowd:
    live.control("PUT", "/control/profile", json={"name": "brief"})
    crowd = Crowd(live.url, issued["token"], 1, size, time.monotonic() + 200)
    crowd.start()
    return crowd


def proved(place: evidence.Place, data: Path, accessor: str, crowd: Crowd, most: int) -> History:
    history = evidence.history(place, data / "media", accessor, crowd, most)
    assert check(history) == []
    assert crowd.broken == []
    return history


@pytest.mark.parametrize("store", stores("sqlite"))
def test_a_store_that_is_stuck_beyond_the_lease_takes_no_job_from_anybody(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    if store == "sqlite":
        _stuck(tmp_path / "data", "", locked)
    else:
        with own_server(request.getfixturevalue("postgres_programs"), LASTING) as server:
            _stuck(tmp_path / "data", server.url, lambda _place: frozen(server))


def _stuck(data: Path, url: str, fault: Callable[[Any], AbstractContextManager[None]]) -> None:
    with live_gateway(
        data,
        workers=2,
        render="cached",
        profiles_dir=str(PROFILES),
        database_url=url,
        lease_seconds=LEASE,
        heartbeat_seconds=HEARTBEAT,
    ) as live:
        place, issued = live.supervisor.settings.database, live.issue()
        crowd = crowd_of(live, issued, 6)
        held = "SELECT 1 FROM jobs WHERE status = 'in_progress'"
        eventually(lambda: len(evidence.rows(place, held)) == 2, within=60)
        with fault(place):
            time.sleep(STUCK)
        done = len(crowd.downloads)
        eventually(lambda: len(crowd.downloads) >= done + 6, within=90)
        crowd.end()
    history = proved(place, data, issued["accessor"], crowd, 3)
    assert [event.kind for event in history.events if event.kind in ("job.reclaimed", "job.failed")] == []


@contextmanager
def full(pid: int, size: int) -> Iterator[None]:
    """No file of the process, and of those it starts, may grow beyond `size` bytes."""
    if sys.platform != "linux":
        pytest.skip("needs prlimit")
    import resource

    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_clips_that_do_not_fit_on_the_disk_fail_and_leave_nothing(tmp_path: Path, postgres_database: str) -> None:
    data = tmp_path / "data"
    with live_gateway(
        data, workers=1, render="cached", profiles_dir=str(PROFILES), database_url=postgres_database
    ) as live:
        place, issued = live.supervisor.settings.database, live.issue()
        ended = "SELECT count(*) FROM jobs WHERE status = '{}'"
        with full(live.worker_pids()[0], 4096):
            crowd = crowd_of(live, issued, 2)
            eventually(lambda: evidence.rows(place, ended.format("failed"))[0][0] >= 2, within=60)
        eventually(lambda: len(crowd.downloads) >= 2, within=60)
        crowd.end()
        assert live.supervisor.children[1].process.poll() is None, "the worker works on"
    history = proved(place, data, issued["accessor"], crowd, 3)
    codes = {event.data.get("code") for event in history.events if ENDS.get(event.kind) == "failed"}
    assert codes == {"render_failed"}


def test_a_full_disk_under_the_database_is_told_and_loses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_gateway(data, workers=1, render="cached", profiles_dir=str(PROFILES)) as live:
        place, issued = live.supervisor.settings.database, live.issue()
        assert isinstance(place, Path)
        crowd = crowd_of(live, issued, 3)
        eventually(lambda: crowd.downloads, within=60)
        with full(live.supervisor.children[0].process.pid, 4096):
            refused = eventually(lambda: [one for one in crowd.creates if one.status == 503], within=60)
            headers = {"Authorization": f"Bearer {issued['token']}"}
            job = next(one.job for one in crowd.creates if one.job)
            shown = httpx.get(f"{live.url}/v1/videos/{job}", headers=headers, trust_env=False)
            assert shown.status_code == 200, "what needs no write is answered"
        assert refused
        done = len(crowd.downloads)
        eventually(lambda: len(crowd.downloads) >= done + 3, within=60)
        crowd.end()
    proved(place, data, issued["accessor"], crowd, 3)
