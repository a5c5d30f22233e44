"""The summary that a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.figures import Figures
from loadtest.record import Record
from loadtest.report import Outcome, known, latency_rows, ms, signed

MOST_ANSWERS = 15


def summary_of(record: Record, outcome: Outcome) -> str:
    """Tables, then the verdict with its reasons, then where the files lie."""
    figures, order = outcome.figures, record.order
    blocks = [
        f"{order.shape.title}: {order.target}, {order.users} users, {order.peak_rate:.1f} sessions/s at the peak, "
        f"{order.seconds:g} s, seed {order.seed}",
        _table(_throughput(figures)),
        _table(
            [
                ("", "count", "p50 ms", "p95 ms", "p99 ms", "max ms"),
                *(
                    (name, str(each.count), ms(each.p50_ms), ms(each.p95_ms), ms(each.p99_ms), ms(each.max_ms))
                    for name, _, each in latency_rows(figures)
                ),
            ]
        ),
        _table(_answers(figures)),
    ]
    if figures.revocation is not None:
        blocks.append(_table(_revocation(figures)))
    if figures.compared:
        rows = [(each.what, str(each.clients), str(each.target)) for each in figures.compared]
        blocks.append(_table([("", "clients", "target"), *rows]))
    verdict = outcome.verdict
    blocks.append("\n".join([f"verdict: {verdict.verdict}", *(f"  {each}" for each in verdict.reasons)]))
    blocks.append("\n".join(str(path) for path in outcome.paths))
    return "\n\n".join(blocks) + "\n"


def _throughput(figures: Figures) -> list[tuple[str, ...]]:
    late = figures.late
    rows = [
        ("sessions", f"{figures.sessions} ({figures.sessions_per_second:.1f}/s)"),
        ("requests", f"{figures.requests} ({figures.requests_per_second:.1f}/s)"),
        ("videos finished", f"{figures.videos_finished} ({figures.videos_per_second:.1f}/s)"),
        ("downloaded", f"{figures.downloaded_bytes / 1e6:.1f} MB"),
        ("how sessions ended", ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in figures.outcomes.items())),
        ("errors", f"{figures.call_errors} of {figures.calls} calls"),
        (
            "arrivals",
            f"{late.planned} planned, {late.started} begun, {late.held_back} of them held back for a free user",
        ),
        ("begun late by", f"p99 {ms(late.started_late.p99_ms)} ms, the load test's own part {ms(late.own.p99_ms)} ms"),
        ("load test's processor", f"{figures.cpu_seconds:.1f} s; load average {known(figures.load_after)}"),
    ]
    if late.unstarted:
        rows.insert(7, ("never begun", f"{late.unstarted} arrivals, since no user became free"))
    return [("", ""), *rows]


def _answers(figures: Figures) -> list[tuple[str, ...]]:
    rows = sorted(figures.answers, key=lambda each: -each.count)
    shown = [
        (f"{each.surface} {each.status or 'no answer'} {each.code}".rstrip(), str(each.count))
        for each in rows[:MOST_ANSWERS]
    ]
    if len(rows) > MOST_ANSWERS:
        shown.append(("others", str(sum(each.count for each in rows[MOST_ANSWERS:]))))
    return [("answers", "requests"), *shown]


def _revocation(figures: Figures) -> list[tuple[str, ...]]:
    ended = figures.revocation
    assert ended is not None
    rows = [
        (
            "acknowledged",
            "never" if ended.call_ms is None else f"after {ended.call_ms:.0f} ms, {known(ended.tokens)} tokens",
        ),
        ("late accepts", f"{known(ended.late_accepts)} of {ended.requests_after} requests"),
        ("last accepted start", f"{signed(ended.last_accepted_start_seconds)} from the acknowledgement"),
        ("users refused", f"{ended.leaked_users_refused} of {ended.leaked_users_seen_after} that tried"),
        ("first refusal", f"p50 {ms(ended.first_refusal.p50_ms)} ms, max {ms(ended.first_refusal.max_ms)} ms after it"),
        ("late accepts, target", known(ended.target_late_accepts)),
    ]
    if figures.bystanders is not None:
        hit = figures.bystanders
        rows.append(("bystanders hit", f"{hit.users_hit} of {hit.users_after} users"))
    return [("revocation", ""), *rows]


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns under one another; all but the first to the right where they are figures."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        if len(row) == 2:
            cells.append(row[1])
        else:
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(line for line in lines if line)
