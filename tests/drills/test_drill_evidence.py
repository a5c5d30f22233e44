"""Jobs of revoked tokens, as the gateway's event list tells them."""

from typing import Any

import pytest

from drills.evidence import JobTrace, trace_jobs
from drills.replies import GatewayEvent


def events(*lines: tuple[str, str | None] | tuple[str, str | None, dict[str, Any]]) -> list[GatewayEvent]:
    """One event a second; `revoke` stands for the revocation."""
    found = []
    for seq, line in enumerate(lines, start=1):
        kind, job, data = (*line, {})[:3]
        if kind == "revoke":
            kind, data = "revocation.applied", {"id": "rev_1"}
        else:
            kind = f"job.{kind}"
        accessor = "tok_1" if job else None
        found.append(GatewayEvent(seq=seq, at=float(seq), kind=kind, accessor=accessor, job=job, data=data))
    return found


def only_trace(*lines: Any) -> JobTrace:
    traces = trace_jobs(events(*lines), "rev_1", {"tok_1"}, stop_within=0.25)
    assert traces is not None
    assert len(traces) == 1
    return traces[0]


@pytest.mark.parametrize(
    ("before", "stood"),
    [
        (["queued"], "queued"),
        (["queued", "started"], "running"),
        (["queued", "started", "released"], "queued"),
        (["queued", "started", "reclaimed"], "running"),
        (["queued", "started", "completed"], "ended"),
        (["queued", "cancelled"], "ended"),
    ],
)
def test_where_a_job_stood_when_it_was_cut(before: list[str], stood: str) -> None:
    trace = only_trace(*[(kind, "v") for kind in before], ("revoke", None))
    assert (trace.stood, trace.late) == (stood, [])


def test_an_end_written_by_the_revocation_itself_is_no_earlier_end() -> None:
    assert only_trace(("queued", "v"), ("failed", "v", {"code": "access_revoked"}), ("revoke", None)).stood == "queued"


@pytest.mark.parametrize("kind", ["started", "completed", "reclaimed"])
def test_whatever_goes_on_afterwards_is_late(kind: str) -> None:
    trace = only_trace(("queued", "v"), ("started", "v"), ("revoke", None), (kind, "v"))
    assert trace.late == [(f"job.{kind}", 1.0)]


def test_a_job_submitted_afterwards_is_late() -> None:
    trace = only_trace(("revoke", None), ("queued", "v"))
    assert (trace.stood, trace.late) == ("ended", [("job.queued", 1.0)])


def test_progress_soon_afterwards_is_a_render_that_has_not_stopped_yet() -> None:
    lines = events(("queued", "v"), ("started", "v"), ("revoke", None), ("progressed", "v"))
    (slow,) = trace_jobs(lines, "rev_1", {"tok_1"}, stop_within=0.25) or []
    (quick,) = trace_jobs(lines, "rev_1", {"tok_1"}, stop_within=2) or []
    assert slow.late == [("job.progressed", 1.0)]
    assert quick.late == []


def test_other_tokens_jobs_are_left_out_and_a_missing_revocation_is_unknown() -> None:
    lines = events(("queued", "v"), ("revoke", None))
    assert trace_jobs(lines, "rev_1", {"tok_2"}, stop_within=1) == []
    assert trace_jobs(lines, "rev_9", {"tok_1"}, stop_within=1) is None
