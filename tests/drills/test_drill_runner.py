"""Whole drills in virtual time, against a gateway in memory with and without faults."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from drills.errors import TargetBusy, TargetDown, TargetRefused
from drills.journal import Journal, load_journal
from drills.metrics import measure
from drills.progress import DrillEvent
from drills.runner import DrillResult, run_drill
from drills.scenario import Scenario, load_scenario
from drills.testing import Fault, MemoryGateway, run_virtual

SMALL = load_scenario(Path(__file__).with_name("small.yaml"))


def drill(
    out: Path, *faults: Fault, scenario: Scenario = SMALL, gateway: MemoryGateway | None = None, **more: Any
) -> DrillResult:
    target = gateway or MemoryGateway(faults=frozenset(faults))

    async def play() -> DrillResult:
        return await run_drill(
            scenario, target="http://memory", admin_token="admin", out=out, transport=target, wall=lambda: 1e9, **more
        )

    return run_virtual(play())


def journal_of(result: DrillResult) -> Journal:
    return load_journal(result.paths["journal.json"])


def test_a_sound_gateway_contains_and_bystanders_stay(tmp_path: Path) -> None:
    gateway = MemoryGateway()
    result = drill(tmp_path, gateway=gateway)
    assert (result.status, result.verdict, result.exit_code) == ("completed", "contained", 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(result.paths)
    metrics = measure(journal_of(result))
    assert (metrics.collateral.held, metrics.collateral.denied_after, metrics.collateral.revoked) == (2, 0, 0)
    assert metrics.tokens_revoked == 3
    assert metrics.after is not None
    assert metrics.after.accepted == 0
    assert metrics.after.refused > 0
    assert gateway.phase == "revoked"


def test_the_november_replay_cuts_everybody_and_shows_the_price(tmp_path: Path) -> None:
    result = drill(tmp_path, scenario=load_scenario("november-2024"))
    assert result.exit_code == 0
    journal = journal_of(result)
    metrics = measure(journal)
    assert metrics.published_to_last_accepted.replay_minutes == pytest.approx(210, abs=1)
    assert (metrics.collateral.accepted_before, metrics.collateral.denied_after) == (3, 3)
    assert all(played.fired is not None for played in journal.msel)


@pytest.mark.parametrize("knows", [True, False])
def test_the_lines_of_november_are_injects_on_the_pages_which_are_put_back(tmp_path: Path, knows: bool) -> None:
    november = load_scenario("november-2024")
    planned = {line.id: line.text for line in november.msel}
    gateway = MemoryGateway(knows_injects=knows, lines=["ours"])
    journal = journal_of(drill(tmp_path / "first", gateway=gateway, scenario=november))
    assert gateway.fired == (planned if knows else {})
    assert gateway.lines == ["ours", *planned.values(), "ours"]
    assert "9 of 9 lines were put on every page" in [each.detail for each in journal.actions]
    # In an exercise on the same gateway later they are fired already, and are seen all the same.
    drill(tmp_path / "again", gateway=gateway, scenario=november)
    assert gateway.lines[11:] == [*planned.values(), "ours"]


def test_another_scenario_leaves_the_pages_alone(tmp_path: Path) -> None:
    gateway = MemoryGateway()
    drill(tmp_path, gateway=gateway)
    assert (gateway.fired, gateway.lines) == ({}, [])


@pytest.mark.parametrize(
    ("fault", "verdict", "exit_code", "reason"),
    [
        ("link_lives", "not_contained", 1, "signed_link"),
        ("job_goes_on", "not_contained", 1, "running_job"),
        ("token_lives", "not_contained", 1, "accepted after the acknowledgement"),
        ("revoke_503", "inconclusive", 3, "may or may not have happened (status 503 unavailable)"),
        ("revoke_timeout", "inconclusive", 3, "may or may not have happened (no answer)"),
        ("down_after_revoke", "inconclusive", 3, "without a clear refusal"),
        ("nobody_accepted", "inconclusive", 3, "controller-001"),
        ("events_missing", "inconclusive", 3, "record of jobs was not read"),
    ],
)
def test_each_fault_gets_its_verdict(tmp_path: Path, fault: Fault, verdict: str, exit_code: int, reason: str) -> None:
    result = drill(tmp_path, fault)
    assert (result.status, result.verdict, result.exit_code) == ("completed", verdict, exit_code)
    assert reason in " ".join(result.reasons)


def test_a_gateway_that_does_not_work_beforehand_ends_the_drill(tmp_path: Path) -> None:
    bad = [{**cohort, "id": "bystanders"} if not cohort["leaked"] else cohort for cohort in _cohorts()]
    scenario = SMALL.model_copy(
        update={"population": SMALL.population.model_validate({**SMALL.population.model_dump(), "cohorts": bad})}
    )
    result = drill(tmp_path, "bystander_fails", scenario=scenario)
    assert (result.status, result.verdict, result.exit_code) == ("failed", "inconclusive", 3)
    assert "steady state not met: bystander-job" in (result.error or "")
    assert measure(journal_of(result)).after is None


def _cohorts() -> list[dict[str, Any]]:
    return [cohort.model_dump() for cohort in SMALL.population.cohorts]


@pytest.mark.parametrize(
    ("fault", "error", "exit_code", "words"),
    [
        ("down_at_start", TargetDown, 3, "http://memory does not answer"),
        ("html", TargetRefused, 2, "is not a leakdrill gateway"),
        ("admin_refused", TargetRefused, 2, "refused the admin token"),
    ],
)
def test_a_target_that_cannot_be_used(
    tmp_path: Path, fault: Fault, error: type[TargetDown | TargetRefused], exit_code: int, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        drill(tmp_path, fault)
    assert caught.value.exit_code == exit_code


def test_same_seed_tells_the_same_story_and_another_seed_another(tmp_path: Path) -> None:
    drill(tmp_path / "a", seed=5)
    drill(tmp_path / "b", seed=5)
    drill(tmp_path / "c", seed=6)
    for name in ("journal.json", "report.html", "report.md", "junit.xml", "timeline.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a/journal.json").read_bytes() != (tmp_path / "c/journal.json").read_bytes()


def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    gateway, leaked = MemoryGateway(), list[str]()
    drill(tmp_path, gateway=gateway, on_leak=leaked.extend)
    assert len(leaked) == 3
    for path in tmp_path.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not any(token in text for token in gateway.tokens)
        assert "sig=" not in text


def test_progress_is_told_as_it_happens(tmp_path: Path) -> None:
    told: list[DrillEvent] = []
    drill(tmp_path, on_event=told.append)
    assert [each.inject for each in told if each.kind == "inject"] == ["m1", "m2", "m3", "m4"]
    assert [each.text for each in told if each.kind == "phase"] == ["Phase normal", "Phase exposed", "Phase revoked"]
    assert [each.elapsed for each in told] == sorted(each.elapsed for each in told)
    assert told[-1].refused > 0
    assert all(each.replay_time is None for each in told[:3])


def test_speed_and_seed_can_be_given(tmp_path: Path) -> None:
    journal = journal_of(drill(tmp_path, speed=600.0, seed=99))
    assert (journal.speed, journal.seed) == (600.0, 99)


def test_stop_ends_the_drill_early_with_a_whole_journal_and_no_token_left(tmp_path: Path) -> None:
    gateway = MemoryGateway()

    async def play() -> DrillResult:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(3, stop.set)
        return await run_drill(
            SMALL, target="http://memory", admin_token="admin", out=tmp_path, transport=gateway, stop=stop
        )

    result = run_virtual(play())
    assert (result.status, result.verdict, result.exit_code) == ("interrupted", "inconclusive", 3)
    assert result.reasons[0] == "the drill was interrupted"
    journal = journal_of(result)
    assert [played.fired is not None for played in journal.msel] == [True, True, False, False]
    assert gateway.revoked == {held[0] for held in gateway.tokens.values()}
    assert gateway.clock is not None
    assert gateway.clock["running"] is False
    assert (gateway.leases, gateway.held_by) == (["drill_1"], "")
    assert "not played" in result.paths["report.md"].read_text(encoding="utf-8")


def test_cancelling_the_drill_still_writes_the_journal(tmp_path: Path) -> None:
    async def play() -> DrillResult:
        task = asyncio.ensure_future(
            run_drill(SMALL, target="http://memory", admin_token="admin", out=tmp_path, transport=MemoryGateway())
        )
        asyncio.get_running_loop().call_later(3, task.cancel)
        return await task

    assert run_virtual(play()).status == "interrupted"
    assert (tmp_path / "report.html").exists()


def test_a_step_that_raises_fails_the_drill_with_a_journal(tmp_path: Path) -> None:
    def burst(tokens: list[str]) -> None:
        raise RuntimeError("the page is gone")

    gateway = MemoryGateway()
    result = drill(tmp_path, gateway=gateway, on_leak=burst)
    assert (result.status, result.verdict, result.exit_code) == ("failed", "inconclusive", 4)
    assert result.error == "RuntimeError: the page is gone"
    assert json.loads(result.paths["journal.json"].read_text())["error"] == result.error
    assert gateway.revoked == {held[0] for held in gateway.tokens.values()}


def test_a_line_that_drains_right_before_the_cut_is_filled_again(tmp_path: Path) -> None:
    surfaces = [*SMALL.containment.surfaces, "open_stream"]
    cut = SMALL.model_copy(update={"containment": SMALL.containment.model_copy(update={"surfaces": surfaces})})
    gateway = MemoryGateway()

    def stall(event: DrillEvent) -> None:
        if event.inject == "m3":  # the cut begins
            assert {job.status for job in gateway.jobs.values()} >= {"queued", "in_progress"}
            gateway.drain()

    result = drill(tmp_path, scenario=cut, gateway=gateway, on_event=stall)
    assert (result.verdict, result.exit_code) == ("contained", 0), result.reasons
    revoke = journal_of(result).revoke
    assert revoke is not None
    assert revoke.running == 1
    assert revoke.queued is not None
    assert revoke.queued > revoke.running


def test_a_line_that_cannot_be_kept_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    class Swift(MemoryGateway):
        """Works faster than anybody orders."""

        def _public(self, request: httpx.Request, path: str) -> httpx.Response:
            answer = super()._public(request, path)
            self.drain()
            return answer

    result = drill(tmp_path, gateway=Swift())
    assert (result.verdict, result.exit_code) == ("inconclusive", 3)
    assert "queued_job: the revocation found none" in result.reasons
    (noted,) = [action for action in journal_of(result).actions if action.name == "work_under_way"]
    assert not noted.ok


def test_limits_stop_the_drill(tmp_path: Path) -> None:
    requests = SMALL.model_copy(update={"limits": SMALL.limits.model_copy(update={"max_requests": 100})})
    gateway = MemoryGateway()
    assert drill(tmp_path / "requests", scenario=requests, gateway=gateway).error == "limit of 100 requests reached"
    assert gateway.revoked == {held[0] for held in gateway.tokens.values()}
    hurried = SMALL.model_copy(update={"limits": SMALL.limits.model_copy(update={"overtime_seconds": 1.0})})
    slow = drill(tmp_path / "time", scenario=hurried, gateway=MemoryGateway(latency=0.5))
    assert (slow.error, slow.exit_code) == ("the drill took longer than 7 s", 4)


def test_a_drill_holds_the_gateway_while_it_runs_and_gives_it_back(tmp_path: Path) -> None:
    gateway, seen = MemoryGateway(), set[str]()
    slow = SMALL.model_copy(update={"clock": SMALL.clock.model_copy(update={"speed": 60})})
    result = drill(tmp_path, scenario=slow, gateway=gateway, on_event=lambda event: seen.add(gateway.held_by))
    assert result.exit_code == 0
    assert (seen, gateway.leases, gateway.held_by) == ({"drill_1"}, ["drill_1"], "")
    leases = [(each.method, each.status) for each in journal_of(result).exchanges if each.who == "lease"]
    assert leases[0] == ("POST", 201)
    assert leases[-1] == ("DELETE", 200)
    assert set(leases[1:-1]) == {("PUT", 200)}
    # Thirty replay minutes are half a minute: one renewal every eight seconds.
    assert len(leases) - 2 == int(journal_of(result).ended / 8)


def test_a_gateway_that_another_drill_has_is_left_as_it_is(tmp_path: Path) -> None:
    gateway = MemoryGateway(held_by="drill_0")
    with pytest.raises(TargetBusy, match="drill_under_way") as caught:
        drill(tmp_path / "out", gateway=gateway, register=pytest.fail)
    assert caught.value.exit_code == 3
    assert (gateway.tokens, gateway.events, gateway.clock, gateway.held_by) == ({}, [], None, "drill_0")
    assert not (tmp_path / "out").exists()


def test_a_drill_that_loses_the_gateway_ends_and_touches_only_its_own_tokens(tmp_path: Path) -> None:
    gateway = MemoryGateway()
    slow = SMALL.model_copy(update={"clock": SMALL.clock.model_copy(update={"speed": 60})})

    def take(event: DrillEvent) -> None:
        if event.inject == "m2":
            gateway.held_by = "drill_99"

    result = drill(tmp_path, scenario=slow, gateway=gateway, on_event=take)
    assert (result.status, result.verdict, result.exit_code) == ("failed", "inconclusive", 3)
    assert "the drill has lost the gateway" in result.reasons[0]
    assert gateway.held_by == "drill_99"
    assert gateway.clock is not None
    assert gateway.clock["running"] is True
    assert gateway.revoked == {held[0] for held in gateway.tokens.values()}
    assert [words.partition(":")[0] for words in result.left] == [
        "clock, phase and whatever was told to the gateway are left alone"
    ]


class WithoutLeases(MemoryGateway):
    """As a gateway of an older version answers."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/control/drill"):
            return httpx.Response(404, json={"error": {"code": "not_found"}})
        return await super().handle_async_request(request)


