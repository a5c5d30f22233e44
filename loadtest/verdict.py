"""The verdict: what was to be met, what was, and the exit code.

What a slow load test cannot fake is judged first: late accepts, errors, bystanders. Latencies are judged only where the
load test kept its own schedule; otherwise it measured itself, and says so.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from loadtest.figures import Figures
from loadtest.record import Record
from loadtest.shape import Thresholds

Word = Literal["met", "not met", "nothing measured", "target away", "the load test failed"]
EXIT_CODES: dict[Word, int] = {
    "met": 0,
    "not met": 1,
    "nothing measured": 3,
    "target away": 3,
    "the load test failed": 4,
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Part):
    """One threshold. `found` and `limit` are words with their units; `met` is None where it was not judged. `sure` says
    that being slow cannot cause it."""

    name: str
    found: str
    limit: str
    met: bool | None
    sure: bool = False


class Verdict(_Part):
    """`reasons` say why, the weightiest first."""

    verdict: Word
    exit_code: int
    reasons: list[str]
    checks: list[Check]


def judge(record: Record, figures: Figures, thresholds: Thresholds) -> Verdict:
    """See the module."""
    checks = [*_sure(record, figures, thresholds), *_timed(figures, thresholds)]
    broken = [f"{each.name}: {each.found}, allowed {each.limit}" for each in checks if each.met is False]
    sure = [each for each in checks if each.met is False and each.sure]
    own = _own_fault(figures, thresholds)
    early = [record.why] if record.status == "stopped" else []
    word: Word = "met"
    if not figures.requests or all(each.status == 0 for each in figures.answers):
        word, reasons = "nothing measured", [record.why or "no request was answered"]
    elif record.away:
        word, reasons = "target away", [record.why, *broken]
    elif record.status in ("broken", "full"):
        word, reasons = "the load test failed", [record.why, *broken]
    elif sure:
        word, reasons = "not met", [*broken, *([own] if own else [])]
    elif own:
        word, reasons = "the load test failed", [own, *broken]
    elif broken:
        word, reasons = "not met", broken
    else:
        reasons = [f"all {sum(each.met is True for each in checks)} thresholds"]
    return Verdict(verdict=word, exit_code=EXIT_CODES[word], reasons=[*reasons, *early], checks=checks)


def _sure(record: Record, figures: Figures, thresholds: Thresholds) -> list[Check]:
    """What being slow cannot cause. A load test that was stopped early is not held to what it did not come to."""
    checks = []
    ended = figures.revocation
    early = record.status == "stopped"
    if record.order.shape.revoke_at is not None:
        acknowledged = ended is not None and ended.acknowledged_second is not None
        found = "acknowledged" if acknowledged else (ended.error if ended and ended.error else "not reached")
        met = None if ended is None and early else acknowledged
        checks.append(Check(name="revocation", found=found, limit="acknowledged", met=met, sure=True))
    if ended is not None and ended.late_accepts is not None:
        limit = thresholds.max_late_accepts
        met = ended.late_accepts <= limit
        found = f"{ended.late_accepts} requests"
        checks.append(Check(name="late accepts", found=found, limit=f"{limit} requests", met=met, sure=True))
        if not ended.requests_after:
            found, limit_words = "no request with a leaked token", "1 or more"
            met = None if early else False
            checks.append(Check(name="tried afterwards", found=found, limit=limit_words, met=met, sure=True))
    if figures.bystanders is not None:
        hit = figures.bystanders.users_hit
        checks.append(Check(name="bystanders refused", found=f"{hit} users", limit="0 users", met=hit == 0, sure=True))
    rate = figures.error_rate
    if rate is not None:
        found = f"{rate:.2%} of {figures.calls} calls"
        met = rate <= thresholds.max_error_rate
        words = f"{thresholds.max_error_rate:.2%}"
        checks.append(Check(name="error rate", found=found, limit=words, met=met, sure=True))
    return checks


def _timed(figures: Figures, thresholds: Thresholds) -> list[Check]:
    checks = []
    for name, limit, found in (
        ("poll p99", thresholds.max_poll_p99_ms, figures.poll.p99_ms),
        ("submit p99", thresholds.max_submit_p99_ms, figures.submit.p99_ms),
    ):
        if limit is not None:
            words = "not measured" if found is None else f"{found:.1f} ms"
            met = None if found is None else found <= limit
            checks.append(Check(name=name, found=words, limit=f"{limit:g} ms", met=met))
    late = figures.late
    if late.planned:
        found_held = f"{late.held_rate:.1%} of {late.planned} arrivals waited for a free user"
        met = late.held_rate <= thresholds.max_held_back
        checks.append(Check(name="held back", found=found_held, limit=f"{thresholds.max_held_back:.1%}", met=met))
    return checks


def _own_fault(figures: Figures, thresholds: Thresholds) -> str | None:
    """Why the latencies would be the load test's own; None where they are not."""
    lag = figures.late.own.p99_ms
    if lag is None or lag <= thresholds.max_start_lag_p99_ms:
        return None
    return (
        f"the load test could not keep its own schedule: its p99 start lag is {lag:.0f} ms, allowed "
        f"{thresholds.max_start_lag_p99_ms:g} ms; it measured itself, not the gateway. Lower --users or --rate, add "
        "--processes, or run it on another machine"
    )
