"""Hand-made journals of plots without a leak: tokens that are held and given back, and an API that ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drills.alarms import judge_notices
from drills.deeds import RestoreCall
from drills.facts import load_facts
from drills.history import Actor, Exchange, outcome_of
from drills.journal import HeldToken, Journal, Played, load_journal
from drills.notices import NoticeCall
from drills.scenario import load_scenario
from drills.sinks import Told
from drills.sunset import ClientSeen, HeaderSeen, Span, SunsetSeen, judge_sunset

HERE = Path(__file__).parent / "drills"
HELD = ("a", "b", "c")


def exchange(n: int, actor: Actor, who: str, accessor: str | None, at: float, status: int) -> Exchange:
    surface = "cancel" if actor == "holder" else "list"
    return Exchange(
        n=n, actor=actor, who=who, surface=surface, accessor=accessor, method="POST", path="/v1/videos", start=at,
        end=at + 0.01, status=status, outcome=outcome_of(status, None),
    )  # fmt: skip


def bare(scenario: str, **update: Any) -> Journal:
    """The golden journal's frame around another scenario."""
    plays = load_scenario(scenario)
    empty = {
        "scenario": plays, "facts": plays.book(load_facts()), "speed": 60.0,
        "msel": [Played(line=line.id, minute=plays.minute(line), fired=None) for line in plays.lines()],
        "revoke": None, "preview": None, "jobs": None, "checks": [], "actions": [], "samples": [], "replay_zero": 1.0,
        "defects": [],
    }  # fmt: skip
    return load_journal(HERE / "golden" / "journal.json").model_copy(update={**empty, **update})


def held_and_back(**update: Any) -> Journal:
    """Three tokens are reported at second 2 and given back from second 4 on, two at a time over 4 s; c never comes."""
    uses = [exchange(10 + n, "holder", f"{one}-holder", one, 1.0 + n / 10, 200) for n, one in enumerate(HELD)]
    uses += [exchange(20 + n, "holder", f"{one}-holder", one, 2.5 + n / 10, 401) for n, one in enumerate(HELD)]
    uses += [exchange(30, "holder", "b-holder", "b", 4.2, 200), exchange(31, "holder", "a-holder", "a", 4.3, 200)]
    uses += [exchange(32, "holder", "c-holder", "c", 8.0, 401), exchange(33, "holder", "a-holder", "a", 8.1, 200)]
    # What a held token may still do is no sign of its coming back.
    uses += [exchange(34, "bystander", "c-holder", "c", 4.1, 200)]
    sent = [
        exchange(1, "control", "reporter", None, 2.0, 200), exchange(2, "control", "restore", None, 4.0, 202),
        exchange(3, "control", "reporter", None, 7.0, 200),
    ]  # fmt: skip
    call = NoticeCall(
        line="m1", about="alpha", start=2.0, end=2.1, outcome="taken", status=200, named=3, accessors=[*HELD],
        true_positives=3, request=1,
    )  # fmt: skip
    again = call.model_copy(update={"line": "m3", "start": 7.0, "end": 7.1, "again": True, "request": 3})
    back = RestoreCall(
        line="m2", start=4.0, end=4.1, taken=True, status=202, cohort="alpha", accessors=[*HELD], over_seconds=4.0,
        batch=2,
    )  # fmt: skip
    told = [
        Told(sink=1, at=2.2, id="set_1", kinds=["credential-compromise"], accessor="a", acknowledged=2.3),
        Told(sink=1, at=2.4, id="set_2", kinds=["credential-change"], accessor="b"),
        Told(sink=1, at=2.9, id="set_2", kinds=["credential-change"], accessor="b", acknowledged=2.95),
        Told(sink=2, at=2.6, id="set_3", kinds=["credential-compromise"], accessor="x"),
    ]
    made: dict[str, Any] = {
        "exchanges": [*uses, *sent], "notices": [call, again], "restores": [back], "told": told, "ended": 10.0,
        "tokens": [
            HeldToken(accessor=one, principal=f"{one}-holder", cohort="alpha", leaked=False) for one in HELD
        ],
        "verdict": judge_notices([*uses, *sent], [call, again], [back], told, None),
    }  # fmt: skip
    return bare(str(HERE / "notices.yaml"), **{**made, **update})


def ended(**update: Any) -> Journal:
    """Announced at second 4, a brown-out from 8 to 10, the end at 14. One client reads headers, one heeds a brown-out,
    one nothing."""
    times: dict[str, list[float]] = {
        "reader": [1, 5],
        "watchful": [2, 6, 9],
        "asleep": [1.5, 5.5, 8.8, 9.2, 12, 15, 16],
    }
    calls, headed = list[Exchange](), list[int]()
    for who, starts in times.items():
        for at in starts:
            status = 410 if at >= 14 else 503 if 8 <= at < 10 else 200
            calls.append(exchange(len(calls) + 1, "client", who, f"tok_{who}", at, status))
            headed += [len(calls)] if at >= 4 else []
    sent = [HeaderSeen(name="Deprecation", value="@1790209800", answers=1)]
    sent.append(HeaderSeen(name="Sunset", value="Thu, 24 Sep 2026 03:40:00 GMT", answers=1))
    reader = ClientSeen(accessor="tok_reader", principal="reader", heeds="headers", calls=2, headers=sent)
    clients = [
        reader.model_copy(update={"first_headers": 5.0, "stopped": 5.01}),
        ClientSeen(
            accessor="tok_watchful", principal="watchful", heeds="brown_outs", calls=3, headers=sent, first_headers=6.0,
            first_refusal=9.0, stopped=9.01,
        ),
        ClientSeen(
            accessor="tok_asleep", principal="asleep", heeds="nothing", calls=7, headers=sent[:1], first_headers=5.5,
            first_refusal=8.8, after_end=2,
        ),
    ]  # fmt: skip
    seen = SunsetSeen(
        announced=4.0, ends=14.0, brown_outs=[Span(start=8, end=10, status=503)], headed=headed, clients=clients
    )
    made: dict[str, Any] = {
        "exchanges": calls, "sunset": seen, "tokens": [], "ended": 18.0, "verdict": judge_sunset(calls, seen),
    }  # fmt: skip
    return bare("september-2026-sunset", **{**made, **update})
