from __future__ import annotations

from dataclasses import replace

import pytest

from frontend import wording
from frontend.calls import MASKED, calls
from frontend.client import AWAY, GatewayError, Order, Status, Video
from frontend.generate import example_prompts
from frontend.joining import student_of
from frontend.panels import api_call, clip, joined, status
from frontend.render import Finished, Rendering, Waiting

OPEN = Status("exposed", 3, 2, 2, 11_800, None, None, 1, False, "strict", ())
VIDEO = Video("video_1", "completed", 100, None, None, None, None, None, 7, None)


def answer(status: int | None, code: str, message: str = "m", retry_after: float | None = None) -> GatewayError:
    return GatewayError(code, message, status=status, retry_after=retry_after)


UNKNOWN = answer(401, "invalid_api_key")


def test_four_refusals_have_four_different_plain_wordings() -> None:
    refusals = {
        "unknown_token": wording.refused(UNKNOWN, "exposed", own_token=False),
        "revoked": wording.refused(UNKNOWN, "revoked", own_token=False),
        "queue_full": wording.refused(answer(429, "queue_full", retry_after=7), "exposed", own_token=False),
        "gateway_away": wording.refused(answer(None, AWAY), None, own_token=False),
    }
    assert {name: refusal.kind for name, refusal in refusals.items()} == {name: name for name in refusals}
    assert len({refusal.words for refusal in refusals.values()}) == 4
    assert "access has been cut off" in refusals["revoked"].words
    assert "does not know" in refusals["unknown_token"].words
    assert "waiting line is full" in refusals["queue_full"].words
    assert "in about 7 s" in refusals["queue_full"].words
    assert "does not answer" in refusals["gateway_away"].words


def test_a_token_that_worked_before_was_withdrawn_whatever_the_phase_says() -> None:
    withdrawn = wording.refused(UNKNOWN, "normal", own_token=False, worked=True)
    assert withdrawn.kind == "revoked"
    assert "accepted before" in withdrawn.words


def test_someones_own_token_is_called_theirs() -> None:
    assert "your token" in wording.refused(UNKNOWN, "exposed", own_token=True).words
    assert "your token" in wording.refused(UNKNOWN, "revoked", own_token=True).words
    assert "your token" in wording.lost(UNKNOWN, "exposed", own_token=True).words


def test_a_students_refusal_names_the_seat_and_says_how_to_come_back() -> None:
    said = {phase: wording.refused(UNKNOWN, phase, own_token=True, student="Ada") for phase in ("exposed", "revoked")}
    assert {refusal.kind for refusal in said.values()} == {"seat_refused"}
    assert "no longer accepts" in said["exposed"].words
    assert "access has been cut off" in said["revoked"].words
    stopped = wording.lost(UNKNOWN, "exposed", own_token=True, student="Ada")
    assert stopped.kind == "access_revoked"
    for refusal in (*said.values(), stopped):
        assert "Ada" in refusal.words
        assert "join again with the class code" in refusal.words


def test_every_way_not_to_join_has_its_own_words() -> None:
    codes = ("invalid_join_code", "class_ended", "seat_taken", "seat_not_found", "class_full", "seat_revoked")
    refusals = [wording.not_joined(answer(409, code, message="from the gateway")) for code in codes]
    refusals += [
        wording.not_joined(answer(429, "too_many_guesses", retry_after=2)),
        wording.not_joined(answer(None, AWAY)),
        wording.NO_CODE,
    ]
    assert len({refusal.words for refusal in refusals}) == 9
    for refusal in refusals:
        assert refusal.words.startswith("Not joined. ")
        assert "from the gateway" not in refusal.words
    assert "in about 2 s" in refusals[6].words
    other = wording.not_joined(answer(422, "invalid_value", message="from the gateway"))
    assert other.words == "Not joined. The gateway says: from the gateway"


def test_a_student_is_known_by_the_token_of_the_seat_alone() -> None:
    assert student_of("ldk_0123456789abcdef", "abcdefStudent 07") == "Student 07"
    assert student_of("ldk_0123456789abcdee", "abcdefStudent 07") is None
    assert student_of("ldk_0123456789abcdef", "") is None


def test_a_job_stopped_by_revocation_says_so_however_the_page_learns_of_it() -> None:
    said = "Stopped: access was revoked while your clip was rendering."
    failed = replace(VIDEO, status="failed", error_code="access_revoked", error_message="x")
    assert wording.failed(failed) == wording.Refusal("access_revoked", said)
    assert wording.lost(UNKNOWN, "revoked", own_token=False) == wording.Refusal("access_revoked", said)


@pytest.mark.parametrize(
    ("code", "part"),
    [("cancelled", "Cancelled"), ("rejected", "No cats."), ("worker_lost", "went away"), ("render_failed", "No cats.")],
)
def test_every_way_to_fail_has_words(code: str, part: str) -> None:
    assert part in wording.failed(replace(VIDEO, status="failed", error_code=code, error_message="No cats.")).words