def test_a_gateway_that_knows_no_lease_is_drilled_and_the_journal_says_so(tmp_path: Path) -> None:
    result = drill(tmp_path, gateway=WithoutLeases())
    assert result.exit_code == 0
    (noted,) = [action for action in journal_of(result).actions if action.name == "lease"]
    assert (noted.ok, noted.detail) == (False, "this gateway knows no lease: nothing keeps another drill off it")


class KeepsRevocations(MemoryGateway):
    """Remembers what it was told to revoke, and whether that was said to be housekeeping."""

    kept: list[tuple[str, bool]]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/control/revocations":
            body = json.loads(request.content)
            self.kept.append((body["reason"], body.get("housekeeping", False)))
        return await super().handle_async_request(request)


def test_what_is_put_back_after_the_cut_is_no_move_of_the_exercise(tmp_path: Path) -> None:
    gateway = KeepsRevocations()
    gateway.kept = []
    drill(tmp_path, gateway=gateway, scenario=load_scenario("november-2024"))
    (cut, *rest) = gateway.kept
    assert cut == ("early access paused for everybody", False)
    assert set(rest) == {("end of the exercise", True)}
    # Where the cut could not be made, the end of the exercise is what ends the leak.
    uncut = KeepsRevocations(faults=frozenset({"revoke_503"}))
    uncut.kept = []
    drill(tmp_path / "uncut", gateway=uncut)
    assert {kept for kept in uncut.kept if kept[0] == "end of the exercise"} == {("end of the exercise", False)}


def test_what_cannot_be_put_back_marks_the_run(tmp_path: Path) -> None:
    result = drill(tmp_path, "down_after_revoke")
    journal = journal_of(result)
    assert journal.dirty
    assert journal.left == result.left
    assert result.left[0].startswith("2 tokens that the drill issued may still work; revoke their cohorts: others")
    assert result.left[1].startswith("the replay clock: http://memory does not answer")
    assert result.left[0] in result.paths["junit.xml"].read_text(encoding="utf-8")
    assert result.left[1] in result.paths["report.html"].read_text(encoding="utf-8")
    assert "rollback incomplete" in result.paths["report.md"].read_text(encoding="utf-8")
