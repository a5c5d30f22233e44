"""What a long waiting line costs: to join it, to be taken from it, and to ask for one's place in it.

    python benchmarks/line.py            # 100 waiting against 1,000,000
    python benchmarks/line.py --quick    # against 200,000
    python benchmarks/line.py --only postgresql

One token has nearly all of the line, as after a leak; thirty others have ten jobs each. In both orders, on both stores.
A round is a submit, a claim, and polls of jobs all over the line, as a gateway answers them; so the line stays as long
as it was. Medians. PostgreSQL is a server of our own, or the one that LEAKDRILL_TEST_DATABASE_URL names.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from gateway.jobs import lifecycle, service
from gateway.jobs.line import Line
from gateway.settings import Settings, prepare_data
from gateway.store import Connection, Store, messages, open_store, tokens
from gateway.store.jobs import RenderRequest
from gateway.store.tokens import Token, TokenState
from postgres import STORES, empty_database, server_to_measure, stores_to_measure

REQUEST = RenderRequest("rain", "standard", "standard", "1280x720", 4, 30, 1)
TEXT = (
    '{"prompt": "rain", "model": "standard", "variant": "standard", "size": "1280x720", "seconds": 4, "fps": 30, '
    '"seed": 1, "base_prompts": [], "colours": []}'
)
FILL = """
    WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < :number)
    INSERT INTO jobs (id, accessor, status, request, priority, turn, created_at)
    SELECT :accessor || '-' || i, :accessor, 'queued', :request, 0, i / :each, 0 FROM k
"""
OTHERS, OTHERS_JOBS = 30, 10
MOST = 1.3
POLLED = 200
POLLS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200,000 jobs stand for 1,000,000, fewer rounds")
    parser.add_argument("--only", choices=STORES, help="one store alone")
    given = parser.parse_args()
    long, rounds = (200_000, 100) if given.quick else (1_000_000, 300)
    for store in stores_to_measure(given.only):
        for order in ("fifo", "fair"):
            compare(store, order, long, rounds)


def compare(store: str, order: str, long: int, rounds: int) -> None:
    short, costs = 100, {}
    for length in (short, long):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = ""
            if store == "postgresql":
                url = stack.enter_context(empty_database(stack.enter_context(server_to_measure())))
            settings = Settings(data=folder, database_url=url)
            prepare_data(settings)
            costs[length] = asyncio.run(measured(settings, order, length, rounds))
    for what, before in costs[short].items():
        after = costs[long][what]
        verdict = "met" if after / before <= MOST else "MISSED"
        print(
            f"{store:10} {order} {what:8} {before:7.1f} µs with {short}, {after:7.1f} µs with {long:,} waiting; "
            f"ratio {after / before:.2f}; at most {MOST}: {verdict}",
            flush=True,
        )


async def measured(settings: Settings, order: str, length: int, rounds: int) -> dict[str, float]:
    """Medians in microseconds."""
    store = open_store(settings.database)
    try:
        line, chance = Line(settings.estimate_seconds, fair=order == "fair"), random.Random(1)
        leaked = await filled(settings, store, order, length)
        secret = b"0" * 32
        polled = [f"tok_0-{chance.randrange(length // 2, length) + 1}" for _ in range(POLLED)]
        found: dict[str, list[float]] = {"submit": [], "claim": [], "place": []}
        for number in range(rounds + 20):
            now = time.time()
            begun = time.perf_counter()
            await service.submit(store, line, leaked, REQUEST, now=now, queue_limit=1 << 40)
            submitted = time.perf_counter()
            job = await lifecycle.claim(store, worker="w1", now=now, lease_seconds=5, max_attempts=3)
            claimed = time.perf_counter()
            if job is None:
                raise SystemExit("nobody could be claimed from a line that is not empty")
            await lifecycle.fail(store, job, worker="w1", code="render_failed", message="bench", now=now)
            ids = chance.sample(polled, POLLS)
            asked = time.perf_counter()
            for id in ids:
                await service.poll(store, line, secret, id, now=now)
            answered = time.perf_counter()
            if number >= 20:
                found["submit"].append(submitted - begun)
                found["claim"].append(claimed - submitted)
                found["place"].append((answered - asked) / POLLS)
        return {what: statistics.median(took) * 1e6 for what, took in found.items()}
    finally:
        await store.close()


async def filled(settings: Settings, store: Store, order: str, length: int) -> Token:
    """The token that has most of the line, which is as long as asked."""

    def token(number: int) -> Token:
        active = TokenState.ACTIVE
        return Token(
            f"tok_{number}", "b", "b", ("videos:write", "videos:read"), (), "unlimited", active, 0.0, *[None] * 5
        )

    def work(tx: Connection) -> None:
        others = OTHERS if length > OTHERS * OTHERS_JOBS else 0
        for number in range(others + 1):
            tokens.insert(tx, token(number), str(number).encode() * 32, f"{number}")
            own = OTHERS_JOBS if number else length - others * OTHERS_JOBS
            each = 1 if order == "fair" else 1 << 40
            tx.execute(FILL, {"number": own, "accessor": f"tok_{number}", "request": TEXT, "each": each})
        messages.refill_all(tx)
        if tx.delivered:
            tx.execute("ANALYZE")  # as the server does by itself, a minute after

    await store.write(work)
    if settings.database_url == "":
        move_log(settings)
    return token(0)


def move_log(settings: Settings) -> None:
    """Moves SQLite's log into the file, as the gateway does every few thousand writes, which here are one."""
    session = sqlite3.connect(settings.data / "leakdrill.db")
    busy, *_ = session.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    session.close()
    assert not busy, "the log is in use"


if __name__ == "__main__":
    main()
