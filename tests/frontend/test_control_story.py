"""The event list as a story, a timeline and a checklist; and how often the gateway is asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from control_desk import Serve
from frontend.checklist import checklist
from frontend.client import Gateway, GatewayError
from frontend.incident import load_incident
from frontend.story import Story, go_on
from frontend.telling import told
from frontend.timeline import MOST_BARS, timeline
from frontend.watch import EVENTS_PAGE, MOST_PAGES, Watch

INCIDENT = load_incident()
BEGIN = INCIDENT.published


class Log:
    """An event list as the gateway would answer it."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def add(self, kind: str, *, at: float, replay: str | None = None, actor: str = "admin", **data: Any) -> None:
        stamped = f"2024-11-26T{replay}:00-05:00" if replay else None
        seq = len(self.lines) + 1
        line = {"seq": seq, "at": at, "replay_at": stamped, "kind": kind, "actor": actor, "data": data}
        self.lines.append({**line, "accessor": None, "job": None, "hash": ""})


def revocation(log: Log, *, at: float, replay: str | None = None, reason: str = "drill", **also: Any) -> None:
    jobs = {"queued": 2, "running": 1}
    outcomes, selector = {"revoked": 12}, {"principal": "tester-name"}
    more: dict[str, Any] = {"jobs": jobs, "outcomes": outcomes, "selector": selector, "reason": reason}
    log.add("revocation.applied", at=at, replay=replay, **{"id": "rev_1", **more, **also})


def drawn(story: Story, *, now: float, replay_now: float | None, public: bool = False) -> dict[str, Any]:
    found = timeline(story, INCIDENT, now=now, replay_now=replay_now, public=public)
    assert found is not None
    return found


def morning() -> Log:
    log = Log()
    log.add("clock.set", at=0, time="2024-11-26T08:30:00-05:00", speed=60.0, running=True)
    for minute in range(31, 60):
        log.add("job.queued", at=minute, replay=f"08:{minute}", actor="tester-name")
    log.add("job.completed", at=40, replay="08:59")
    revocation(log, at=60, replay="09:00")
    log.add("phase.changed", at=60, replay="09:00", to="revoked")
    log.add("request.refused", at=61, replay="09:01")
    return log


def test_a_morning_is_told_with_its_marks_and_the_ranges_of_its_sources() -> None:
    story = go_on(Story(), morning().lines)
    chart = drawn(story, now=70, replay_now=BEGIN + 45 * 60)
    assert chart["from"] == BEGIN
    assert chart["to"] == INCIDENT.ended_to + 900
    assert [mark["kind"] for mark in chart["marks"]] == ["published", "revoked", "ended"]
    ended = chart["marks"][-1]
    assert ended["until"] - ended["at"] == 30 * 60
    assert ended["label"] == "reported end, about 11:30 to 12:00"
    assert chart["marks"][0]["label"] == "page public, about 08:30"
    assert "three hours (180 min) are claimed" in chart["note"]
    assert "about noon (210 min) is reported, S0" in chart["note"]
    assert chart["summary"] == (
        "Up to 09:15 ET: 29 orders accepted, 1 finished, 1 refused. "
        "Access was revoked once at 09:00 ET; 1 refused since."
    )
    assert chart["now_label"] == "now 09:15"
    assert sum(bar["accepted"] for bar in chart["bars"]) == 29
    # A series that came late is in every bar all the same.
    assert all(set(bar) == {"at", "accepted", "finished", "refused"} for bar in chart["bars"])
    assert [row[1:] for row in chart["rows"]] == [[bar[name] for name in chart["series"]] for bar in chart["bars"]]
    assert chart["rows"][0][0] == "08:30 to 08:35"
    assert chart["ticks"][0] == {"at": BEGIN + 1800, "label": "09:00"}


def test_a_projector_gets_neither_names_nor_reasons() -> None:
    story = go_on(Story(), morning().lines)
    public = str(drawn(story, now=70, replay_now=BEGIN + 2700, public=True))
    private = str(drawn(story, now=70, replay_now=BEGIN + 2700))
    assert "Revoked 12 tokens; stopped 2 waiting, 1 running" in public
    assert [word in private for word in ("tester-name", "drill")] == [True, True]
    assert [word in public for word in ("tester-name", "drill")] == [False, False]


def test_without_a_replay_clock_the_room_has_its_own_time_and_no_history() -> None:
    log = Log()
    for second in range(0, 600, 5):
        log.add("job.queued", at=1000.0 + second)
    chart = drawn(go_on(Story(), log.lines), now=1600, replay_now=None)
    assert (chart["clock"], chart["marks"], chart["note"]) == ("room time", [], "")
    assert len(chart["bars"]) <= MOST_BARS
    assert sum(bar["accepted"] for bar in chart["bars"]) == 120
    assert timeline(Story(), INCIDENT, now=5, replay_now=None, public=False) is None


