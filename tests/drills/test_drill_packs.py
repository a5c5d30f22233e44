"""The shipped scenarios: each is sound, and has notes for both sides; what is judged in plots without a cut."""

import json

import pytest
from click.testing import CliRunner

from drills.alarms import judge_false_alarm, judge_notices
from drills.briefing import facilitators_sheet, players_sheet
from drills.contingency import Condition, Seen
from drills.deeds import RestoreCall
from drills.facts import load_facts
from drills.history import Exchange, Outcome
from drills.msel import When
from drills.notices import NoticeCall
from drills.oracle import RevokeCall
from drills.scenario import list_scenarios, load_scenario
from drills.sinks import Told
from gateway.commands.drill import drill

PACKS = ["false-alarm", "insider-mint", "one-token-on-github", "september-2026-sunset", "slow-provider"]


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_keeps_from_players_what_the_facilitator_knows(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.notes is not None
    facilitator, players = facilitators_sheet(scenario, scenario.book(load_facts())), players_sheet(scenario)
    assert scenario.notes.facilitator in facilitator
    assert scenario.notes.players.briefing in players
    for line in scenario.msel:
        assert line.text not in players
        assert line.id in facilitator
    assert scenario.scenario.title not in players


def test_the_schema_knows_every_part_and_refuses_others() -> None:
    schema = json.loads(CliRunner().invoke(drill, ["schema"]).output)
    assert {"msel", "sunset", "notes", "own_facts", "containment"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_list_names_every_pack() -> None:
    assert set(PACKS) <= {one.name for one in list_scenarios()}


def use(n: int, at: float, accessor: str, outcome: Outcome = "accepted") -> Exchange:
    return Exchange(
        n=n, actor="holder", who=accessor, surface="cancel", accessor=accessor, method="POST", path="/", start=at,
        end=at + 0.01, status=None, outcome=outcome,
    )  # fmt: skip


def notice(at: float, *accessors: str, again: bool = False) -> NoticeCall:
    return NoticeCall(
        line="m1", about="alpha", start=at, end=at + 0.1, outcome="taken", status=200, named=len(accessors),
        accessors=list(accessors), again=again, request=1,
    )  # fmt: skip


BACK = RestoreCall(
    line="m2", start=5, end=5.1, taken=True, status=200, cohort="alpha", accessors=["a", "b"], over_seconds=4, batch=1
)
SOUND = [use(1, 0, "a"), use(2, 0, "b"), use(3, 2, "a", "refused"), use(4, 2, "b", "refused"), use(5, 5.2, "a")]
SOUND += [use(6, 7.2, "b"), use(7, 9, "a"), use(8, 9, "b")]
CALLS = [notice(1, "a", "b"), notice(8, "a", "b", again=True)]


def test_what_is_held_and_given_back_as_asked_is_sound() -> None:
    assert judge_notices(SOUND, CALLS, [BACK], [], None).verdict == "contained"


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (use(9, 3, "a"), "notice_ignored"),
        (use(9, 8.5, "a", "refused"), "notice_taken_twice"),
        (use(9, 5.3, "b"), "restored_at_once"),
        (use(9, 4, "c", "refused"), "bystander_refused"),
    ],
)
def test_each_mistake_with_a_notice_is_named(more: Exchange, rule: str) -> None:
    verdict = judge_notices([*SOUND, more], CALLS, [BACK], [], None)
    assert verdict.verdict == "not_contained"
    assert rule in {one.rule for one in verdict.offences}


def test_a_sink_that_hears_twice_of_one_notice_is_told_of_once_only_for_the_same_event() -> None:
    def told(id: str, at: float) -> Told:
        return Told(sink=1, at=at, id=id, kinds=["credential-compromise"], accessor="a")

    assert judge_notices(SOUND, CALLS, [BACK], [told("x", 1), told("x", 2)], None).verdict == "contained"
    twice = judge_notices(SOUND, CALLS, [BACK], [told("x", 1), told("y", 8)], None)
    assert [one.rule for one in twice.offences] == ["told_twice"]


def test_a_false_alarm_fails_as_soon_as_anybody_is_hit() -> None:
    calm = [use(1, 0, "a"), use(2, 3, "a")]
    assert judge_false_alarm(calm, [notice(1)], None).verdict == "contained"
    assert judge_false_alarm([*calm, use(3, 4, "a", "refused")], [notice(1)], None).verdict == "not_contained"
    assert judge_false_alarm([*calm, use(3, 4, "a", "fault")], [notice(1)], None).verdict == "inconclusive"
    assert judge_false_alarm(calm, [], None).verdict == "inconclusive"


def test_conditions_hold_when_they_should() -> None:
    cut = RevokeCall(start=9, end=10, outcome="acknowledged", status=200)
    late = [use(1, 12, "a")]
    assert Condition(When(not_revoked_by=30)).holds(Seen(0, 31, []))
    assert not Condition(When(not_revoked_by=30)).holds(Seen(11, 31, [], cut))
    assert Condition(When(still_accepted_after=2)).holds(Seen(13, 0, late, cut, {"a"}))
    assert not Condition(When(still_accepted_after=2, surface="list")).holds(Seen(13, 0, late, cut, {"a"}))
    assert Condition(When(quiet_for=3)).holds(Seen(13, 0, [], cut, {"a"}))
    assert not Condition(When(quiet_for=3)).holds(Seen(13, 0, late, cut, {"a"}))
    assert Condition(When(bystander_refused=True)).holds(Seen(1, 0, [use(1, 0, "b", "refused")]))
    assert Condition(When(notice_taken=2)).holds(Seen(4, 0, [], notices=[notice(1, "a")]))
