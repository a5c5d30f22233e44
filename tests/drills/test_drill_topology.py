"""Which gateways a scenario asks for, and drills against several of them, in memory and in virtual time."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from drills.errors import DrillError, ScenarioError
from drills.journal import Journal, load_journal
from drills.runner import DrillResult, run_drill
from drills.scenario import Scenario, load_scenario
from drills.testing import Fault, MemoryGateway, run_virtual
from drills.topology import Order, Topology, overridden

SMALL = load_scenario(Path(__file__).with_name("small.yaml"))
EVERY = load_scenario(Path(__file__).with_name("every-surface.yaml"))
NAMES = ("r1", "r2", "r3")


def topology(**more: Any) -> Topology:
    return Topology.model_validate({"replicas": 3, "consistency": "strict", **more})


def order(replica: str, profile: str = "strict", seconds: float | None = None, *defects: str) -> Order:
    return Order(replica=replica, profile=profile, seconds=seconds, defects=list(defects))


def with_topology(**more: Any) -> Scenario:
    """The small scenario on three replicas, with what derives from a token."""
    surfaces = [*SMALL.containment.surfaces, "range", "head", "share_link", "child_token", "mint", "new_token"]
    containment = SMALL.containment.model_copy(update={"surfaces": surfaces})
    return SMALL.model_copy(update={"topology": topology(**more), "containment": containment})


def drill(out: Path, scenario: Scenario, *faults: Fault, tells: bool = True) -> tuple[MemoryGateway, DrillResult]:
    gateway = MemoryGateway(names=NAMES, faults=frozenset(faults))

    async def play() -> DrillResult:
        return await run_drill(
            scenario, target="http://r1", admin_token="admin", out=out, transport=gateway, wall=lambda: 1e9, tells=tells
        )

    return gateway, run_virtual(play())


def journal_of(result: DrillResult) -> Journal:
    return load_journal(result.paths["journal.json"])


def test_what_is_right_is_not_told() -> None:
    assert topology().orders() == []


@pytest.mark.parametrize(
    ("said", "orders"),
    [
        ({"consistency": "bounded"}, [order(name, "bounded") for name in NAMES]),
        ({"consistency": {"r2": "cache-ttl:60"}}, [order("r2", "cache-ttl", 60.0)]),
        ({"defects": ["link-outlives"]}, [order(name, "strict", None, "link-outlives") for name in NAMES]),
        (
            {"consistency": {"r1": "bounded:2.5"}, "defects": {"r3": ["fail-open", "link-outlives"]}},
            [order("r1", "bounded", 2.5), order("r3", "strict", None, "fail-open", "link-outlives")],
        ),
    ],
)
def test_what_is_said_for_all_or_for_some_is_told_to_those(said: dict[str, Any], orders: list[Order]) -> None:
    assert topology(**said).orders() == orders


def test_a_command_line_replaces_what_it_names_and_leaves_the_rest() -> None:
    planned = topology(consistency="bounded:5", defects=["fail-open"])
    assert overridden(planned, None, None, [], None) == planned
    assert overridden(planned, 2, "cache-ttl:60", ["link-outlives"], "r2") == Topology(
        replicas=2, consistency="cache-ttl:60", defects={"r2": ["link-outlives"]}
    )


@pytest.mark.parametrize(
    ("consistency", "defects", "only", "words"),
    [
        (None, ["fail-open"], "r4", "there is no replica r4; there are r1, r2, r3"),
        ("cache ttl", [], None, "should match pattern"),
    ],
)
def test_a_topology_that_cannot_be_is_bad_usage(
    consistency: str | None, defects: list[str], only: str | None, words: str
) -> None:
    with pytest.raises(ScenarioError, match=words) as caught:
        overridden(topology(), None, consistency, defects, only)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("consistency", "seen", "agrees"),
    [
        ("strict", "strict", True),
        ("strict", None, False),
        ("bounded:5", "bounded 5 s", True),
        ("bounded", "bounded 5 s", True),
        ("bounded", "cache-ttl 5 s", False),
        ({"r2": "cache-ttl:60"}, "r1 strict, r2 cache-ttl 60 s, r3 strict", True),
        ({"r3": "cache-ttl:60"}, "r1 strict, r2 cache-ttl 60 s, r3 strict", False),
    ],
)
def test_a_gateways_words_are_compared_with_the_scenarios(consistency: Any, seen: str | None, agrees: bool) -> None:
    assert topology(consistency=consistency).agrees(seen) is agrees


def test_the_short_exercise_asks_for_every_surface() -> None:
    assert len(EVERY.containment.surfaces) == len(set(EVERY.containment.surfaces)) == 20
    assert EVERY.topology.replicas == 3


def test_three_sound_replicas_are_all_asked_for_everything_and_contain(tmp_path: Path) -> None:
    gateway, result = drill(tmp_path, with_topology())
    assert (result.status, result.verdict, result.exit_code) == ("completed", "contained", 0), result
    journal = journal_of(result)
    assert [one.name for one in journal.replicas] == list(NAMES)
    places = {(one.surface, one.replica) for one in journal.verdict.surfaces}
    expected = {"submit", "poll", "list", "download", "signed_link", "share_link", "child_token", "mint", "new_token"}
    assert {(surface, name) for surface in expected for name in NAMES} <= places
    for one in journal.verdict.surfaces:
        assert (one.warm, one.after, one.lag) == (True, "dead", 0.0), one
    visits = {each.replica for each in journal.exchanges if each.actor == "visitor"}
    onlookers = {each.replica for each in journal.exchanges if each.actor in ("bystander", "fresh")}
    revocations = {each.replica for each in journal.exchanges if each.path == "/control/revocations"}
    assert (visits, onlookers, revocations) == (set(NAMES), set(NAMES), {"r1"})
    assert gateway.told == {}


def test_a_replica_that_remembers_is_told_found_measured_and_put_right(tmp_path: Path) -> None:
    gateway, result = drill(tmp_path, with_topology(consistency={"r2": "cache-ttl:2"}))
    assert (result.verdict, result.exit_code) == ("not_contained", 1), result
    journal = journal_of(result)
    assert {one.replica for one in journal.verdict.offences if one.request is not None} == {"r2"}
    listed = {one.replica: one for one in journal.verdict.surfaces if one.surface == "list"}
    assert listed["r2"].lag == pytest.approx(2, abs=0.4)
    assert not listed["r2"].still_accepted
    assert (listed["r1"].after, listed["r3"].after) == ("dead", "dead")
    assert result.reasons[0].startswith("I1: ")
    assert " on r2; the last +1." in result.reasons[0]
    assert gateway.told["r2"]["profile"] == "strict"
    assert not journal.dirty


def test_the_after_watch_outlasts_the_longest_lag_that_is_declared(tmp_path: Path) -> None:
    scenario = with_topology(consistency={"r2": "cache-ttl:20"})
    assert scenario.containment.after_watch_seconds < 20
    # The clock runs 300 times as fast as the wall, and the twin does not divide its lag by that.
    slow = scenario.model_copy(update={"clock": scenario.clock.model_copy(update={"speed": 1.0, "minutes": 0.5})})
    lines = [line.model_copy(update={"at": at}) for line, at in zip(slow.msel, (0.0, 0.1, 0.2, 0.3), strict=True)]
    _, result = drill(tmp_path, slow.model_copy(update={"msel": lines}))
    lag = max(one.lag or 0.0 for one in journal_of(result).verdict.surfaces)
    assert 19 < lag < 21
    assert not any(one.still_accepted for one in journal_of(result).verdict.surfaces)


def test_nothing_is_told_unless_the_drill_may(tmp_path: Path) -> None:
    gateway, result = drill(tmp_path, with_topology(consistency="cache-ttl:2"), tells=False)
    assert (result.verdict, gateway.told) == ("contained", {})
    assert "the scenario expects cache-ttl:2" in result.paths["report.md"].read_text(encoding="utf-8")


def test_a_target_that_is_none_of_its_own_replicas_fails_the_drill(tmp_path: Path) -> None:
    gateway = MemoryGateway(names=("east", "west"))

    async def play() -> DrillResult:
        return await run_drill(SMALL, target="http://proxy", admin_token="admin", out=tmp_path, transport=gateway)

    with pytest.raises(DrillError, match="none of the replicas that it names"):
        run_virtual(play())


def test_an_outage_of_everything_stays_inconclusive_on_replicas(tmp_path: Path) -> None:
    _, result = drill(tmp_path, with_topology(), "down_after_revoke")
    assert (result.verdict, result.exit_code) == ("inconclusive", 3)
    assert "list@r3: " in " ".join(result.reasons)


def test_a_replica_that_cannot_be_put_right_marks_the_run_and_the_rest_is_still_done(tmp_path: Path) -> None:
    class Stubborn(MemoryGateway):
        """Can be told to err, and not to stop."""

        def _replicas(self, body: dict[str, Any]) -> Any:
            return self._refuse() if body.get("profile") == "strict" else super()._replicas(body)

        @staticmethod
        def _refuse() -> httpx.Response:
            return httpx.Response(500, json={"error": {"code": "server_error"}})

    gateway = Stubborn(names=NAMES)
    scenario = with_topology(consistency={"r2": "cache-ttl:2"})

    async def play() -> DrillResult:
        return await run_drill(
            scenario, target="http://r1", admin_token="admin", out=tmp_path, transport=gateway, tells=True
        )

    journal = journal_of(run_virtual(play()))
    assert journal.dirty
    done = {action.name: action.ok for action in journal.actions}
    assert (done["rollback"], done["revoke_issued"], done["stop_clock"]) == (False, True, True)
    assert gateway.revoked == {held[0] for held in gateway.tokens.values()}
