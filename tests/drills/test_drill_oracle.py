"""The oracle on hand-made histories: one for every verdict, and the rule that must never break."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drills.evidence import JobTrace
from drills.history import Exchange, Outcome, outcome_of
from drills.oracle import RevokeCall, Verdict, judge

# The revoke call is sent at second 10 and acknowledged at second 11.
REVOKE = RevokeCall(
    start=10, end=11, outcome="acknowledged", status=200, id="rev_1", tokens=1, queued=1, running=1,
    accessors=["tok_leaked"],
)  # fmt: skip
SURFACES = ["submit", "signed_link", "queued_job", "running_job"]
STOPPED = [
    JobTrace(job="video_1", accessor="tok_leaked", stood="queued"),
    JobTrace(job="video_2", accessor="tok_leaked", stood="running"),
]


def use(start: float, outcome: Outcome, surface: str = "submit", **more: Any) -> Exchange:
    values: dict[str, Any] = {
        "n": int(start * 1000), "actor": "probe", "who": "probe", "surface": surface, "accessor": "tok_leaked",
        "method": "GET", "path": "/", "start": start, "end": start + 0.1, "status": None, "outcome": outcome,
    }  # fmt: skip
    return Exchange(**{**values, **more})


def fresh(start: float, outcome: Outcome = "accepted") -> Exchange:
    return use(start, outcome, "list", actor="fresh", who="controller-001", accessor="tok_fresh")


GOOD = [
    use(9, "accepted"),
    use(9.2, "accepted", "signed_link"),
    use(11.1, "refused"),
    use(11.2, "refused", "signed_link"),
    fresh(12),
]


def verdict(
    history: list[Exchange],
    revoke: RevokeCall | None = REVOKE,
    jobs: list[JobTrace] | None = STOPPED,
    bound: float = 0.0,
) -> Verdict:
    return judge(history, revoke, leaked={"tok_leaked"}, surfaces=SURFACES, jobs=jobs, bound=bound)


def test_accepted_before_and_refused_after_is_contained() -> None:
    found = verdict(GOOD)
    assert found.verdict == "contained"
    assert [(each.surface, each.warm, each.after, each.lag) for each in found.surfaces] == [
        (surface, True, "dead", 0.0) for surface in SURFACES
    ]
    assert found.surfaces[0].first_refused == pytest.approx(0.1)


def test_a_request_under_way_when_the_call_answered_is_no_offence() -> None:
    assert verdict([*GOOD, use(10.9, "accepted", end=15.0)]).verdict == "contained"


def test_a_late_accept_is_named() -> None:
    found = verdict([*GOOD, use(13.5, "accepted", actor="visitor", who="visitor-007", n=77)])
    assert found.verdict == "not_contained"
    (offence,) = found.offences
    assert (offence.rule, offence.who, offence.request, offence.seconds_after) == (
        "late_accept",
        "visitor-007",
        77,
        2.5,
    )
    assert found.surfaces[0].after == "alive"
    assert found.surfaces[0].lag == 2.5


def test_accepted_at_the_very_acknowledgement_is_late() -> None:
    assert verdict([*GOOD, use(11, "accepted")]).verdict == "not_contained"


def test_refused_then_accepted_is_a_resurrection() -> None:
    found = verdict([*GOOD, use(10.2, "refused"), use(10.5, "accepted")])
    assert found.verdict == "not_contained"
    assert [offence.rule for offence in found.offences] == ["resurrection"]


def test_refused_at_one_surface_and_accepted_at_another_is_no_resurrection() -> None:
    """As a token is that was quarantined first."""
    history = [*GOOD, use(10.2, "refused"), use(10.5, "accepted", "signed_link")]
    assert verdict(history).verdict == "contained"


def test_a_refusal_before_the_revoke_call_says_nothing() -> None:
    assert verdict([use(5, "refused"), *GOOD]).verdict == "contained"


def test_a_leaked_token_that_the_revocation_forgot_counts_too() -> None:
    revoke = REVOKE.model_copy(update={"accessors": ["tok_other"]})
    assert verdict([*GOOD, use(12, "accepted")], revoke).verdict == "not_contained"


@pytest.mark.parametrize(("outcome", "status"), [("unknown", None), ("unknown", 503), ("refused", 400)])
def test_a_revoke_call_without_a_clear_answer_concludes_nothing(outcome: Any, status: int | None) -> None:
    revoke = RevokeCall(start=10, end=11, outcome=outcome, status=status)
    assert verdict(GOOD, revoke).verdict == "inconclusive"


def test_no_revocation_is_inconclusive() -> None:
    assert verdict(GOOD, None).reasons == ["no revocation was sent"]


def test_a_cold_surface_is_inconclusive() -> None:
    found = verdict([each for each in GOOD if each.start != 9.2])
    assert found.verdict == "inconclusive"
    assert found.reasons == ["signed_link: no accepted use just before the revocation"]


def test_warmth_from_long_ago_does_not_count() -> None:
    revoke = REVOKE.model_copy(update={"start": 100.0, "end": 101.0})
    late = [each.model_copy(update={"start": each.start + 90, "end": each.end + 90}) for each in GOOD[2:]]
    assert verdict([*GOOD[:2], *late], revoke).verdict == "inconclusive"


def test_an_outage_after_the_revocation_is_never_contained() -> None:
    gone = [*GOOD[:2], use(11.1, "fault"), use(11.2, "fault", "signed_link"), fresh(12, "fault")]
    found = verdict(gone)
    assert found.verdict == "inconclusive"
    assert "submit: 1 probes after it, without a clear refusal" in found.reasons
    assert "tokens outside the revocation are not accepted: controller-001" in found.reasons


def test_refusing_everybody_is_not_containment() -> None:
    assert verdict([*GOOD[:4], fresh(12, "refused")]).verdict == "inconclusive"
    assert verdict(GOOD[:4]).verdict == "inconclusive"


def test_an_answer_beside_the_point_is_not_a_refusal() -> None:
    assert verdict([*GOOD, use(11.5, "unclear")]).verdict == "inconclusive"


def test_a_job_that_goes_on_is_an_offence() -> None:
    jobs = [STOPPED[0], JobTrace(job="video_2", accessor="tok_leaked", stood="running", late=[("job.completed", 1.5)])]
    found = verdict(GOOD, jobs=jobs)
    assert found.verdict == "not_contained"
    assert [(each.rule, each.surface, each.job) for each in found.offences] == [
        ("job_went_on", "running_job", "video_2")
    ]


def test_jobs_that_were_not_there_or_not_read_are_inconclusive() -> None:
    assert verdict(GOOD, jobs=STOPPED[:1]).reasons == ["running_job: the revocation found none"]
    assert verdict(GOOD, jobs=None).reasons[0] == "queued_job: the gateway's record of jobs was not read"


@settings(deadline=None)
@given(
    start=st.floats(11, 1e5),
    surface=st.sampled_from(["submit", "poll", "list", "download", "link", "signed_link", "cancel"]),
    actor=st.sampled_from(["visitor", "probe"]),
    others=st.lists(
        st.tuples(st.floats(0, 1e5), st.sampled_from(["accepted", "refused", "limited", "unclear", "fault"])),
        max_size=6,
    ),
    jobs=st.sampled_from([STOPPED, None]),
)
def test_whatever_else_happened_a_late_accept_is_never_contained_nor_excused(
    start: float, surface: str, actor: str, others: list[tuple[float, Outcome]], jobs: list[JobTrace] | None
) -> None:
    history = [use(at, outcome) for at, outcome in others] + [use(start, "accepted", surface, actor=actor)]
    assert verdict(history, jobs=jobs).verdict == "not_contained"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["accepted", "refused", "limited", "unclear", "fault"])), max_size=8
    )
)
def test_contained_means_that_nothing_late_was_accepted(others: list[tuple[float, Outcome]]) -> None:
    history = [*GOOD, *(use(at, outcome) for at, outcome in others)]
    if verdict(history).verdict == "contained":
        assert not any(
            each.outcome == "accepted" and each.start >= 11 and each.accessor == "tok_leaked" for each in history
        )


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (200, None, "accepted"), (206, None, "accepted"), (302, None, "accepted"), (401, "invalid_api_key", "refused"),
        (403, "insufficient_scope", "refused"), (403, "link_expired", "unclear"), (404, "not_found", "unclear"),
        (409, "video_not_ready", "unclear"), (429, "queue_full", "limited"), (500, None, "fault"),
        (None, None, "fault"),
    ],
)  # fmt: skip
def test_answers_are_sorted(status: int | None, code: str | None, outcome: str) -> None:
    assert outcome_of(status, code) == outcome


# Several replicas, and what each invariant looks like when it is broken.

REPLICAS = {"r1": 60.0, "r2": 60.0}


def everywhere(start: float, outcome: Outcome, surface: str = "submit", **more: Any) -> list[Exchange]:
    return [use(start + number / 100, outcome, surface, replica=name, **more) for number, name in enumerate(REPLICAS)]


SOUND = [
    *everywhere(9, "accepted"),
    *everywhere(9.2, "accepted", "signed_link"),
    *everywhere(11.1, "refused"),
    *everywhere(11.2, "refused", "signed_link"),
    fresh(12),
]


def judged(history: list[Exchange], *, spared: frozenset[str] = frozenset(), **replicas: float) -> Verdict:
    return judge(
        history, REVOKE, leaked={"tok_leaked"}, surfaces=SURFACES, jobs=STOPPED, spared=spared,
        replicas=replicas or REPLICAS,
    )  # fmt: skip


def bystander(start: float, outcome: Outcome = "accepted") -> Exchange:
    return use(start, outcome, "list", actor="bystander", who="neighbour-001", accessor="tok_neighbour", replica="r2")


def test_every_surface_of_every_replica_has_a_result_of_its_own() -> None:
    found = judged(SOUND)
    assert found.verdict == "contained"
    assert found.reasons[0].startswith("4 surfaces accepted before and refused after on 2 replicas")
    assert [each.place for each in found.surfaces] == [
        "submit@r1", "submit@r2", "signed_link@r1", "signed_link@r2", "queued_job", "running_job",
    ]  # fmt: skip


def test_a_late_accept_names_its_replica_and_how_long_that_lasts() -> None:
    found = judged([*SOUND, use(13.5, "accepted", replica="r2"), use(14, "refused", replica="r2")])
    (offence,) = found.offences
    assert (offence.replica, offence.surface, offence.seconds_after) == ("r2", "submit", 2.5)
    results = {each.place: each for each in found.surfaces}
    assert (results["submit@r1"].after, results["submit@r1"].lag) == ("dead", 0.0)
    assert (results["submit@r2"].after, results["submit@r2"].lag) == ("alive", 2.5)
    assert not results["submit@r2"].still_accepted


def test_what_is_still_accepted_at_the_end_has_no_upper_bound() -> None:
    found = judged([*SOUND, use(13.5, "accepted", replica="r2")])
    assert {each.place: each.still_accepted for each in found.surfaces}["submit@r2"]


@pytest.mark.parametrize(
    ("more", "invariants"),
    [
        ([use(11.05, "accepted", replica="r1")], ["I1"]),
        ([use(13, "accepted", replica="r2")], ["I1", "I2"]),
        ([use(13, "accepted", "list", replica="r2")], ["I1"]),
        ([use(11.05, "accepted", "signed_link", replica="r1")], ["I4"]),
        ([use(13, "accepted", "child_token", replica="r1", accessor="tok_leaked")], ["I4"]),
        ([use(13, "accepted", "webhook", who="receiver")], ["I4"]),
        ([use(10.2, "refused", replica="r1"), use(10.5, "accepted", replica="r1")], ["I2"]),
    ],
)
def test_each_symptom_is_named(more: list[Exchange], invariants: list[str]) -> None:
    found = judged([*SOUND, *more])
    assert found.verdict == "not_contained"
    assert found.offences[0].invariants == invariants
    assert [reason[:2] for reason in found.reasons] == invariants


def test_a_job_that_goes_on_breaks_what_derives_from_the_token() -> None:
    jobs = [STOPPED[0], JobTrace(job="video_2", accessor="tok_leaked", stood="running", late=[("job.completed", 1.5)])]
    assert verdict(GOOD, jobs=jobs).offences[0].invariants == ["I4"]


def test_a_bystander_who_is_refused_was_revoked_without_being_meant() -> None:
    found = judged([*SOUND, bystander(9), bystander(12, "refused")], spared=frozenset({"tok_neighbour"}))
    assert found.verdict == "not_contained"
    (offence,) = found.offences
    assert (offence.rule, offence.who, offence.replica, offence.invariants) == (
        "bystander_refused",
        "neighbour-001",
        "r2",
        ["I5"],
    )
    assert found.reasons == ["I5: 1 requests of bystanders refused: neighbour-001 on r2; the last +1.00 s from it"]


def test_an_answer_that_names_a_bystander_excuses_nothing() -> None:
    revoke = REVOKE.model_copy(update={"accessors": ["tok_leaked", "tok_neighbour"]})
    history = [*SOUND, bystander(9), bystander(12, "refused")]
    found = judge(
        history, revoke, leaked={"tok_leaked"}, surfaces=SURFACES, jobs=STOPPED, spared=frozenset({"tok_neighbour"}),
        replicas=REPLICAS,
    )  # fmt: skip
    assert [each.rule for each in found.offences] == ["bystander_refused"]


def test_refusing_bystanders_and_everybody_else_is_an_outage() -> None:
    history = [*SOUND[:-1], bystander(9), bystander(12, "refused"), fresh(12, "refused")]
    found = judged(history, spared=frozenset({"tok_neighbour"}))
    assert (found.verdict, found.offences) == ("inconclusive", [])


def test_a_bystander_who_was_meant_is_a_price_and_no_offence() -> None:
    assert judged([*SOUND, bystander(9), bystander(12, "refused")]).verdict != "not_contained"


def test_a_replica_on_which_the_token_was_not_used_is_untested() -> None:
    cold = [each for each in SOUND if not (each.replica == "r2" and each.start < 10)]
    found = judged(cold)
    assert found.verdict == "inconclusive"
    assert found.reasons[:2] == [
        "submit@r2: no accepted use just before the revocation",
        "signed_link@r2: no accepted use just before the revocation",
    ]
    assert found.reasons[2] == "r2: not used within 60 s before the revocation, so what it remembers is untested"


def test_a_use_that_a_short_memory_has_forgotten_tests_nothing() -> None:
    found = judged(SOUND, r1=60.0, r2=0.5)
    assert found.verdict == "inconclusive"
    assert found.reasons == ["r2: not used within 0.5 s before the revocation, so what it remembers is untested"]


def test_deliveries_that_cease_are_dead_and_those_that_never_came_are_untested() -> None:
    def hooked(*starts: float) -> Verdict:
        deliveries = [use(start, "accepted", "webhook", who="receiver") for start in starts]
        return judge(
            [*GOOD, *deliveries], REVOKE, leaked={"tok_leaked"}, surfaces=["submit", "webhook"], jobs=[]
        )  # fmt: skip

    assert hooked(9.5).verdict == "contained"
    assert hooked().reasons == ["webhook: no accepted use just before the revocation"]
    assert hooked(9.5, 12.0).verdict == "not_contained"


def test_within_a_bound_a_taken_job_is_forgiven_with_all_that_becomes_of_it() -> None:
    taken = JobTrace(
        job="video_3", accessor="tok_leaked", stood="ended", late=[("job.queued", 0.02), ("job.completed", 9.0)]
    )
    assert verdict(GOOD, jobs=[*STOPPED, taken], bound=0.05).verdict == "contained"
    assert verdict(GOOD, jobs=[*STOPPED, taken], bound=0.01).offences[0].rule == "job_went_on"
    went_on = JobTrace(job="video_2", accessor="tok_leaked", stood="running", late=[("job.completed", 0.06)])
    assert verdict(GOOD, jobs=[STOPPED[0], went_on], bound=0.05).offences[0].rule == "job_went_on"
