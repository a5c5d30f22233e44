"""Every seeded defect against a drill: which verdict, by which invariant, and how long until it is caught.

    python benchmarks/defects.py                 # each defect once, and 5 seeds without any: about 7 minutes
    python benchmarks/defects.py --quick         # five of them, and 1 seed without any
    python benchmarks/defects.py --only link-outlives --clean 0
    python benchmarks/defects.py --clean 20 --only none    # 20 seeds without any: about 7 minutes

Three replicas on one database play `tests/drills/every-surface.yaml`, or `notices.yaml` where the mistake is in what
becomes of a notice, and all of them make it. "Caught after" counts from the acknowledgement of the revocation, or the
answer to the notice or restoration, to the start of the first offending request. Without a defect each seed plays both
scenarios; a last line counts the false alarms. Exit code 1 where a defect is not found as it should be, or where a
drill without any is not contained.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import httpx

from drills.journal import Journal, load_journal
from drills.runner import run_drill
from drills.scenario import Scenario, load_scenario
from drills.topology import overridden
from gateway.commands.reporter import publish_key
from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_ports

DRILLS = Path(__file__).parents[1] / "tests" / "drills"
CUT, NOTICES = "every-surface.yaml", "notices.yaml"
REPLICAS = 3
# Exit code, and what must be among the broken invariants; None: nothing is broken, but nothing is known either.
EXPECTED: dict[str, tuple[int, str | None]] = {
    "local-evict-only": (1, "I1"),
    "recache-race": (1, "I2"),
    "evict-before-write": (1, "I1"),
    "sliding-ttl": (1, "I1"),
    "evict-fails": (1, "I1"),
    "first-worker-wins": (1, "I1"),
    "store-error-ignored": (1, "I1"),
    "fail-open": (1, "I1"),
    "same-second-survives": (1, "I4 new_token"),
    "skew-revives": (1, "I1"),
    "legacy-path-unchecked": (1, "I1 download"),
    "over-revocation": (1, "I5"),
    "clean-up-takes-live": (1, "I5"),
    "console-differs": (1, "I4 running_job"),
    "bulk-hangs": (3, None),
    "child-survives": (1, "I4 child_token"),
    "link-outlives": (1, "I4 signed_link"),
    "stream-unchecked": (1, "I4 open_stream"),
    "hook-keeps-firing": (1, "I4 webhook"),
    "restore-stampede": (1, "I9 restored_at_once"),
    "alert-lost": (1, "I8 notice_ignored"),
    "alert-twice": (1, "I8 notice_taken_twice"),
}
IN_NOTICES = ("restore-stampede", "alert-lost", "alert-twice")
QUICK = ["local-evict-only", "over-revocation", "link-outlives", "stream-unchecked", "alert-twice"]


def drill(supervisor: Supervisor, scenario: Scenario, out: Path, seed: int) -> tuple[int, Journal]:
    """One drill against the running gateways."""
    target, token = supervisor.gateway_url, supervisor.admin_token
    register = partial(publish_key, supervisor.settings.reporter_keys)
    done = asyncio.run(
        run_drill(scenario, target=target, admin_token=token, out=out, seed=seed, tells=True, register=register)
    )
    return done.exit_code, load_journal(done.paths["journal.json"])


def broken(journal: Journal) -> Counter[str]:
    """The broken invariants with and without their surfaces."""
    found: Counter[str] = Counter()
    for one in journal.verdict.offences:
        for name in one.invariants:
            found[name] += 1
            found[f"{name} {one.surface}"] += 1
            found[f"{name} {one.rule}"] += 1
    return found


def row(name: str, code: int, journal: Journal, took: float) -> str:
    """A line of the table."""
    offences = journal.verdict.offences
    first = min((one.seconds_after for one in offences), default=None)
    plain = journal.scenario.scenario.plot == "leak"
    surfaces = sorted({one.surface if plain else one.rule.replace("_", " ") for one in offences})
    replicas = sorted({one.replica for one in offences if one.replica})
    kinds = " ".join(sorted({kind for one in offences for kind in one.invariants}))
    shown = ", ".join(surfaces) if len(surfaces) <= 4 else f"{len(surfaces)} surfaces"
    caught = "" if first is None else f"{max(first, 0.0):.2f} s"
    return f"| `{name}` | {code} | {kinds} | {shown} | {', '.join(replicas)} | {caught} | {took:.0f} s |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="five defects, and one seed without any")
    parser.add_argument("--only", action="append", help="a defect; none: the clean build alone")
    parser.add_argument("--clean", type=int, help="seeds without a defect [5]")
    parser.add_argument("--out", type=Path, help="keep the journals and reports here")
    asked = parser.parse_args()
    only = asked.only or (QUICK if asked.quick else None)
    clean = asked.clean if asked.clean is not None else 1 if asked.quick else 5
    names = [name for name in EXPECTED if only is None or name in only]
    wrong, scenarios = 0, {name: load_scenario(DRILLS / name) for name in (CUT, NOTICES)}
    with tempfile.TemporaryDirectory() as folder:
        out = asked.out or Path(folder) / "out"
        settings = Settings(
            data=Path(folder) / "data",
            port=free_ports(REPLICAS),
            allow_private_targets="loopback",
            webhook_first_retry_seconds=1.0,
            disclosure_policy="quarantine",
        )
        with Supervisor(settings) as supervisor:
            supervisor.start(workers=1, page=False, replicas=REPLICAS)
            known = httpx.get(
                f"{supervisor.gateway_url}/control/replicas",
                headers={"Authorization": f"Bearer {supervisor.admin_token}"},
                trust_env=False,
            ).json()["known_defects"]
            if missing := {one["name"] for one in known} - {*EXPECTED}:
                print(f"no expectation for {', '.join(sorted(missing))}")
                wrong += 1
            print("| Defect | Exit code | Broken | Symptom | Replicas | Caught after | Drill took |")
            print("|---|---|---|---|---|---|---|")
            for name in names:
                began = time.monotonic()
                scenario = scenarios[NOTICES if name in IN_NOTICES else CUT]
                told = overridden(scenario.topology, None, None, [name], None)
                code, journal = drill(supervisor, scenario.model_copy(update={"topology": told}), out / name, 7)
                wanted, symptom = EXPECTED[name]
                good = code == wanted and (symptom is None or bool(broken(journal)[symptom])) and not journal.dirty
                wrong += not good
                line = row(name, code, journal, time.monotonic() - began)
                print(
                    line if good else f"{line} WRONG: {'; '.join(journal.verdict.reasons)} {journal.error}", flush=True
                )
            codes: Counter[int] = Counter()
            for seed in range(clean):
                for file, scenario in scenarios.items():
                    began = time.monotonic()
                    code, journal = drill(supervisor, scenario, out / f"clean-{seed}-{file}", seed)
                    wrong += code != 0
                    codes[code] += 1
                    line = row(f"none, {file}, seed {seed}", code, journal, time.monotonic() - began)
                    print(line if code == 0 else f"{line} WRONG: {'; '.join(journal.verdict.reasons)}", flush=True)
            if clean:
                words = f"false alarms: {codes[1]}; inconclusive: {codes[3]}; failed: {codes[4]}"
                print(f"\n{codes.total()} drills without a defect, over {clean} seeds: {words}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
