"""Workers that freeze beyond their lease, or are killed: a late finish is refused, a lost job found."""

import os
import signal
import time
from pathlib import Path

import pytest

from chaos import evidence, stores
from chaos.clients import Crowd
from chaos.history import check
from chaos.run import PROFILES
from live import Live, eventually, live_gateway

NEVER = "600"  # seconds: a guard that looks so rarely stops nothing here, so only the refusal is left
ATTEMPTS = 9  # enough for any that a slow machine takes away besides


def held_by(place: evidence.Place, pid: int) -> str | None:
    """A job that the worker with this process id renders."""
    held = f"SELECT id FROM jobs WHERE status = 'in_progress' AND attempt = 1 AND worker LIKE '%-{pid}-%'"
    found = evidence.rows(place, held)
    return str(found[0][0]) if found else None


def taken_from(place: evidence.Place, job: str) -> bool:
    return bool(evidence.rows(place, f"SELECT 1 FROM jobs WHERE id = '{job}' AND attempt > 1"))


def completed(place: evidence.Place, job: str) -> bool:
    return bool(evidence.rows(place, f"SELECT 1 FROM jobs WHERE id = '{job}' AND status = 'completed'"))


def frozen_beyond_its_lease(live: Live, until: str) -> str:
    """Freezes the first worker over a job, and wakes it when another has taken, or completed, that job; its id."""
    place, worker = live.supervisor.settings.database, live.supervisor.children[1]
    job = str(eventually(lambda: held_by(place, worker.process.pid), within=60))
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        wanted = completed if until == "completed" else taken_from
        if not completed(place, job):  # it may have ended while the signal was on its way
            eventually(lambda: wanted(place, job), within=60)
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)
    return job


def refused(log: Path, job: str) -> bool:
    return any("action=output_discarded" in line and f"job={job} attempt=1" in line for line in _lines(log))


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("store", stores("postgresql"))
def test_the_late_finish_of_a_frozen_worker_is_refused(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_database") if store == "postgresql" else ""
    data = tmp_path / "data"
    with live_gateway(
        data,
        workers=0,
        render="cached",
        profiles_dir=str(PROFILES),
        database_url=url,
        max_attempts=ATTEMPTS,
        lease_seconds=2.0,
        log_level="info",
    ) as live:
        place, issued = live.supervisor.settings.database, live.issue()
        live.control("PUT", "/control/profile", json={"name": "brief"})
        live.supervisor._spawn("worker-1", ["worker"], {"LEAKDRILL_GUARD_SECONDS": NEVER}, needed=False)
        live.supervisor._spawn("worker-2", ["worker", "--slots", "2"], {}, needed=False)
        frozen = live.supervisor.children[1]
        crowd = Crowd(live.url, issued["token"], 1, 6, time.monotonic() + 200)
        crowd.start()
        late = []
        for until in ("completed", "taken"):
            # Where the job ended in the moment before the freeze, nothing was late: then once more.
            for _ in range(5):
                job = frozen_beyond_its_lease(live, until)
                if taken_from(place, job):
                    eventually(lambda job=job: refused(frozen.log, job), within=30)  # type: ignore[misc]
                    late.append(job)
                    break
        crowd.end()
        assert frozen.process.poll() is None, "the worker that was frozen works on"
    history = evidence.history(place, data / "media", issued["accessor"], crowd, ATTEMPTS)
    events = history.events
    assert len(late) == 2
    for job in late:
        taken = [event for event in events if event.job == job and event.kind == "job.reclaimed"]
        done = [event for event in events if event.job == job and event.kind == "job.completed"]
        assert [event.data["attempt"] for event in done] == [1 + len(taken)]
        assert done[0].actor == taken[-1].actor
    assert check(history) == []
    assert crowd.broken == []


def test_the_gateway_finds_out_that_its_only_worker_was_killed(tmp_path: Path) -> None:
    with live_gateway(
        tmp_path / "data", workers=1, render="cached", profiles_dir=str(PROFILES), lease_seconds=2.0
    ) as live:
        place, issued = live.supervisor.settings.database, live.issue()
        live.control("PUT", "/control/profile", json={"name": "brief"})
        crowd = Crowd(live.url, issued["token"], 1, 1, time.monotonic() + 120)
        crowd.start()
        worker = live.supervisor.children[1]
        job = eventually(lambda: held_by(place, worker.process.pid), within=60)
        worker.process.kill()
        worker.process.wait()
        # Nobody is there to take it. Whoever comes then need not watch for a lease's time himself.
        silent = f"SELECT 1 FROM jobs WHERE id = '{job}' AND attempt = 1 AND lease_until = 0"
        eventually(lambda: evidence.rows(place, silent) or completed(place, str(job)), within=60)
        live.supervisor.start_again(worker)
        eventually(lambda: completed(place, str(job)), within=60)
        crowd.end()
    assert crowd.broken == []
