"""What the after-action page says of an exercise, and what it does not."""

from __future__ import annotations

from typing import Any

from control_desk import Instructor
from frontend.after_action import MOST_LINES, report
from frontend.client import Status
from frontend.incident import load_incident
from frontend.injects import load_injects
from frontend.story import MOST_MARKS, Story, go_on
from frontend.watch import Reading
from live import Live, eventually

INCIDENT, PLAN = load_incident(), load_injects()


class Log:
    """An event list in which a minute of the replay is a second of the room."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def add(self, kind: str, minute: int | None, *, actor: str = "admin (Zoë)", at: float = 0.0, **data: Any) -> None:
        replayed = None if minute is None else f"2024-11-26T{8 + minute // 60:02}:{minute % 60:02}:00-05:00"
        line = {"seq": len(self.lines) + 1, "at": at or float(minute or 0), "replay_at": replayed, "kind": kind}
        self.lines.append({**line, "actor": actor, "data": data})


def reading_of(log: Log, **more: Any) -> Reading:
    body = {"phase": "revoked"}
    given = {"effect": None, "roster": {}, "read_at": 0.0, "away": False, "unread": 0, **more}
    return Reading(state=body, status=Status.of(body), story=go_on(Story(), log.lines), **given)


def revoked(log: Log, minute: int, *, reason: str = "public page", **more: Any) -> None:
    jobs, outcomes = {"queued": 3, "running": 1}, {"revoked": 12}
    data = {
        "id": "rev_1",
        "selector": {"cohort": "alpha"},
        "reason": reason,
        "jobs": jobs,
        "outcomes": outcomes,
        **more,
    }
    log.add("revocation.applied", minute, **data)


def morning() -> Log:
    log = Log()
    log.add("clock.set", None, time="2024-11-26T08:30:00-05:00", speed=60.0, running=True)
    log.add("phase.changed", 35, to="exposed")
    log.add("inject.fired", 40, inject="m1", broadcast=True, by_clock=False)
    log.add("broadcast.set", 40, text=PLAN[0].text, inject="m1")
    log.add("inject.skipped", 41, inject="m2")
    for minute in range(42, 52):
        log.add("job.queued", minute, actor="tester")
    log.add("broadcast.set", 55, text="Five minutes.")
    revoked(log, 95)
    log.add("phase.changed", 95, to="revoked", revocation="rev_1")
    log.add("request.refused", 96, actor="tester")
    revoked(log, 97, id="rev_2", housekeeping=True)
    return log


def test_it_tells_when_for_how_long_by_whom_and_why() -> None:
    found = report(reading_of(morning()), PLAN, INCIDENT)
    (window,) = found["exposures"]
    assert [window[place] for place in (0, 2, 4, 5)] == [
        "08:35",
        "09:35",
        "1 min 0 s",
        "60 min 0 s; ended by a revocation",
    ]
    (row,) = found["revocations"]
    assert (row[0], row[2:]) == (
        "09:35",
        ["admin (Zoë)", "cohort alpha", "public page", "12", "3 waiting, 1 running"],
    )
    assert [(row[0], row[2], row[3]) for row in found["phases"]] == [
        ("08:35", "Open to everyone", "admin (Zoë)"),
        ("09:35", "Access revoked", "admin (Zoë)"),
    ]
    assert found["figures"][0].startswith("10 orders accepted, 0 finished, 1 refused, since the beginning")
    assert "1 request refused since the last revocation." in found["figures"]
    assert [row[3] for row in found["broadcasts"]] == ["Broadcast: Five minutes."]
    injects = {row[0]: row[4] for row in found["injects"]}
    assert injects["m1"].startswith("fired at 08:40 replay time")
    assert injects["m2"].startswith("skipped at 08:41 replay time")
    assert set(injects.values()) - {injects["m1"], injects["m2"]} == {"not fired"}
    assert [row[3].split()[0] for row in found["log"]][-2:] == ["Phase:", "Housekeeping,"]
    assert found["times"][2][1].startswith("page public, about 08:30 (derived")
    assert (found["left_out"], found["checklist"]) == ("", [])


def test_a_page_that_is_open_still_and_a_second_window_are_told_apart() -> None:
    log = morning()
    log.add("phase.changed", 100, to="normal")
    log.add("phase.changed", 110, to="exposed")
    log.add("phase.changed", 115, to="normal")
    log.add("phase.changed", 120, to="exposed")
    windows = report(reading_of(log), PLAN, INCIDENT)["exposures"]
    assert [(row[0], row[2], row[5]) for row in windows[1:]] == [
        ("09:50", "09:55", "5 min 0 s; ended without a revocation"),
        ("10:00", "still open", ""),
    ]


def test_a_clock_that_was_set_back_measures_no_window_and_counts_everything() -> None:
    log = morning()
    log.add("phase.changed", 98, to="exposed", at=98)
    log.add("clock.set", 99, time="2024-11-26T08:30:00-05:00", speed=60.0, running=True, at=99)
    log.add("job.queued", 31, at=130)
    log.add("phase.changed", 40, to="normal", at=140)
    found = report(reading_of(log), PLAN, INCIDENT)
    assert found["exposures"][-1][4:] == ["42 s", "ended without a revocation"]
    assert found["figures"][0].startswith("11 orders accepted")
    assert found["figures"][1] == (
        "Since the replay clock was set back for the last time: 1 order accepted, 0 finished, 0 refused."
    )


def test_no_token_is_printed_whoever_wrote_it_where() -> None:
    log = morning()
    revoked(log, 120, reason="found ldk_abcDEF123 and lda_zzz", id="rev_3")
    log.add("broadcast.set", 121, text="is ldk_abcDEF123 yours?")
    found = str(report(reading_of(log), PLAN, INCIDENT))
    assert "found (a token) and (a token)" in found
    assert "ldk_" not in found
    assert "lda_" not in found


def test_an_empty_room_and_a_long_list_have_a_page_too() -> None:
    empty = report(reading_of(Log()), PLAN, INCIDENT)
    assert [empty[name] for name in ("exposures", "phases", "revocations", "injects", "log")] == [[]] * 5
    log = Log()
    for number in range(MOST_MARKS + 50):
        log.add("broadcast.set", None, text=str(number), at=float(number + 1))
    found = report(reading_of(log, away=True, unread=3), PLAN, INCIDENT)
    assert len(found["log"]) == MOST_LINES
    assert found["left_out"] == f"{MOST_MARKS + 50 - MOST_LINES} lines before these are in the export alone."
    assert found["old"].startswith("The gateway is away; this is as of ")
    assert "3 lines of the event list are still to be read" in found["figures"][-1]


def test_a_seat_that_was_freed_does_not_take_the_place_of_the_revocation(zoe: Instructor, clean: Live) -> None:
    clean.issue("tester", "alpha")
    zoe.done("class-open", students=2)
    zoe.done("phase", phase="exposed")
    zoe.done("revoke", kind="cohort", which="alpha", reason="public page")
    eventually(lambda: zoe.state()["checklist"])
    before = zoe.state()["timeline"]["summary"]
    preview = zoe.done("class-seat-preview", seat=1)
    zoe.done("class-seat-reset", **{"seat": 1, "class": preview["class"]})
    eventually(lambda: zoe.state()["log"][0]["words"].startswith("Seat 1 freed"))
    ended = zoe.done("class-end-preview")["class"]
    zoe.done("class-end", **{"class": ended, "confirm": "end"})
    eventually(lambda: zoe.state()["log"][0]["words"].startswith("Class ended"))
    shown = zoe.state()
    assert shown["timeline"]["summary"].partition(": ")[2] == before.partition(": ")[2]
    assert shown["bystanders"].startswith("2 tokens outside the selection stayed good")
    found = zoe.state("/control/after-action/state")
    assert [row[3:6] for row in found["revocations"]] == [["cohort alpha", "public page", "1"]]
    assert len(found["checklist"]) == 11