@pytest.mark.parametrize("span", [1, 59, 3600, 86_400, 40 * 86_400])
def test_however_long_it_lasts_the_chart_stays_readable(span: float) -> None:
    log = Log()
    for step in range(500):
        log.add("job.queued", at=1e9 + step * span / 500)
    chart = drawn(go_on(Story(), log.lines), now=1e9 + span, replay_now=None)
    assert 1 <= len(chart["bars"]) <= MOST_BARS + 1
    assert len(chart["ticks"]) <= 8
    assert sum(bar["accepted"] for bar in chart["bars"]) == 500


def test_a_replay_of_another_day_shows_no_times_of_the_incident() -> None:
    story = go_on(Story(), morning().lines)
    chart = drawn(story, now=70, replay_now=BEGIN + 3 * 86_400)
    assert {mark["kind"] for mark in chart["marks"]} == {"revoked"}
    assert chart["note"] == ""


def test_a_clock_that_is_set_back_begins_its_morning_anew_in_figures_and_timeline_alike() -> None:
    log = morning()
    log.add("clock.set", at=80, replay="09:05", time="2024-11-26T08:30:00-05:00", speed=1.0, running=True)
    log.add("job.queued", at=81, replay="08:30")
    story = go_on(Story(), log.lines)
    chart = drawn(story, now=82, replay_now=BEGIN + 60)
    assert [mark["kind"] for mark in chart["marks"]] == ["published", "ended"]
    for name in chart["series"]:
        assert sum(bar[name] for bar in chart["bars"]) == story.totals[name] == (name == "accepted")
    assert chart["summary"].startswith(
        "Up to 08:31 ET: 1 order accepted, 0 finished, 0 refused. Counted since the replay clock was set back at "
    )
    assert chart["summary"].endswith("before that: 29 orders accepted, 1 finished, 1 refused, and access was revoked.")
    # The revocation stands, and with it what is known of its effect.
    assert (story.revocation, story.before["accepted"], story.refused_since) == ("rev_1", 29, 1)
    # Without a clock it is the room's time, and the same morning.
    chart = drawn(story, now=90, replay_now=None)
    assert (sum(bar["accepted"] for bar in chart["bars"]), chart["from"]) == (1, 80)
    # A pause is no step back.
    log.add("clock.set", at=83, replay="08:31", time="2024-11-26T08:31:00-05:00", speed=1.0, running=False)
    assert go_on(story, log.lines[-1:]).replay


def test_a_revocation_of_this_morning_is_told_beside_one_of_the_morning_before() -> None:
    log = morning()
    log.add("clock.set", at=80, replay="09:05", time="2024-11-26T08:30:00-05:00", speed=1.0, running=True)
    revocation(log, at=90, replay="08:40", id="rev_2")
    story = go_on(Story(), log.lines)
    chart = drawn(story, now=95, replay_now=BEGIN + 11 * 60)
    assert "Access was revoked once at 08:40 ET; 0 refused since. Counted since" in chart["summary"]
    assert [mark["kind"] for mark in chart["marks"]] == ["published", "revoked", "ended"]


def test_housekeeping_is_in_the_log_and_no_revocation_of_the_exercise() -> None:
    log = morning()
    revocation(log, at=70, replay="09:04", id="rev_2", housekeeping=True, outcomes={"revoked": 1})
    log.add("class.seat_reset", at=70, replay="09:04", seat=7)
    log.add("request.refused", at=71, replay="09:05")
    story = go_on(Story(), log.lines)
    assert (story.revocation, story.refused_since, len(story.cuts)) == ("rev_1", 2, 1)
    chart = drawn(story, now=75, replay_now=BEGIN + 40 * 60)
    assert [mark["kind"] for mark in chart["marks"]] == ["published", "revoked", "ended"]
    assert "Access was revoked once at 09:00 ET; 2 refused since." in chart["summary"]
    assert story.marks[-2].words.startswith("Housekeeping, no move of the exercise: 1 token ended")
    only = go_on(Story(), [log.lines[0], log.lines[-3]])
    assert (only.revocation, drawn(only, now=75, replay_now=BEGIN + 60)["summary"].endswith("not been revoked.")) == (
        None,
        True,
    )


