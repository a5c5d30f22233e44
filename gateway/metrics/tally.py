"""Counters out of the event list, read on behind a cursor in bounded pieces.

What a gateway has read lies in its memory. It begins anew when the gateway starts, with the first line, so that two
gateways which have read to the end say the same. A reset leaves the list as it is, and so these counters; but how long
a job waited or was rendered is in its row, and goes with it where nobody has read it by then.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.faults.failures import FATES
from gateway.metrics.counts import OTHER, REQUEST_BOUNDS, Histogram
from gateway.store import Connection, events, metrics
from gateway.store.metrics import Amounts, Span

#: Upper bounds in seconds, of waits and of renders.
SPAN_BOUNDS = (0.005, 0.015, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
JOB_CODES = frozenset({"access_revoked", "cancelled", "render_failed", "worker_lost", *FATES})
PIECE = 2_000  # events; SQLite reads them on the event loop, which waits meanwhile
UNTOLD_SECONDS = 30.0  # after which a revocation whose acknowledgement is not noted is not waited for


@dataclass(frozen=True)
class Piece:
    """What was read between two places of the list."""

    last: int
    upto: int
    counted: list[tuple[str, str | None, int]]
    waits: list[Span]
    runs: list[Span]
    aborted: int
    amounts: list[Amounts]
    durations: dict[str, float | None]


@dataclass
class Tally:
    """`complete` says that the end of the list has been reached once; before, its numbers are those of a beginning.
    `unread` is how many lines are known and not read yet."""

    tiers: frozenset[str]
    read: int = 0
    unread: int = 0
    complete: bool = False
    kinds: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)  # jobs, by code
    aborted: Counter[str] = field(default_factory=Counter)  # renders, by reason
    webhooks: Counter[str] = field(default_factory=Counter)  # deliveries that ended, by state
    signals: Counter[str] = field(default_factory=Counter)
    revoked_tokens: int = 0
    waits: dict[str, Histogram] = field(default_factory=dict)  # by tier
    runs: Histogram = field(default_factory=lambda: Histogram.over(SPAN_BOUNDS))
    revocations: Histogram = field(default_factory=lambda: Histogram.over(REQUEST_BOUNDS))
    untold: dict[str, float] = field(default_factory=dict)  # revocation -> when it was met, on the machine's own clock

    def kind(self, name: str) -> int:
        """How many events of a kind there were."""
        return sum(count for (kind, _), count in self.kinds.items() if kind == name)

    def add(self, piece: Piece) -> None:
        """Takes the next piece."""
        self.read, self.unread = piece.upto, piece.last - piece.upto
        self.complete = self.complete or not self.unread
        for kind, what, count in piece.counted:
            self.kinds[kind, what] += count
            subject, _, end = kind.partition(".")
            if kind == "job.failed":
                self.failed[what if what in JOB_CODES else OTHER] += count
            elif kind == "job.cancelled":
                self.failed["cancelled"] += count
            elif subject == "webhook" and end in ("delivered", "dead", "stopped"):
                self.webhooks[end] += count
            elif subject == "signal":
                self.signals[end] += count
        self.aborted["cancelled"] += piece.aborted
        for span in piece.waits:
            tier = span.tier if span.tier in self.tiers else OTHER
            _note(self.waits.setdefault(tier, Histogram.over(SPAN_BOUNDS)), span)
        for span in piece.runs:
            _note(self.runs, span)
        for amounts in piece.amounts:
            self._add_amounts(amounts)
        self._time(piece.durations)

    def _add_amounts(self, amounts: Amounts) -> None:
        self.failed["access_revoked"] += amounts.queued + amounts.running
        self.aborted["revoked"] += amounts.running
        self.webhooks["stopped"] += amounts.webhooks
        self.signals["dropped"] += amounts.signals
        self.revoked_tokens += amounts.tokens
        if amounts.revocation is not None:
            self.untold[amounts.revocation] = time.monotonic()

    def _time(self, durations: dict[str, float | None]) -> None:
        """Notes how long revocations took; one that was read between its commit and its acknowledgement is asked for
        again."""
        long_ago = time.monotonic() - UNTOLD_SECONDS
        for id in list(self.untold):
            seconds = durations.get(id)
            if seconds is not None:
                self.revocations.counts[bisect_left(REQUEST_BOUNDS, seconds)] += 1
                self.revocations.seconds += max(0.0, seconds)
            if seconds is not None or id not in durations or self.untold[id] < long_ago:
                del self.untold[id]


def _note(histogram: Histogram, span: Span) -> None:
    histogram.counts[span.bucket] += span.count
    histogram.seconds += span.seconds


def read_piece(tx: Connection, after: int, untold: Collection[str]) -> Piece:
    """What follows on the line `after`; `untold` are revocations whose time is asked for again."""
    last = events.last_seq(tx)
    upto = min(last, after + PIECE)
    found = metrics.amounts(tx, after, upto)
    ids = {*untold, *(one.revocation for one in found if one.revocation)}
    return Piece(
        last,
        upto,
        metrics.counted(tx, after, upto),
        metrics.waits(tx, after, upto, SPAN_BOUNDS),
        metrics.runs(tx, after, upto, SPAN_BOUNDS),
        metrics.cancelled_while_running(tx, after, upto),
        found,
        metrics.durations(tx, ids),
    )
