"""Injects in the control room, over HTTP and against a real gateway: fired once, held, skipped, or by the clock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from control_desk import Instructor, Serve, control_app, deeds, events
from frontend.by_clock import InjectClock
from frontend.client import Status
from frontend.connected import MOST, SECONDS, Connected
from frontend.incident import load_incident
from frontend.injects import Inject, InjectDeeds, load_injects
from frontend.sessions import Session
from frontend.story import Story
from frontend.watch import Reading
from live import Live, eventually

PLAN = load_injects()
START = "2024-11-26T{}:00-05:00"


def clock(live: Live, time_of_day: str, *, speed: float = 1.0, running: bool = True) -> None:
    body = {"time": START.format(time_of_day), "speed": speed, "running": running}
    live.control("PUT", "/control/clock", json=body)


def plan(instructor: Instructor, id: str, state: str) -> dict[str, Any]:
    """The inject once it stands so."""

    def look() -> list[dict[str, Any]]:
        return [one for one in listed(instructor) if (one["id"], one["state"]) == (id, state)]

    return eventually(look)[0]


def listed(instructor: Instructor) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = instructor.state("/control/injects")["injects"]
    return found


def fired(live: Live) -> list[str]:
    return [event["data"]["inject"] for event in events(live, "inject.fired")]


def since_reset(live: Live, kind: str) -> list[dict[str, Any]]:
    last = max(event["seq"] for event in events(live, "reset"))
    return [event for event in events(live, kind) if event["seq"] > last]


def test_the_plan_says_when_each_is_due_and_fits_on_a_line() -> None:
    assert [one.id for one in PLAN] == [f"m{number}" for number in range(1, 10)]
    assert [one.due for one in PLAN] == sorted(one.due for one in PLAN)
    assert PLAN[0].when == "about 08:30 (derived)"
    assert PLAN[2].when == "about 09:40 (invented)"
    assert max(len(one.text) for one in PLAN) <= 300


def test_what_is_due_is_marked_and_what_is_fired_is_told_to_all(
    log_in: Callable[[str], Instructor], clean: Live
) -> None:
    zoe, adam = log_in("Zoë"), log_in("Adam")
    assert {(one["state"], one["due"]) for one in listed(zoe)} == {("waiting", False)}
    assert zoe.state()["due"] == ""
    clock(clean, "09:00", running=False)
    (both,) = eventually(lambda: [one for one in [zoe.state("/control/injects")] if one["due"] == 2])
    assert [one["id"] for one in both["injects"] if one["due"]] == ["m1", "m2"]
    assert [one["words"] for one in both["injects"][:3]] == ["due now", "due now", "waiting"]
    assert adam.state()["due"] == "2 injects due"
    assert "due" not in zoe.state("/control/projector/state")

    assert zoe.done("inject", id="m1", do="fire")["words"] == "m1: Its text is on every page."
    one = plan(adam, "m1", "fired")
    assert (one["due"], one["words"].startswith("fired at 09:00 replay time, ")) == (False, True)
    assert one["words"].endswith("room time, admin (Zoë)")
    assert clean.control("GET", "/status")["broadcast"] == PLAN[0].text
    assert adam.state()["due"] == "1 inject due"
    marks = adam.state()["timeline"]["marks"]
    assert [mark["label"] for mark in marks if mark["kind"] in ("inject", "broadcast")] == ["Inject m1"]

    refused = adam.do("inject", id="m1", do="fire")
    assert (refused.status_code, "was fired at" in refused.json()["words"]) == (409, True)
    adam.done("inject", id="m2", do="hand")
    assert plan(zoe, "m2", "fired")["words"].startswith("told by hand at 09:00 replay time")
    assert clean.control("GET", "/status")["broadcast"] == PLAN[0].text


def test_two_instructors_who_fire_at_once_fire_once(log_in: Callable[[str], Instructor], clean: Live) -> None:
    people = [log_in(f"I{number}") for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: one.do("inject", id="m4", do="fire").status_code, people))
    assert sorted(answers) == [200, 409]
    assert len(since_reset(clean, "inject.fired")) == len(since_reset(clean, "broadcast.set")) == 1


def test_the_clock_fires_what_waits_at_its_time_and_leaves_what_is_held(zoe: Instructor, clean: Live) -> None:
    clock(clean, "08:29", running=False)
    zoe.done("inject", id="m2", do="hold")
    assert zoe.done("inject-clock", on=True)["words"] == "Injects are fired by the clock now."
    assert eventually(lambda: zoe.state("/control/injects")["by_clock"]) is True
    # Nobody looks from here on; the page's server goes on by itself.
    clock(clean, "08:29", speed=3000)
    eventually(lambda: [event["data"]["inject"] for event in since_reset(clean, "inject.fired")][:2] == ["m1", "m3"])
    assert {event["data"]["by_clock"] for event in since_reset(clean, "inject.fired")} == {True}
    clean.control("PUT", "/control/clock", json={"running": False})
    assert plan(zoe, "m3", "fired")["words"].startswith("fired by the clock at ")
    assert [one["words"] for one in listed(zoe)][1].startswith("held at 08:29 replay time")


def test_whoever_logs_in_after_the_page_was_started_anew_finds_the_switch_and_the_firing_goes_on(
    zoe: Instructor, serve: Serve, clean: Live
) -> None:
    clock(clean, "08:40", running=False)
    zoe.done("inject-clock", on=True)
    assert zoe.do("logout").status_code == 200
    clean.control("PUT", "/control/clock", json={"running": True})
    adam = Instructor(serve(control_app(clean.url)))
    adam.log_in(clean.supervisor.admin_token, "Adam")
    assert adam.state("/control/injects")["by_clock"] is True
    eventually(lambda: [event["actor"] for event in since_reset(clean, "inject.fired")] == ["admin (Adam)"])


@dataclass
class Room:
    """A room at which the clock looks, and what it then does. The last look ends the login."""

    reading: Reading
    looks: int = 0
    fired: list[str] = field(default_factory=list)

    async def look(self, _: Session) -> Reading:
        self.looks += 1
        return self.reading

    async def fire_by_clock(self, _: Session, inject: Inject) -> None:
        self.fired.append(inject.id)

    def logged_in(self, _: Session) -> bool:
        return self.looks < 5


def reading_at(time_of_day: str, *, running: bool = True, by_clock: bool = True, away: bool = False) -> Reading:
    body = {"phase": "normal", "replay_clock": {"time": START.format(time_of_day), "speed": 1, "running": running}}
    story = Story(by_clock=by_clock)
    return Reading(body, Status.of(body), story, None, {}, read_at=0.0, away=away, unread=0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reading", "looks", "fired"),
    [
        (reading_at("08:31"), 5, ["m1"] * 5),  # the gateway's answer would have it fired after the first
        (reading_at("08:29"), 5, []),
        (reading_at("12:30", running=False), 5, []),
        (reading_at("12:30", away=True), 5, []),
        (reading_at("12:30", by_clock=False), 0, []),
    ],
)
async def test_the_clock_fires_one_at_a_time_and_nothing_while_it_is_paused_or_off(
    reading: Reading, looks: int, fired: list[str]
) -> None:
    room = Room(reading)
    deeds = cast(InjectDeeds, room)
    clock = InjectClock(deeds, PLAN, load_incident(), room.look, room.logged_in, every=0)
    session = Session("Zoë", 1e9, "lda_x")
    clock.mind(session, reading)
    clock.mind(session, reading)
    await clock.over()
    assert (room.looks, room.fired) == (looks, fired)


def test_where_they_stand_outlives_the_page_and_goes_with_a_reset(
    zoe: Instructor, log_in: Callable[[str], Instructor], clean: Live
) -> None:
    zoe.done("inject", id="m6", do="skip")
    zoe.done("inject", id="m7", do="hold")
    assert plan(zoe, "m7", "held")["words"].endswith("room time, admin (Zoë)")
    zoe.done("inject", id="m7", do="wait")
    plan(zoe, "m7", "waiting")
    assert [line["words"] for line in zoe.state()["log"][:3]] == [
        "Inject m7 waits again",
        "Inject m7 is held",
        "Inject m6 is skipped",
    ]
    zoe.done("reset", confirm="reset")
    eventually(lambda: {one["state"] for one in listed(zoe)} == {"waiting"})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": "m1"},
        {"id": "m10", "do": "fire"},
        {"id": "../state", "do": "fire"},
        {"id": 7, "do": "fire"},
        {"id": "m1", "do": "broadcast"},
        {"id": "m1", "do": ["fire"]},
    ],
)
def test_what_is_no_move_is_refused_in_words(zoe: Instructor, clean: Live, fields: dict[str, Any]) -> None:
    before = deeds(clean)
    answer = zoe.do("inject", **fields)
    assert (400 <= answer.status_code < 500, answer.json()["ok"]) == (True, False)
    assert zoe.do("inject-clock", on="yes").status_code == 400
    assert deeds(clean) == before


def test_open_pages_are_counted_without_knowing_whose_they_are() -> None:
    now = [100.0]
    connected = Connected(monotonic=lambda: now[0])
    assert connected.words() == "0 pages connected"
    for _ in range(3):
        connected.asked("0123456789abcdef")
    assert connected.words() == "1 page connected"
    for number in ("", "x" * 16, "0123456789ABCDEF", "0" * 15, "0" * 17, "é" * 16):
        connected.asked(number)
    connected.asked("f" * 16)
    assert connected.count() == 2
    now[0] += SECONDS - 1
    connected.asked("f" * 16)
    now[0] += 2
    assert connected.count() == 1
    now[0] += SECONDS + 1
    assert connected.count() == 0
    for nth in range(MOST + 10):
        connected.asked(f"{nth:016x}")
    assert connected.words() == f"{MOST} or more pages connected"
