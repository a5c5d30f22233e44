"""Figures, verdicts and reports of histories that were made by hand."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loadtest.figures import measure, spread
from loadtest.history import Exchange, History, Visit
from loadtest.order import Order
from loadtest.record import Record, Revocation
from loadtest.report import render_html, requests_csv, sessions_csv, summary_json, write_all
from loadtest.shape import load_shape
from loadtest.summary import summary_of
from loadtest.target import Acknowledged, Counts, Event
from loadtest.verdict import Verdict, judge

LEAKED, BYSTANDER = 0, 1
SECRET = "ldk_" + "s" * 36


def request(start: float, token: int = BYSTANDER, status: int = 200, **more: Any) -> Exchange:
    """One request; 10 ms, and the last attempt, unless told."""
    row: dict[str, Any] = {
        "process": 0, "session": 0, "person": token, "token": token, "surface": "poll", "attempt": 0, "start": start,
        "end": start + 0.01, "status": status, "code": "" if 200 <= status < 300 else "x", "last": True, "bytes": 100,
    }  # fmt: skip
    return Exchange(**{**row, **more})


def visit(due: float, **more: Any) -> Visit:
    """One session that went well, begun 1 ms after it was due."""
    row: dict[str, Any] = {
        "process": 0, "session": 0, "person": 0, "token": BYSTANDER, "due": due, "handed": due + 0.001,
        "started": due + 0.001, "ended": due + 1.001, "held": False, "outcome": "finished", "submitted": due + 0.1,
        "begun": due + 0.3, "done": due + 0.9, "code": "",
    }  # fmt: skip
    return Visit(**{**row, **more})


def record(exchanges: list[Exchange], visits: list[Visit] | None = None, **more: Any) -> Record:
    """A load test of ten seconds, revoked and acknowledged at 5 s."""
    order = Order(
        target="http://127.0.0.1:9", admin_token="adm-secret", shape=load_shape("revoke-at-peak"), users=10, seconds=10,
        drain_seconds=5, seed=1, out=Path("out"),
    )  # fmt: skip
    visits = [visit(1.0)] if visits is None else visits
    revocation = Revocation(
        called=4.9,
        acknowledged=5.0,
        answer=Acknowledged(id="rev_1", tokens=1, jobs=Counts(queued=0, running=0)),
        told={0: 5.0},
    )
    made = Record(
        order=order,
        run="r",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        dues=[each.due for each in visits],
        accessors=["tok_leaked", "tok_other"],
        leaked=[True, False],
        history=History(exchanges, visits),
        ended=10.0,
        revocation=revocation,
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


GOOD = [request(1.0, LEAKED), request(2.0), request(6.0, LEAKED, 401), request(7.0)]


def verdict(made: Record) -> Verdict:
    return judge(made, measure(made), made.order.shape.thresholds)


def test_percentiles_are_values_that_were_seen() -> None:
    found = spread(float(n) for n in range(100, 0, -1))
    assert (found.count, found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms) == (100, 50, 95, 99, 100)
    assert spread([3.0]).p99_ms == 3.0
    assert spread([]).p50_ms is None


def test_a_revocation_that_holds_is_met() -> None:
    found = verdict(record(GOOD))
    assert (found.verdict, found.exit_code) == ("met", 0), found.reasons


def test_what_began_before_the_acknowledgement_is_not_late() -> None:
    figures = measure(record([*GOOD, request(4.999, LEAKED, end=5.4)]))
    assert figures.revocation is not None
    assert figures.revocation.late_accepts == 0
    assert figures.revocation.last_accepted_start_seconds == -0.001


def test_what_began_afterwards_and_was_accepted_is_late_however_its_body_ended() -> None:
    made = record(
        [*GOOD, request(5.25, LEAKED), request(6.5, LEAKED, 200, surface="download", code="connection_reset")]
    )
    figures = measure(made)
    assert figures.revocation is not None
    assert [each.seconds_after for each in figures.revocation.offences] == [0.25, 1.5]
    assert figures.revocation.last_accepted_start_seconds == 1.5
    found = verdict(made)
    assert (found.verdict, found.exit_code) == ("not met", 1)
    assert found.reasons[0] == "late accepts: 2 requests, allowed 0 requests"


def test_a_process_elsewhere_is_judged_from_when_it_was_told() -> None:
    made = record([*GOOD, request(5.05, LEAKED, process=1), request(5.2, LEAKED, process=1)])
    assert made.revocation is not None
    made.revocation.told[1] = 5.1
    figures = measure(made)
    assert figures.revocation is not None
    assert [each.seconds_after for each in figures.revocation.offences] == [0.1]


def test_a_refused_bystander_is_collateral_and_an_error() -> None:
    made = record([*GOOD, request(8.0, BYSTANDER, 401)])
    figures = measure(made)
    assert figures.bystanders is not None
    assert (figures.bystanders.users_hit, figures.call_errors) == (1, 1)
    assert verdict(made).exit_code == 1


@pytest.mark.parametrize(
    ("exchange", "errors"),
    [
        (request(6.0, LEAKED, 401), 0),
        (request(3.0, LEAKED, 401), 1),
        (request(4.0, LEAKED, 200, surface="download", end=5.2, code="connection_reset"), 0),
        (request(2.0, LEAKED, 200, surface="download", code="connection_reset"), 1),
        (request(6.0, LEAKED, 503), 1),
        (request(6.0, BYSTANDER, 503, last=False), 0),
        (request(6.0, BYSTANDER, 429), 1),
        (request(6.0, BYSTANDER, 0), 1),
    ],
)
def test_what_the_revocation_explains_is_no_error(exchange: Exchange, errors: int) -> None:
    assert measure(record([*GOOD, exchange])).call_errors == errors


def test_first_refusals_are_counted_for_each_user() -> None:
    more = [
        request(5.5, LEAKED, 401, person=7),
        request(5.1, LEAKED, 401, person=7),
        request(9.0, LEAKED, 401, person=8),
    ]
    ended = measure(record([*GOOD, *more])).revocation
    assert ended is not None
    assert (ended.leaked_users_seen_after, ended.leaked_users_refused) == (3, 3)
    assert (ended.first_refusal.p50_ms, ended.first_refusal.max_ms) == (1010.0, 4010.0)


def test_a_slow_poll_is_not_met() -> None:
    found = verdict(record([*GOOD, request(3.0, end=3.5)]))
    assert (found.exit_code, found.reasons) == (1, ["poll p99: 500.0 ms, allowed 100 ms"])


def test_a_load_test_that_was_late_by_itself_measured_itself() -> None:
    late = [visit(1.0, handed=1.8, started=1.8)]
    found = verdict(record([*GOOD, request(3.0, end=3.5)], late))
    assert found.exit_code == 4
    assert "it measured itself, not the gateway" in found.reasons[0]
    certain = verdict(record([*GOOD, request(5.25, LEAKED)], late))
    assert certain.exit_code == 1, "being slow accepts no revoked token"


def test_being_held_back_is_the_targets_doing() -> None:
    held = [visit(1.0, held=True, handed=1.001, started=3.0)]
    made = record(GOOD, held)
    late = measure(made).late
    assert (late.held_back, late.own.max_ms, late.started_late.max_ms) == (1, 1.0, 2000.0)
    assert verdict(made).reasons[0].startswith("held back: 100.0% of 1 arrivals")


def test_nothing_measured_away_and_broken() -> None:
    assert verdict(record([])).verdict == "nothing measured"
    assert verdict(record([request(1.0, status=0)])).exit_code == 3
    away = verdict(record(GOOD, away=True, status="away", why="gone"))
    assert (away.verdict, away.exit_code, away.reasons) == ("target away", 3, ["gone"])
    assert verdict(record(GOOD, status="broken", why="a worker was lost")).exit_code == 4


def test_a_revocation_that_was_not_acknowledged_is_not_met_unless_nobody_came_to_it() -> None:
    never = record(GOOD, revocation=Revocation(called=5.0, error="HTTP 503"))
    assert verdict(never).reasons[0] == "revocation: HTTP 503, allowed acknowledged"
    assert verdict(record(GOOD[:2], revocation=None, status="stopped", why="stopped after 2 s")).exit_code == 0
    assert verdict(record(GOOD[:2])).reasons[0].startswith("tried afterwards")


def test_the_targets_list_tells_wait_and_run() -> None:
    kinds = [("job.queued", 10.0), ("job.started", 10.2), ("job.completed", 10.7)]
    events = [Event(seq=n, at=at, kind=kind, job="video_1") for n, (kind, at) in enumerate(kinds)]
    figures = measure(record(GOOD, events=events))
    assert figures.target_wait is not None
    assert figures.target_run is not None
    assert (round(figures.target_wait.max_ms or 0), round(figures.target_run.max_ms or 0)) == (200, 500)


def test_reports_tell_everything_and_no_secret(tmp_path: Path) -> None:
    made = record([*GOOD, request(5.25, LEAKED, code="<script>")])
    outcome = write_all(made, tmp_path)
    html = (tmp_path / "report.html").read_text()
    texts = [path.read_text() for path in outcome.paths] + [summary_of(made, outcome)]
    assert not any("adm-secret" in text for text in texts)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "http" not in html.replace("http://127.0.0.1:9", "")
    assert html == render_html(made, outcome.figures, outcome.verdict)
    assert '"late_accepts": 1' in summary_json(made, outcome.figures, outcome.verdict)
    rows = list(csv.DictReader(io.StringIO(requests_csv(made))))
    assert [row["after_acknowledgement_s"] for row in rows][-1] == "0.250000"
    assert next(csv.DictReader(io.StringIO(sessions_csv(made))))["wait_ms"] == "200.000"
    assert re.search(r"^late accepts +1 of 2 requests$", summary_of(made, outcome), re.MULTILINE)
