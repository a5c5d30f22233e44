"""Ends processes at random under load, on both stores, and proves that nothing was lost and nothing doubled.

Run: make chaos ARGS="--seed 7 --kills 100"
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from chaos.run import Outcome, drill
from postgres import ADVICE, LASTING, own_server, programs


def main() -> int:
    """0 where everything holds, 1 where something was lost, doubled or late, 2 where it cannot be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="which schedule of faults; drawn unless given")
    parser.add_argument("--kills", type=int, default=100, help="how many processes are ended on each store (100)")
    parser.add_argument("--store", choices=("both", "sqlite", "postgresql"), default="both")
    parser.add_argument("--keep", type=Path, help="a directory that does not exist yet, where what a run leaves stays")
    given = parser.parse_args()
    seed = secrets.randbelow(10_000) if given.seed is None else given.seed
    stores = ("sqlite", "postgresql") if given.store == "both" else (given.store,)
    if given.kills < 1 or (given.keep and given.keep.exists()):
        parser.error("--kills is 1 or more, and --keep a directory that does not exist yet")
    where = programs()
    if "postgresql" in stores and where is None:
        parser.error(f"initdb is not on this machine; install it with: {ADVICE}, or say --store sqlite")
    sys.stdout.write(f"seed {seed}\n")
    sys.stdout.flush()
    sound = True
    with nullcontext(given.keep) if given.keep else tempfile.TemporaryDirectory(prefix="leakdrill-chaos-") as folder:
        for store in stores:
            data = Path(folder) / store
            if store == "sqlite" or where is None:
                outcome = drill(data, seed=seed, kills=given.kills)
            else:
                with own_server(where, LASTING) as server:
                    outcome = drill(data, seed=seed, kills=given.kills, server=server)
            sys.stdout.write(_report(outcome))
            sys.stdout.flush()
            sound = sound and outcome.sound
    return 0 if sound else 1


def _report(outcome: Outcome) -> str:
    lines = [f"  {what:<50}{value}" for what, value in outcome.table()]
    lines += [f"  VIOLATED  {violation}" for violation in (*outcome.violations, *outcome.late)]
    verdict = "nothing lost, nothing doubled" if outcome.sound else "NOT SOUND"
    return "\n".join([f"\n{outcome.store}", *lines, f"  {verdict}\n"])


if __name__ == "__main__":
    sys.exit(main())
