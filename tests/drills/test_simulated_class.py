"""Simulated students: what they do in a lesson, and whether what they met is judged as it should be."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from drills.class_report import Asked, ClassReport, Cut, StudentSeen, judge_class, write_class
from drills.errors import DrillError
from drills.history import outcome_of
from drills.scenario import load_scenario
from drills.students import Students, attend
from drills.testing import EPOCH, MemoryGateway, run_virtual

TRAFFIC = load_scenario("november-2024").population.traffic
CODE = "HKTM-4C7R"
CUT = Cut(revocation="rev_1", requested_at=99.5, acknowledged_at=100.0)


def asked(surface: str, started: float, status: int | None, code: str | None = None, ended: float = 0.0) -> Asked:
    return Asked(
        student="Student 01", surface=surface, path="/v1/videos", started=started, ended=ended or started + 0.1,
        status=status, code=code, outcome=outcome_of(status, code),
    )  # fmt: skip


def judged(*requests: Asked, cut: Cut | None = CUT, **student: Any) -> ClassReport:
    """One student with these requests, in a drill that had been played at second 200."""
    one = StudentSeen(1, "Student 01", **{"joined_at": 1.0, **student})
    one.asked = [asked("join", 0.5, 200), *requests]
    return judge_class([one], {} if cut is None else {1: cut}, played_at=200.0, seed=7)


ALL_IS_WELL = (asked("submit", 50, 200), asked("poll", 101, 401), asked("submit", 201, 401))


def test_a_class_that_was_cut_off_and_tried_again_is_proof() -> None:
    report = judged(*ALL_IS_WELL, clips=3)
    assert (report.joined, report.clips, report.refused_after, report.late_accepts, report.failures) == (
        1,
        3,
        2,
        [],
        [],
    )
    assert (report.uncut, report.untried, report.problems()) == ([], [], [])
    assert [report.exit_code(drill) for drill in (0, 1, 3, 4)] == [0, 1, 3, 4]


@pytest.mark.parametrize("status", [200, 204, 206, 304])
def test_what_began_after_the_acknowledgement_and_was_accepted_is_a_late_accept(status: int) -> None:
    report = judged(*ALL_IS_WELL, asked("signed_link", 100.001, status))
    (late,) = report.late_accepts
    assert (late.surface, late.status, report.each[0].late_accepts) == ("signed_link", status, 1)
    assert report.exit_code(0) == report.exit_code(3) == 1
    assert any(line.startswith("late accept: Student 01 was answered") for line in report.problems())


@pytest.mark.parametrize(
    "innocent",
    [
        asked("submit", 99.9, 200, ended=100.4),  # under way when the cut was acknowledged
        asked("submit", 100.0, 200),  # not after it
        asked("submit", 99.8, 401, ended=99.9),  # refused while the cut was under way
        asked("signed_link", 150, 403, "link_expired"),
        asked("signed_link", 99.9, None, ended=100.2),  # a download that the cut ended
        asked("submit", 50, 429, "queue_full"),
    ],
)
def test_what_nobody_is_to_blame_for_is_not_blamed(innocent: Asked) -> None:
    report = judged(*ALL_IS_WELL, innocent)
    assert (report.late_accepts, report.failures, report.exit_code(0)) == ([], [], 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (asked("submit", 50, 401, "invalid_api_key"), "submit, /v1/videos: 401 invalid_api_key"),
        (asked("poll", 50, 404, "video_not_found"), "poll, /v1/videos: 404 video_not_found"),
        (asked("poll", 150, 503, "unavailable"), "poll, /v1/videos: 503 unavailable"),
        (asked("list", 150, None), "list, /v1/videos: no answer"),
        (asked("poll", 99.9, None, ended=100.2), "poll, /v1/videos: no answer"),
        (asked("signed_link", 90, None, ended=91), "signed_link, /v1/videos: no answer"),
        (asked("signed_link", 150, None), "signed_link, /v1/videos: no answer"),
    ],
)
def test_what_should_not_have_been_met_is_a_failure(wrong: Asked, words: str) -> None:
    report = judged(*ALL_IS_WELL, wrong, lost=["worker_lost"])
    assert [each.words for each in report.failures] == [words, "a video failed: worker_lost"]
    assert report.exit_code(0) == 0, "a failure is told; the verdict on the cut is another matter"


def test_a_student_who_cannot_join_is_found() -> None:
    report = judged(joined_at=None, why_not="409 class_full")
    assert [(each.student, each.words) for each in report.not_joined] == [("Student 01", "409 class_full")]
    assert report.exit_code(0) == report.exit_code(3) == 1
    assert "could not join: Student 01: 409 class_full" in report.problems()


def test_where_nothing_is_proved_a_contained_drill_is_not_enough() -> None:
    silent, spared = judged(*ALL_IS_WELL[:2]), judged(asked("submit", 201, 200), cut=None)
    assert (silent.untried, spared.uncut, spared.late_accepts) == (["Student 01"], ["Student 01"], [])
    assert [report.exit_code(drill) for report in (silent, spared) for drill in (0, 1, 4)] == [3, 1, 4, 3, 1, 4]


def test_many_problems_of_one_kind_do_not_bury_the_others() -> None:
    lines = judged(*(asked("poll", 101 + n, 200) for n in range(9)), joined_at=None).problems()
    assert len([line for line in lines if line.startswith("late accept")]) == 5
    assert "… and 4 more of these in class.json" in lines
    assert lines[-2:] == ["could not join: Student 01: never tried", "did not try again after the drill: Student 01"]


def test_the_record_is_written_whole_and_holds_no_link(tmp_path: Path) -> None:
    path = write_class(judged(*ALL_IS_WELL), tmp_path / "new")
    kept = json.loads(path.read_text())
    assert ClassReport.model_validate(kept) == judged(*ALL_IS_WELL)
    assert [one["surface"] for one in kept["requests"]] == ["join", "submit", "poll", "submit"]
    assert "one clock" in kept["clock"]


@dataclass
class ClassGateway(MemoryGateway):
    """The gateway in memory, with seats."""

    seats: int = 3
    taken: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/join":
            return await super().handle_async_request(request)
        body = json.loads(request.content)
        if body["code"] != CODE or self.taken == self.seats:
            return httpx.Response(409, json={"error": {"code": "class_full", "message": "Every seat is taken."}})
        self.taken += 1
        issued = self._issue({"principal": body["name"], "cohort": "class"}).json()
        return httpx.Response(200, json={"seat": self.taken, "name": body["name"], "token": issued["token"]})


def lesson(gateway: ClassGateway, students: int = 3, seed: int = 7) -> ClassReport:
    """A lesson at 140 times real time: everybody is cut off after 60 s, the drill has been played after 70 s."""

    async def play() -> ClassReport:
        loop, leaving = asyncio.get_running_loop(), asyncio.Event()
        seen = [StudentSeen(seat, f"Student {seat:02}") for seat in range(1, students + 1)]
        async with httpx.AsyncClient(base_url="http://memory", transport=gateway) as http:
            taught = asyncio.create_task(
                attend(
                    http, CODE, seen, TRAFFIC, speed=140, seed=seed, wall=lambda: EPOCH + loop.time(), leaving=leaving
                )
            )
            await asyncio.sleep(60)
            gateway.revoked |= {held[0] for held in gateway.tokens.values()}
            at = EPOCH + loop.time()
            await asyncio.sleep(10)
            leaving.set()
            await taught
        cut = Cut(revocation="rev_1", requested_at=at, acknowledged_at=at)
        cuts = {one.seat: cut for one in seen if one.joined_at}
        return judge_class(seen, cuts, played_at=EPOCH + 70, seed=seed)

    return run_virtual(play())


def test_students_make_clips_at_leisure_and_go_on_after_the_cut() -> None:
    report = lesson(ClassGateway())
    assert (report.joined, report.late_accepts, report.failures, report.problems()) == (3, [], [], [])
    assert all(one.clips >= 1 for one in report.each)
    assert all(one.refused_after >= 6 and one.tried_after_the_drill >= 3 for one in report.each)
    surfaces = {one.surface for one in report.requests if one.outcome == "refused"}
    assert surfaces == {"submit", "list", "poll", "signed_link"}, "a refused student tries everything"
    # Nobody types an order more often than once in a few seconds.
    orders = sorted(one.started for one in report.requests if one.surface == "submit" and one.student == "Student 01")
    before = [at for at in orders if at < EPOCH + 60]
    assert min(later - earlier for earlier, later in pairwise(before)) > 15 * 60 / 140
    assert report.exit_code(0) == 0


def test_one_seed_plays_the_same_lesson_and_another_a_different_one() -> None:
    first, again, other = (lesson(ClassGateway(), seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert [one.started for one in first.requests] != [one.started for one in other.requests]


def test_a_link_that_outlives_its_token_is_found_by_the_students() -> None:
    report = lesson(ClassGateway(faults=frozenset({"link_lives"})))
    assert {one.surface for one in report.late_accepts} == {"signed_link"}
    assert {one.student for one in report.late_accepts} == {"Student 01", "Student 02", "Student 03"}
    assert report.exit_code(0) == 1


def test_a_class_that_is_too_small_keeps_somebody_out() -> None:
    report = lesson(ClassGateway(seats=2))
    assert report.joined == 2
    assert [each.words for each in report.not_joined] == ["409 class_full"]
    assert report.exit_code(0) == 1


class FullLine(ClassGateway):
    """Its line is full, and it says when to come again."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/videos" and request.method == "POST" and not self.revoked:
            error = {"error": {"code": "queue_full", "message": "The line is full."}}
            return httpx.Response(429, json=error, headers={"Retry-After": "11"})
        return await super().handle_async_request(request)


