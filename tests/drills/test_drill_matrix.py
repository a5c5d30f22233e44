"""Real replicas that lie, and a drill that is told so by nobody but its own requests.

`benchmarks/defects.py` does this for every seeded defect; here are one of each kind, and the clean build.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from drills.journal import Journal, load_journal
from drills.runner import DrillResult, run_drill
from drills.scenario import load_scenario
from drills.topology import overridden
from live import Live, live_gateway

SCENARIO = load_scenario(Path(__file__).with_name("every-surface.yaml"))
NAMES = ["r1", "r2", "r3"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("matrix") / "data"
    retry = 1.0  # so that a delivery that waits comes again within the after-watch
    with live_gateway(
        data, replicas=len(NAMES), allow_private_targets="loopback", webhook_first_retry_seconds=retry
    ) as running:
        yield running


def drill(live: Live, out: Path, *defects: str, on: str | None = None) -> tuple[DrillResult, Journal]:
    topology = overridden(SCENARIO.topology, None, None, defects, on)
    scenario = SCENARIO.model_copy(update={"topology": topology})
    token = live.supervisor.admin_token
    done = asyncio.run(run_drill(scenario, target=live.url, admin_token=token, out=out, tells=True))
    # Whatever was told is taken back, and nothing that was issued or minted is good any more.
    assert httpx.get(f"{live.url}/status", trust_env=False).json()["defects"] == []
    assert live.control("GET", "/control/tokens", params={"state": "active"})["data"] == []
    return done, load_journal(done.paths["journal.json"])


def test_three_sound_replicas_contain_on_every_surface_and_raise_no_alarm(live: Live, tmp_path: Path) -> None:
    result, journal = drill(live, tmp_path)
    assert (result.status, result.verdict, result.exit_code) == ("completed", "contained", 0), result
    assert {one.after for one in journal.verdict.surfaces} == {"dead"}
    assert {one.surface for one in journal.verdict.surfaces} == set(SCENARIO.containment.surfaces)
    assert {one.replica for one in journal.verdict.surfaces} == {*NAMES, None}
    assert journal.chain is not None
    assert journal.chain.broken is None
    assert not journal.dirty


@pytest.mark.parametrize(
    ("defects", "on", "invariant", "surface", "replicas"),
    [
        (["local-evict-only"], "r2", "I1", "list", {"r2"}),
        (
            ["link-outlives", "child-survives", "hook-keeps-firing", "same-second-survives"],
            None,
            "I4",
            "signed_link",
            set(NAMES),
        ),
        (["over-revocation"], None, "I5", "list", set(NAMES)),
    ],
)
def test_a_lie_is_found_by_its_symptom_and_its_replica(
    live: Live, tmp_path: Path, defects: list[str], on: str | None, invariant: str, surface: str, replicas: set[str]
) -> None:
    result, journal = drill(live, tmp_path, *defects, on=on)
    assert (result.status, result.exit_code) == ("completed", 1), result
    mine = [one for one in journal.verdict.offences if invariant in one.invariants]
    assert surface in {one.surface for one in mine}
    assert {one.replica for one in mine if one.replica} <= replicas
    if "child-survives" in defects:
        assert {"child_token", "webhook", "signed_link", "new_token"} <= {one.surface for one in mine}
    assert not journal.dirty


def test_a_revocation_that_hangs_is_unknown(live: Live, tmp_path: Path) -> None:
    result, journal = drill(live, tmp_path, "bulk-hangs")
    assert (result.status, result.verdict, result.exit_code) == ("completed", "inconclusive", 3), result
    assert result.reasons == ["the revocation may or may not have happened (no answer)"]
    assert not journal.dirty
