"""How long a verdict takes, beside merely reading the journal that it is about.

    python benchmarks/judging.py            # 10,000 requests, 7 rounds; then November 2024 at 600 times real time
    python benchmarks/judging.py --quick    # 10,000 requests, 3 rounds

The history is made here: 20 surfaces on 3 replicas are accepted for a minute, then refused for a minute, while
bystanders go on. Judging it must take less than 1 s; a drill at 600 times real time less than 40 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import get_args

from pydantic import TypeAdapter

from drills.history import Exchange, Outcome
from drills.oracle import HEARD, RevokeCall, judge
from drills.topology import Surface

REQUESTS = 10_000
MOST_SECONDS = 1.0
DRILL_SECONDS = 40.0
REPLICAS = {"r1": 60.0, "r2": 60.0, "r3": 60.0}
SURFACES = [name for name in get_args(Surface) if name not in HEARD]
CALL = RevokeCall(start=60.0, end=60.01, outcome="acknowledged", status=200, id="rev_1", accessors=["tok_leaked"])
JOURNAL = TypeAdapter(list[Exchange])


def history(requests: int) -> list[Exchange]:
    """So many requests in two minutes, one bystander's to nine of the leaked token's."""
    made = []
    for number in range(requests):
        start = 120.0 * number / requests
        beside = number % 10 == 0
        place = number - number // 10
        outcome: Outcome = "accepted" if beside or start < CALL.start else "refused"
        made.append(
            Exchange(
                n=number + 1,
                actor="bystander" if beside else "probe",
                who="bystander-1" if beside else "probe",
                surface="list" if beside else SURFACES[place % len(SURFACES)],
                accessor="tok_beside" if beside else "tok_leaked",
                method="GET",
                path="/v1/videos",
                start=start,
                end=start + 0.004,
                status=200 if outcome == "accepted" else 401,
                outcome=outcome,
                replica=f"r{place // len(SURFACES) % 3 + 1}",
            )
        )
    return made


def timed(work: Callable[[], object], rounds: int) -> float:
    """The median of so many rounds, in seconds."""
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def check_verdict(found: list[Exchange]) -> None:
    """What is measured is a verdict: this history is contained, and with one late use it is not."""

    def verdict(of: list[Exchange]) -> str:
        spared = {"tok_beside"}
        return judge(
            of, CALL, leaked={"tok_leaked"}, surfaces=SURFACES, jobs=None, spared=spared, replicas=REPLICAS
        ).verdict

    late = found[-1].model_copy(update={"outcome": "accepted", "accessor": "tok_leaked", "actor": "probe"})
    assert verdict(found) == "contained"
    assert verdict([*found[:-1], late]) == "not_contained"


def drill_seconds() -> float:
    """November 2024 at 600 times real time, on a gateway of its own, from the command to its reports."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gateway", "drill", "run", "november-2024", "--speed", "600"]
        began = time.perf_counter()
        done = subprocess.run([*command, "--out", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        spent = time.perf_counter() - began
        if done.returncode != 0:
            sys.exit(f"the drill ended with exit code {done.returncode}")
        return spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds, and no drill")
    quick = parser.parse_args().quick
    rounds = 3 if quick else 7
    found = history(REQUESTS)
    check_verdict(found)
    text = JOURNAL.dump_json(found)
    parsing = timed(lambda: JOURNAL.validate_json(text), rounds)
    judging = timed(lambda: check_verdict(found), rounds) / 2
    print(f"judging {REQUESTS:,} requests: {judging:.3f} s (less than {MOST_SECONDS:g} s)")
    print(f"reading the same journal: {parsing:.3f} s; judging is {judging / parsing:.2f} times that")
    fits = judging < MOST_SECONDS
    if not quick:
        spent = drill_seconds()
        print(f"November 2024 at 600 times real time: {spent:.1f} s (less than {DRILL_SECONDS:g} s)")
        fits = fits and spent < DRILL_SECONDS
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
