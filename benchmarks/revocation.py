"""How long a revocation takes, and how long what it stops goes on.

    python benchmarks/revocation.py            # 3 rounds of 100,000 jobs, 20 renders
    python benchmarks/revocation.py --quick    # 1 round, 3 renders
    python benchmarks/revocation.py --sinks 3  # the same, with so many sinks of security events, all of them silent

First, a cohort of 300 tokens with 100,000 waiting jobs is revoked over HTTP, while a bystander polls: the time to the
acknowledgement beside 1 s, and the bystander's slowest poll meanwhile. Then renders are revoked one by one on a gateway
with one worker: from the acknowledgement to the end of the encoder's process, beside 250 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from gateway.settings import Settings
from gateway.store import Connection, jobs, open_sqlite, tokens
from gateway.store.jobs import RenderRequest
from gateway.store.tokens import Token, TokenState
from gateway.supervisor import Supervisor, free_port

TOKENS = 300
JOBS = 100_000
REQUEST = RenderRequest("rain", "standard", "standard", "1280x720", 4, 30, 1)
VIDEO = {"prompt": "a city at night in the rain", "size": "1920x1080", "seconds": 12, "fps": 60}


def fill(database: Path, cohort: str) -> None:
    """`TOKENS` tokens of a cohort, and `JOBS` waiting jobs of theirs."""

    def work(tx: Connection) -> None:
        now = time.time()
        for number in range(TOKENS):
            name = f"tok_{cohort}_{number}"
            scopes = ("videos:read", "videos:write")
            row = Token(
                name, name, cohort, scopes, (), "unlimited", TokenState.ACTIVE, now, None, None, None, None, None
            )
            tokens.insert(tx, row, os.urandom(32), os.urandom(32).hex())
        for number in range(JOBS):
            id = f"video_{cohort}_{number:032x}"
            jobs.insert(tx, id=id, accessor=f"tok_{cohort}_{number % TOKENS}", request=REQUEST, at=now)

    async def write() -> None:
        store = open_sqlite(database)
        await store.write(work)
        await store.close()

    asyncio.run(write())


class Bystander(threading.Thread):
    """Polls its one video 20 times a second until told to stop; keeps how long each poll took."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.done = threading.Event()
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        self._video = self._http.post("/v1/videos", json=VIDEO).raise_for_status().json()["id"]

    def run(self) -> None:
        while not self.done.is_set():
            began = time.perf_counter()
            self._http.get(f"/v1/videos/{self._video}").raise_for_status()
            self.seconds.append(time.perf_counter() - began)
            self.done.wait(0.05)
        self._http.close()


def issue(control: httpx.Client, principal: str) -> str:
    body = {"principal": principal, "cohort": principal, "tier": "unlimited"}
    return str(control.post("/control/tokens", json=body).raise_for_status().json()["token"])


@contextmanager
def silent() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def bulk(rounds: int, sinks: int) -> None:
    taken, slowest = [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder, silent() as nobody:
            settings = Settings(
                data=Path(folder), port=free_port(), queue_limit=2 * JOBS, allow_private_targets="loopback"
            )
            with Supervisor(settings) as supervisor:
                supervisor.start(workers=0, page=False)
                admin = {"Authorization": f"Bearer {supervisor.admin_token}"}
                with httpx.Client(
                    base_url=supervisor.gateway_url, headers=admin, trust_env=False, timeout=60
                ) as control:
                    fill(settings.data / "leakdrill.db", "alpha")
                    for _ in range(sinks):
                        control.post("/control/sinks", json={"url": nobody, "audience": "b"}).raise_for_status()
                    bystander = Bystander(supervisor.gateway_url, issue(control, "bystander"))
                    bystander.start()
                    time.sleep(0.5)  # polls before it, too
                    bystander.seconds.clear()
                    began = time.perf_counter()
                    body = {"selector": {"cohort": "alpha"}, "reason": "benchmark"}
                    answer = control.post("/control/revocations", json=body).raise_for_status().json()
                    taken.append(time.perf_counter() - began)
                    bystander.done.set()
                    bystander.join()
                    slowest.append(max(bystander.seconds))
                    report = control.get(f"/control/revocations/{answer['id']}").raise_for_status().json()
                    assert report["effect"]["signals"]["owed"] == 2 * TOKENS * sinks, report["effect"]["signals"]
        assert (answer["tokens"], answer["jobs"]["queued"]) == (TOKENS, JOBS), answer
        print(f"round {number + 1}: acknowledged after {taken[-1]:.3f} s, slowest poll {slowest[-1] * 1000:.0f} ms")
    median = statistics.median(taken)
    verdict = "met" if median <= 1 else "MISSED"
    print(f"{TOKENS} tokens with {JOBS:,} waiting jobs: median {median:.3f} s of {rounds}; within 1 s: {verdict}")
    print(f"{2 * TOKENS * sinks} security events are owed to {sinks} sinks")
    print(f"a bystander's slowest poll meanwhile: median {statistics.median(slowest) * 1000:.0f} ms")


def encoders(worker: int) -> list[int]:
    """Process ids of the worker's encoders, from /proc."""
    listed = Path(f"/proc/{worker}/task")
    found: list[int] = []
    for task in listed.iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return [pid for pid in found if alive(pid)]


def alive(pid: int) -> bool:
    """Whether the process runs: one that has ended and was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def renders(count: int) -> None:
    gone: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), port=free_port())
        with Supervisor(settings) as supervisor:
            supervisor.start(workers=1, page=False)
            worker = next(one.process.pid for one in supervisor.children if one.name.startswith("worker"))
            admin = {"Authorization": f"Bearer {supervisor.admin_token}"}
            with httpx.Client(base_url=supervisor.gateway_url, headers=admin, trust_env=False) as control:
                for number in range(count):
                    name = f"leaked-{number}"
                    headers = {"Authorization": f"Bearer {issue(control, name)}"}
                    video = control.post("/v1/videos", json=VIDEO, headers=headers).raise_for_status().json()["id"]
                    while control.get(f"/v1/videos/{video}", headers=headers).json()["progress"] == 0:
                        time.sleep(0.02)
                    time.sleep(0.1 * number / count)  # anywhere between two looks of the worker
                    running = encoders(worker)
                    assert running, "nothing is being encoded"
                    body = {"selector": {"principal": name}, "reason": "benchmark"}
                    control.post("/control/revocations", json=body).raise_for_status()
                    acknowledged = time.perf_counter()
                    while any(alive(pid) for pid in running):
                        time.sleep(0.001)
                    gone.append(time.perf_counter() - acknowledged)
    gone.sort()
    p99 = gone[math.ceil(0.99 * len(gone)) - 1]
    verdict = "met" if p99 <= 0.25 else "MISSED"
    print(f"an encoder after the acknowledgement: median {statistics.median(gone) * 1000:.0f} ms, of {count}")
    print(f"p99 {p99 * 1000:.0f} ms, {p99 / 0.25:.2f} of the 250 ms promised: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, three renders")
    parser.add_argument("--sinks", type=int, default=0, help="sinks of security events that never answer [0]")
    given = parser.parse_args()
    quick = given.quick
    bulk(1 if quick else 3, given.sinks)
    if Path("/proc/self/task").exists():
        renders(3 if quick else 20)
    else:
        print("encoders are found in /proc, which this system does not have")


if __name__ == "__main__":
    main()