def test_a_fired_inject_is_drawn_once_and_one_that_is_held_nowhere() -> None:
    log = morning()
    log.add("inject.held", at=62, replay="09:02", inject="m5")
    log.add("inject.fired", at=63, replay="09:03", inject="m3", broadcast=True, by_clock=True)
    log.add("broadcast.set", at=63, replay="09:03", text="The queue is long.", inject="m3")
    log.add("broadcast.set", at=64, replay="09:04", text="Five minutes.")
    story = go_on(Story(), log.lines)
    for public in (True, False):
        chart = drawn(story, now=75, replay_now=BEGIN + 40 * 60, public=public)
        labels = [mark["label"] for mark in chart["marks"] if mark["kind"] in ("inject", "broadcast")]
        assert labels == ["Inject m3", "broadcast"]
        assert "m5" not in str(chart["marks"])
    assert [mark.words for mark in story.marks][-4:] == [
        "Inject m5 is held",
        "Inject m3 fired by the clock",
        "Broadcast: The queue is long.",
        "Broadcast: Five minutes.",
    ]
    assert {id: move.state for id, move in story.injects.items()} == {"m5": "held", "m3": "fired"}


def test_a_reset_begins_another_story() -> None:
    log = morning()
    log.add("reset", at=90, tokens=12, jobs=1)
    log.add("job.queued", at=91)
    story = go_on(Story(), log.lines)
    assert (story.totals, story.revocation, story.began) == ({"accepted": 1}, None, len(log.lines) - 2)
    assert [mark.words for mark in story.marks] == ["Reset to a clean room; 12 tokens and 1 video went"]


@pytest.mark.parametrize("kind", ["job.queued", "job.progressed", "token.issued", "of.another.version"])
def test_what_is_only_counted_is_not_told(kind: str) -> None:
    assert told(kind, {}) is None


@pytest.mark.parametrize(
    "kind",
    [
        "phase.changed",
        "clock.set",
        "broadcast.set",
        "revocation.applied",
        "restoration.halted",
        "replica.told",
        "class.opened",
        "class.handed_out",
        "class.seat_reset",
        "class.ended",
        "inject.fired",
        "inject.held",
        "inject.skipped",
        "inject.waiting",
        "inject.by_clock",
        "reset",
    ],
)
def test_a_line_of_another_version_is_told_as_far_as_it_can_be(kind: str) -> None:
    found = told(kind, {})
    assert found is not None
    assert all(found)


def effect(**more: Any) -> dict[str, Any]:
    jobs = {"waiting": 0, "running": 0, "stored": 0, "withheld": 0}
    return {"jobs_stopped": {"queued": 0, "running": 0}, "jobs_spared": jobs, "time_to_dead": [], **more}


def seen(
    surface: str, *, late: int = 0, refused: int = 0, last: float | None = None, first: float | None = None
) -> Any:
    row = {"surface": surface, "replica": "r1", "late_accepts": late, "refusals": refused, "seconds": late and 2.5}
    return {**row, "last_accepted_at": last, "first_refusal_at": first}


@pytest.mark.parametrize(
    ("rows", "state", "words"),
    [
        ([], "not checked", "nobody has tried since"),
        ([seen("submit", last=1.0)], "not checked", "nobody has tried since"),
        ([seen("submit", refused=1, first=5.0)], "refused", "1 request refused"),
        ([seen("submit", refused=1, first=5.0), seen("remix", refused=2, first=6.0)], "refused", "3 requests refused"),
        (
            [seen("submit", late=3, last=9.0)],
            "still works",
            "3 requests accepted after the revocation at r1",
        ),
        ([seen("submit", late=3, last=9.0, refused=1, first=5.0)], "still works", "at r1, 1 refused"),
        ([seen("submit", late=3, last=4.0, refused=1, first=5.0)], "refused", "3 accepted before, up to 2.5 s after"),
        ([seen("submit", refused=1, first=5.0), seen("edit", late=1, last=9.0)], "still works", "1 refused"),
        ([seen("poll", refused=7, first=5.0)], "not checked", "nobody has tried since"),
    ],
)
def test_a_surface_is_told_by_what_was_met_there(rows: list[Any], state: str, words: str) -> None:
    line = next(one for one in checklist(effect(time_to_dead=rows)) if one["surface"] == "New order")
    assert line["state"] == state
    assert words in line["words"]


def test_parts_of_a_link_count_as_the_link_and_jobs_are_told_by_what_became_of_them() -> None:
    rows = [seen("signed link, range", refused=2, first=1.0)]
    spared = {"waiting": 3, "running": 0, "stored": 0, "withheld": 0}
    stopped = {"queued": 1, "running": 4}
    found = checklist(effect(time_to_dead=rows, jobs_spared=spared, jobs_stopped=stopped))
    lines = {line["surface"]: line for line in found}
    assert lines["Clip by signed link"]["state"] == "refused"
    assert lines["Clip by token"]["state"] == "not checked"
    assert (lines["Waiting jobs"]["state"], lines["Running jobs"]["state"]) == ("still works", "ended")


