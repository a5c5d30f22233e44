"""The queue alone: null renders a second with two workers, and how long an idle worker takes to begin.

    python benchmarks/job_queue.py            # 3 rounds
    python benchmarks/job_queue.py --quick    # 1 round, fewer jobs

A null render publishes a few bytes (`LEAKDRILL_RENDER=null`). Each store is compared, in the same run, with what it
could do at best, by two processes that start together, ours with 32 slots each:

- SQLite: a bare loop that claims and ends rows of a bare table by `UPDATE … RETURNING`, a commit each;
- PostgreSQL: Procrastinate alone with a null task, as many slots and messages that are deleted; and a bare loop that
  claims one row at a time by `FOR UPDATE SKIP LOCKED` and ends it, a commit each.

The server of PostgreSQL is one of our own with the settings that it comes with, so that every commit reaches the disk;
`LEAKDRILL_TEST_DATABASE_URL` names another. A rate is that of the time in which both processes worked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from gateway.settings import Settings, prepare_data
from gateway.store import Connection, Store, jobs, open_store, tokens
from gateway.store.jobs import RenderRequest
from gateway.store.tokens import Token, TokenState
from postgres import can_be_measured, connected, empty_database, server_to_measure

SLOTS = 32  # a worker; what its slots do at the same time shares a commit
REQUEST = RenderRequest("rain", "standard", "standard", "1280x720", 4, 30, 1)
OWNER = "tok_bench"
DONE = "SELECT id, completed_at FROM jobs"
COLUMNS = "(id BIGINT PRIMARY KEY, status TEXT NOT NULL, worker TEXT)"
WAITING = "CREATE INDEX bare_waiting ON bare (status, id) WHERE status = 'queued'"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, fewer jobs")
    parser.add_argument("--only", choices=["sqlite", "postgresql"], help="one store alone")
    parser.add_argument("--role", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role:
        ROLES[given.role[0]](given.role[1])
        return
    rounds, scale = (1, 1) if given.quick else (3, 4)
    if given.only != "postgresql":
        on_sqlite(rounds, scale)
    if given.only != "sqlite":
        on_postgresql(rounds, scale)


def on_sqlite(rounds: int, scale: int) -> None:
    rates: dict[str, list[float]] = {"leakdrill": [], "bare": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            rates["leakdrill"].append(of_leakdrill(Settings(data=Path(folder), render="null"), 6000 * scale))
        with tempfile.TemporaryDirectory() as folder:
            rates["bare"].append(of_bare_sqlite(Path(folder) / "bare.db", 20_000 * scale))
    told("SQLite", "a bare claim loop", rates["leakdrill"], rates["bare"], 0.3)
    with tempfile.TemporaryDirectory() as folder:
        latency("SQLite", Settings(data=Path(folder), render="null"), 100 * scale)


def on_postgresql(rounds: int, scale: int) -> None:
    if not can_be_measured():
        return
    rates: dict[str, list[float]] = {"leakdrill": [], "engine": [], "bare": []}
    with server_to_measure() as url:
        for _ in range(rounds):
            with empty_database(url) as own, tempfile.TemporaryDirectory() as folder:
                settings = Settings(data=Path(folder), database_url=own, render="null")
                rates["leakdrill"].append(of_leakdrill(settings, 1200 * scale))
            with empty_database(url) as own:
                rates["engine"].append(of_engine(own, 1500 * scale))
            with empty_database(url) as own:
                rates["bare"].append(of_bare_postgresql(own, 3000 * scale))
        told("PostgreSQL", "Procrastinate alone", rates["leakdrill"], rates["engine"], 0.8)
        told("PostgreSQL", "a SKIP LOCKED loop", rates["leakdrill"], rates["bare"], None)
        with empty_database(url) as own, tempfile.TemporaryDirectory() as folder:
            latency("PostgreSQL", Settings(data=Path(folder), database_url=own, render="null"), 100 * scale)


def told(store: str, floor: str, ours: list[float], floors: list[float], least: float | None) -> None:
    ratio = statistics.median(one / other for one, other in zip(ours, floors, strict=True))
    verdict = "" if least is None else f"; at least {least}: {'met' if ratio >= least else 'MISSED'}"
    own, other = statistics.median(ours), statistics.median(floors)
    print(f"{store}: {own:,.0f} null renders/s, {floor} {other:,.0f}/s; ratio {ratio:.2f}{verdict}", flush=True)


def fill(settings: Settings, count: int) -> None:
    """A token without limits, and so many waiting jobs of its."""

    def work(tx: Connection) -> None:
        token = Token(
            OWNER, "b", "b", (), (), "unlimited", TokenState.ACTIVE, time.time(), None, None, None, None, None
        )
        tokens.insert(tx, token, os.urandom(32), os.urandom(32).hex())
        for _ in range(count):
            now = time.time()
            jobs.insert(tx, id=jobs.id_at(now), accessor=OWNER, request=REQUEST, at=now)

    with_store(settings, lambda store: store.write(work))


def with_store(settings: Settings, work: Callable[[Store], object]) -> None:
    async def run() -> None:
        store = open_store(settings.database)
        try:
            await work(store)  # type: ignore[misc]
        finally:
            await store.close()

    asyncio.run(run())


@contextmanager
def workers(settings: Settings, count: int, slots: int) -> Iterator[None]:
    """Worker processes as `leakdrill worker` starts them."""
    environment = {**os.environ, "LEAKDRILL_DATA": str(settings.data), "LEAKDRILL_RENDER": "null"}
    environment["LEAKDRILL_DATABASE_URL"] = settings.database_url
    command = [sys.executable, "-m", "gateway", "worker", "--slots", str(slots)]
    running = [subprocess.Popen(command, env=environment) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait(30)


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    if settings.database_url:
        with connected(settings.database_url) as session:
            return [tuple(row) for row in session.execute(sql).fetchall()]
    session = sqlite3.connect(settings.data / "leakdrill.db")
    try:
        return session.execute(sql).fetchall()
    finally:
        session.close()


def of_leakdrill(settings: Settings, count: int) -> float:
    prepare_data(settings)
    fill(settings, count)
    with workers(settings, 2, SLOTS):
        deadline = time.monotonic() + 120
        while rows(settings, "SELECT count(*) FROM jobs WHERE status = 'completed'")[0][0] < count:
            assert time.monotonic() < deadline, "the workers are stuck"
            time.sleep(0.2)
    return rate(rows(settings, "SELECT worker, started_at, completed_at FROM jobs WHERE status = 'completed'"))


def rate(done: list[tuple[Any, ...]]) -> float:
    """Jobs a second in the time in which both worked, from (worker, start, end)."""
    first: dict[float, float] = {}
    last: dict[float, float] = {}
    for worker, start, end in done:
        first[worker] = min(start, first.get(worker, start))
        last[worker] = max(end, last.get(worker, end))
    assert len(first) == 2, f"{len(first)} of two workers worked"
    begin, finish = max(first.values()), min(last.values())
    return len([end for _, _, end in done if begin <= end <= finish]) / float(finish - begin)


def together(role: str, place: str) -> float:
    """Runs the role in two processes; jobs a second."""
    command = [sys.executable, __file__, "--role", role, place]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    done: list[tuple[Any, ...]] = []
    for number, one in enumerate(running):
        printed, _ = one.communicate(timeout=120)
        assert one.returncode == 0, f"{role} failed"
        done += [(number, at, at) for at in json.loads(printed)]
    return rate(done)


def of_bare_sqlite(path: Path, count: int) -> float:
    session = sqlite3.connect(path)
    session.execute("PRAGMA journal_mode = WAL")
    session.execute(f"CREATE TABLE bare {COLUMNS}")
    session.execute(WAITING)
    session.executemany("INSERT INTO bare (id, status) VALUES (?, 'queued')", [(number,) for number in range(count)])
    session.commit()
    session.close()
    return together("sqlite", str(path))


def bare_sqlite(path: str) -> None:
    session = sqlite3.connect(path, isolation_level=None, timeout=30)
    session.execute("PRAGMA synchronous = NORMAL")
    claim = (
        "UPDATE bare SET status = 'running', worker = ? WHERE id = "
        "(SELECT id FROM bare WHERE status = 'queued' ORDER BY id LIMIT 1) RETURNING id"
    )
    ends = []
    while (row := session.execute(claim, (os.getpid(),)).fetchone()) is not None:
        session.execute("UPDATE bare SET status = 'done' WHERE id = ?", row)
        ends.append(time.time())
    print(json.dumps(ends))


def of_bare_postgresql(url: str, count: int) -> float:
    with connected(url) as session:
        session.execute(f"CREATE TABLE bare {COLUMNS}")
        session.execute(WAITING)
        session.execute(f"INSERT INTO bare SELECT number, 'queued' FROM generate_series(1, {count}) AS number")
        session.execute("ANALYZE bare")
    return together("postgresql", url)


def bare_postgresql(url: str) -> None:
    claim = (
        "UPDATE bare SET status = 'running', worker = %s WHERE id = (SELECT id FROM bare WHERE status = 'queued' "
        "ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"
    )
    ends = []
    with connected(url) as session:
        while (row := session.execute(claim, (str(os.getpid()),)).fetchone()) is not None:
            session.execute("UPDATE bare SET status = 'done' WHERE id = %s", row)
            ends.append(time.time())
    print(json.dumps(ends))


def of_engine(url: str, count: int) -> float:
    from procrastinate.schema import SchemaManager

    with connected(url) as session:
        session.execute(SchemaManager.get_schema())
        session.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args) "
            f"SELECT 'renders', 'null', jsonb_build_object('job', number) FROM generate_series(1, {count}) AS number"
        )
        session.execute("ANALYZE procrastinate_jobs")
    return together("engine", url)


def engine(url: str) -> None:
    from procrastinate import App, PsycopgConnector

    ends: list[float] = []
    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="null", queue="renders")
    async def null(job: int) -> None:
        ends.append(time.time())

    async def work() -> None:
        async with app.open_async():
            await app.run_worker_async(queues=["renders"], concurrency=SLOTS, wait=False, delete_jobs="always")

    asyncio.run(work())
    print(json.dumps(ends))


def latency(store: str, settings: Settings, count: int) -> None:
    """From before a job is written to the moment when an idle worker has its null render done, which is a little later
    than its start."""
    prepare_data(settings)
    fill(settings, 1)
    chance = random.Random(1)
    written: dict[str, float] = {}

    async def feed(opened: Store) -> None:
        for _ in range(count):
            await asyncio.sleep(chance.uniform(0.01, 0.06))
            now = time.time()
            id = jobs.id_at(now)
            written[id] = now
            await opened.write(
                lambda tx, id=id, now=now: jobs.insert(tx, id=id, accessor=OWNER, request=REQUEST, at=now)  # type: ignore[misc]
            )

    with workers(settings, 1, 1):
        while rows(settings, "SELECT count(*) FROM jobs WHERE status = 'completed'")[0][0] < 1:
            time.sleep(0.05)
        with_store(settings, feed)
        while rows(settings, "SELECT count(*) FROM jobs WHERE status = 'completed'")[0][0] < count + 1:
            time.sleep(0.05)
    waits = sorted(end - written[str(id)] for id, end in rows(settings, DONE) if id in written)
    p50, p99 = waits[len(waits) // 2] * 1000, waits[int(len(waits) * 0.99)] * 1000
    verdict = "met" if p50 <= 15 and p99 <= 50 else "MISSED"
    print(f"{store}: an idle worker has begun after {p50:.1f} ms, p99 {p99:.1f} ms; 15 and 50: {verdict}", flush=True)


ROLES = {"sqlite": bare_sqlite, "postgresql": bare_postgresql, "engine": engine}

if __name__ == "__main__":
    main()