def test_who_is_asked_to_wait_waits() -> None:
    report = lesson(FullLine(), students=1)
    before = [one.started for one in report.requests if one.surface == "submit" and one.status == 429]
    assert len(before) >= 3
    assert min(later - earlier for earlier, later in pairwise(before)) >= 11
    assert (report.clips, report.failures, report.exit_code(0)) == (0, [], 0)


def test_a_gateway_that_is_away_is_told_and_ends_the_lesson_all_the_same() -> None:
    report = lesson(ClassGateway(down=True, seats=0))
    assert (report.joined, {each.words for each in report.not_joined}) == (0, {"409 class_full"})


def test_the_thread_ends_whatever_happens() -> None:
    with Students("http://127.0.0.1:9", CODE, [(1, "Student 01")], TRAFFIC, speed=1e6, seed=1) as students:
        students.start()
        _, (seen,) = students.finish()
    assert (seen.joined_at, seen.why_not) == (None, "no answer")
    unsendable: Any = object()
    with Students("http://127.0.0.1:9", unsendable, [(1, "Student 01")], TRAFFIC, speed=1e6, seed=1) as students:
        students.start()
        with pytest.raises(DrillError, match="the simulated class broke off"):
            students.finish()
    with Students("http://127.0.0.1:9", CODE, [(1, "Student 01")], TRAFFIC, speed=0.001, seed=1) as students:
        students.start()
    assert "students" not in {thread.name for thread in threading.enumerate()}, "who leaves early leaves nobody behind"