class Answering:
    """A server with the four addresses that a watch asks, and a count of what it was asked."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.asked: list[str] = []
        self.refusing = 0
        self.app = FastAPI()
        self.app.get("/control/state")(self.state)
        self.app.get("/control/events")(self.events)
        self.app.get("/control/revocations/{id}")(self.revocation)
        self.app.get("/control/class")(self.roster)

    async def state(self, request: Request) -> Response:
        self.asked.append("state")
        if self.refusing:
            return JSONResponse({"error": {"code": "x", "message": "no"}}, status_code=self.refusing)
        return JSONResponse({"phase": "normal", "last_event": len(self.log.lines), "server_time": 5.0})

    async def events(self, after: int, limit: int, kind: str = "") -> Response:
        self.asked.append(f"events {kind}".strip())
        found = [line for line in self.log.lines if line["seq"] > after and line["kind"].startswith(kind)]
        return JSONResponse({"data": found[:limit], "has_more": len(found) > limit})

    async def revocation(self, id: str) -> Response:
        self.asked.append("effect")
        return JSONResponse({"effect": {"of": id}})

    async def roster(self) -> Response:
        self.asked.append("class")
        return JSONResponse({"open": False})


class Now:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
async def opened() -> AsyncIterator[list[Gateway]]:
    gateways: list[Gateway] = []
    yield gateways
    for gateway in gateways:
        await gateway.aclose()


def watch_of(answering: Answering, serve: Serve, opened: list[Gateway], now: Now) -> Watch:
    opened.append(Gateway(serve(answering.app)))
    return Watch(opened[-1], "lda_x", monotonic=now)


@pytest.mark.anyio
async def test_however_many_watch_the_gateway_is_asked_twice_a_second(serve: Serve, opened: list[Gateway]) -> None:
    log = Log()
    revocation(log, at=1)
    answering, now = Answering(log), Now()
    watch = watch_of(answering, serve, opened, now)
    await watch.reading()
    answering.asked.clear()
    for _ in range(100):  # ten seconds, thirty pages that ask ten times a second
        now.at += 0.1
        await asyncio.gather(*(watch.reading() for _ in range(30)))
    assert answering.asked.count("state") <= 20
    assert answering.asked.count("effect") <= 14
    assert answering.asked.count("events") == answering.asked.count("class") == 0
    log.add("job.queued", at=2)
    now.at += 1
    reading = await watch.reading()
    assert reading is not None
    assert reading.story.totals["accepted"] == 1
    assert answering.asked.count("events") == answering.asked.count("class") == 1


@pytest.mark.anyio
async def test_a_long_list_is_read_in_pieces_from_its_last_reset_on(serve: Serve, opened: list[Gateway]) -> None:
    log = Log()
    for n in range(50):
        log.add("job.queued", at=n)
    log.add("reset", at=60)
    more = EVENTS_PAGE * MOST_PAGES + 10
    for n in range(more):
        log.add("job.queued", at=100 + n)
    answering, now = Answering(log), Now()
    watch = watch_of(answering, serve, opened, now)
    first = await watch.reading()
    assert first is not None
    assert first.unread == 11
    now.at += 1
    second = await watch.reading()
    assert second is not None
    assert (second.unread, second.story.totals["accepted"]) == (0, more)


@pytest.mark.anyio
async def test_a_list_that_is_shorter_than_before_is_another_one(serve: Serve, opened: list[Gateway]) -> None:
    log = morning()
    answering, now = Answering(log), Now()
    watch = watch_of(answering, serve, opened, now)
    await watch.reading()
    del log.lines[5:]
    now.at += 1
    reading = await watch.reading()
    assert reading is not None
    assert (reading.story.totals["accepted"], reading.story.revocation, reading.effect) == (4, None, None)


@pytest.mark.anyio
async def test_trouble_leaves_the_last_figures_and_a_refused_token_does_not(
    serve: Serve, opened: list[Gateway]
) -> None:
    answering, now = Answering(morning()), Now()
    watch = watch_of(answering, serve, opened, now)
    answering.refusing = 503
    assert await watch.reading() is None
    answering.refusing, now.at = 0, now.at + 1
    before = await watch.reading()
    answering.refusing, now.at = 503, now.at + 1
    away = await watch.reading()
    assert before is not None
    assert away is not None
    assert (before.away, away.away, away.read_at) == (False, True, before.read_at)
    answering.refusing, now.at = 401, now.at + 1
    with pytest.raises(GatewayError):
        await watch.reading()