@pytest.mark.parametrize(("status", "part"), [(400, "Too long."), (403, "may look"), (503, "in trouble")])
def test_other_refusals_repeat_what_the_gateway_says(status: int, part: str) -> None:
    assert part in wording.refused(answer(status, "any", "Too long."), "exposed", own_token=False).words


def test_the_banner_names_phase_line_and_wait_before_anything_is_pressed() -> None:
    said = wording.banner(OPEN, access=True)
    assert (said.phase, said.headline, said.queue) == (
        "exposed",
        "Open to everyone",
        "3 waiting, 2 running, about 12 s",
    )


def test_the_banner_says_that_the_gateway_errs_on_purpose() -> None:
    assert wording.banner(OPEN, access=True).errs == ""
    late = replace(OPEN, consistency="r1 strict, r2 bounded 5 s", defects=("link-outlives@r2",))
    said = wording.banner(late, access=True).errs
    assert said == (
        "Errs on purpose: revocations arrive late (r1 strict, r2 bounded 5 s); seeded defects: link-outlives@r2"
    )


def test_the_banner_tells_every_phase_apart_in_words() -> None:
    phases = [replace(OPEN, phase=phase) for phase in ("normal", "exposed", "revoked")]
    said = [wording.banner(status, access=True) for status in (*phases, None)]
    assert len({banner.headline for banner in said}) == len({banner.detail for banner in said}) == 4
    assert "cut off" in said[2].detail
    assert (said[3].phase, said[3].queue) == ("away", "")


def test_a_page_without_tokens_says_that_no_access_was_given() -> None:
    assert wording.banner(OPEN, access=False).detail == "No access has been given to this page yet."
    # The news of a revocation matters more than the missing token.
    assert "cut off" in wording.banner(replace(OPEN, phase="revoked"), access=False).detail


def test_a_room_without_workers_promises_no_wait() -> None:
    assert wording.banner(replace(OPEN, workers=0), access=True).queue == "3 waiting, no worker is running"


@pytest.mark.parametrize(
    ("time", "running", "said"),
    [
        ("2024-11-26T09:12:03-05:00", True, "Replay clock 09:12 ET ×140"),
        ("2024-11-26T09:12:03-05:00", False, "Replay clock 09:12 ET paused"),
        ("2024-11-26T14:12:03+00:00", True, "Replay clock 14:12 +0000 ×140"),
        ("soon", True, ""),
        (None, True, ""),
    ],
)
def test_the_replay_clock_names_its_zone_and_pace(time: str | None, running: bool, said: str) -> None:
    status = replace(OPEN, replay_time=time, replay_speed=140.0, replay_running=running)
    assert wording.banner(status, access=True).clock == said


def test_status_sentences() -> None:
    assert wording.waiting(6, 8000) == "6 ahead of you, about 8 s"
    assert wording.waiting(0, 900) == "You are next, about 1 s"
    assert wording.waiting(None, None) == "In the waiting line"
    assert wording.rendering((12, 30), 40, None) == "Refining: step 12 of 30"
    assert wording.rendering(None, 40, 2000) == "Refining: 40 % done, about 2 s to go"
    assert wording.rendering(None, 0, None) == "Refining: starting"
    assert wording.finished(1234, 3.14) == "Done, seed 1234, took 3.1 s"
    assert wording.about(150_000) == "about 2 min"


def test_a_students_name_is_shown_as_text() -> None:
    assert "You are &lt;b&gt;Ada&lt;/b&gt;" in joined("<b>Ada</b>")


def test_what_people_write_is_shown_as_text() -> None:
    order = Order("<script>alert('x')</script>\"", "standard", "854x480", 2, 7)
    shown = clip(Finished(VIDEO, "unused", 7, 1.0), order, 'http://h/media/v?exp=1&sig="><script>')
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;" in shown
    assert "<script>" not in api_call(order, "http://h")


def test_the_api_call_is_complete_except_for_the_token() -> None:
    order = Order("it's a dog", "turbo", "854x480", 2, 7, style="saltglass", negative_prompt="rain")
    shown = calls(order, "http://127.0.0.1:8000")
    assert list(shown) == ["curl", "Python", "JavaScript"]
    for text in shown.values():
        for part in (f"Bearer {MASKED}", "http://127.0.0.1:8000", "854x480", "turbo", "saltglass", "rain"):
            assert part in text


def test_the_bar_reads_the_same_for_eyes_and_ears() -> None:
    shown = status(Rendering((12, 30), 40, None), 40)
    assert 'role="progressbar"' in shown
    assert 'aria-valuenow="40"' in shown
    assert "width:40%" in shown
    assert 'data-over="false"' in status(Waiting(1, 1), 0)


def test_the_examples_start_with_the_clip_of_the_reports() -> None:
    prompts = example_prompts()
    assert prompts[0] == "a dog on a skateboard"
    assert len(prompts) >= 8
    assert len(set(prompts)) == len(prompts)
