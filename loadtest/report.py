"""What a load test writes: summary.json, requests.csv, sessions.csv, report.html. Functions of the record alone.

Nothing of a token but its accessor is written.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from pydantic import BaseModel, ConfigDict

from loadtest.chart import draw
from loadtest.errors import LoadError
from loadtest.figures import Figures, Spread, measure
from loadtest.record import Record
from loadtest.shape import Thresholds, facts_of
from loadtest.verdict import Verdict, judge

MOST_OFFENCES = 200
REQUEST_COLUMNS = (
    "start_s", "latency_ms", "surface", "status", "code", "attempt", "last_attempt", "bytes", "session", "user",
    "token", "leaked", "process", "after_acknowledgement_s",
)  # fmt: skip
SESSION_COLUMNS = (
    "session", "user", "token", "leaked", "process", "due_s", "start_late_ms", "held_back", "ended_s", "outcome",
    "code", "wait_ms", "run_ms", "total_ms",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What was found, and where it lies."""

    figures: Figures
    verdict: Verdict
    paths: list[Path]


class Run(BaseModel):
    """What was asked for, without any secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    shape: str
    title: str
    target: str
    own_gateway: bool
    started_at: str
    status: str
    why: str
    users: int
    peak_sessions_per_second: float
    duration_seconds: float
    drain_seconds: float
    seed: int
    processes: int
    tokens_leaked: int
    tokens_bystanders: int
    left_on_target: str | None
    thresholds: Thresholds


class Summary(BaseModel):
    """summary.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Run
    verdict: Verdict
    figures: Figures


def write_all(record: Record, out: Path) -> Outcome:
    """Measures, judges, and writes the files into `out`. Raises LoadError where that cannot be written."""
    figures = measure(record)
    verdict = judge(record, figures, record.order.shape.thresholds)
    texts = {
        "summary.json": summary_json(record, figures, verdict),
        "requests.csv": requests_csv(record),
        "sessions.csv": sessions_csv(record),
        "report.html": render_html(record, figures, verdict),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            fresh = out / f".{name}.{os.getpid()}"
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(out / name)
    except OSError as error:
        raise LoadError(f"cannot write to {out}: {error.strerror}") from error
    return Outcome(figures, verdict, [out / name for name in texts])


def run_of(record: Record) -> Run:
    """The head of the summary."""
    order = record.order
    return Run(
        id=record.run,
        shape=order.shape.name,
        title=order.shape.title,
        target=order.target,
        own_gateway=order.own_gateway,
        started_at=record.started_at.isoformat(timespec="seconds"),
        status=record.status,
        why=record.why,
        users=order.users,
        peak_sessions_per_second=round(order.peak_rate, 3),
        duration_seconds=order.seconds,
        drain_seconds=order.drain_seconds,
        seed=order.seed,
        processes=order.processes,
        tokens_leaked=sum(record.leaked),
        tokens_bystanders=len(record.leaked) - sum(record.leaked),
        left_on_target=record.left,
        thresholds=order.shape.thresholds,
    )


def summary_json(record: Record, figures: Figures, verdict: Verdict) -> str:
    """Everything but the single requests."""
    return Summary(run=run_of(record), verdict=verdict, figures=figures).model_dump_json(indent=2) + "\n"


def requests_csv(record: Record) -> str:
    """One row a request, by its start. RFC 4180 with plain line ends."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(REQUEST_COLUMNS)
    for each in record.history.exchanges:
        after = record.revocation.seconds_after(each) if record.revocation else None
        writer.writerow(
            (
                f"{each.start:.6f}", f"{each.ms:.3f}", each.surface, each.status or "", each.code, each.attempt,
                _yes(each.last), each.bytes, each.session, each.person, record.accessors[each.token],
                _yes(record.leaked[each.token]), each.process, "" if after is None else f"{after:.6f}",
            )
        )  # fmt: skip
    return stream.getvalue()


def sessions_csv(record: Record) -> str:
    """One row a session."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(SESSION_COLUMNS)
    for each in record.history.visits:
        writer.writerow(
            (
                each.session, each.person, record.accessors[each.token], _yes(record.leaked[each.token]), each.process,
                f"{each.due:.6f}", f"{(each.started - each.due) * 1000:.3f}", _yes(each.held), f"{each.ended:.6f}",
                each.outcome, each.code, _between(each.submitted, each.begun), _between(each.begun, each.done),
                f"{(each.ended - each.started) * 1000:.3f}",
            )
        )  # fmt: skip
    return stream.getvalue()


def render_html(record: Record, figures: Figures, verdict: Verdict) -> str:
    """The report as one file that fetches nothing."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("loadtest"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({"ms": ms, "known": known, "signed": signed})
    return environment.get_template("report.html.j2").render(
        run=run_of(record),
        figures=figures,
        verdict=verdict,
        charts=draw(record),
        latencies=latency_rows(figures),
        facts=facts_of(record.order.shape),
        offences=figures.revocation.offences[:MOST_OFFENCES] if figures.revocation else [],
        load=[figures.load_before, figures.load_after],
    )


def latency_rows(figures: Figures) -> list[tuple[str, str, Spread]]:
    """Name, from where to where, and the figures, in the order of a session."""
    rows = [
        ("Submit", "POST /v1/videos, accepted", figures.submit),
        ("Poll", "GET /v1/videos/{id}, accepted", figures.poll),
        ("Wait", "accepted until first seen past the line, by the client", figures.wait),
        ("Run", "first seen past the line until seen done, by the client", figures.run),
        ("Download", "until the last byte", figures.download),
        ("Total", "session begun until it has its clip", figures.total),
        ("Total from due", "scheduled arrival until it has its clip", figures.total_from_due),
    ]
    if figures.target_wait is not None:
        rows.append(("Wait, target", "queued until last started, by the target's event list", figures.target_wait))
    if figures.target_run is not None:
        rows.append(("Run, target", "last started until completed, by the target's event list", figures.target_run))
    return rows


def ms(value: float | None) -> str:
    """Milliseconds, with a decimal below 100; the word for having none."""
    if value is None:
        return "unknown"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def known(value: object, unit: str = "") -> str:
    """A figure with its unit, or the word for having none."""
    return "unknown" if value is None else f"{value}{unit}"


def signed(value: float | None) -> str:
    """Seconds before (-) or after (+) the acknowledgement."""
    return "unknown" if value is None else f"{value:+.3f} s"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _between(first: float | None, then: float | None) -> Any:
    return "" if first is None or then is None else f"{(then - first) * 1000:.3f}"
