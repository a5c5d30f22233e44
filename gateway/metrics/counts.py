"""What this process counts as it happens: requests, refusals, who was let in. Whole numbers in lists, because every
poll passes here; they become metrics when somebody asks."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

OTHER = "other"
#: Upper bounds in seconds, of requests and of revocations.
REQUEST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
CLASSES = {1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}
#: What may come of showing a bearer. A token that is not accepted is told by its shown state.
AUTH_RESULTS = (
    "accepted",
    "admin",
    "missing",
    "malformed",
    "unknown",
    "revoked",
    "expired",
    "suspended",
    "quarantined",
    "insufficient_scope",
    "not_admin",
    OTHER,
)
_RESULTS = {**{result: result for result in AUTH_RESULTS}, "scope": "insufficient_scope"}
MOST_CODES = 100


@dataclass
class Histogram:
    """Times by bucket: `counts` has one more than there are bounds, for those above the last; `seconds` is the sum."""

    counts: list[int]
    seconds: float = 0.0

    @classmethod
    def over(cls, bounds: tuple[float, ...]) -> Histogram:
        """An empty one."""
        return cls([0] * (len(bounds) + 1))

    @property
    def total(self) -> int:
        """How many times were noted."""
        return sum(self.counts)


@dataclass
class ProcessCounts:
    """`timer` is a clock of its own, in seconds, that never goes back."""

    timer: Callable[[], float] = time.perf_counter
    requests: dict[tuple[str, str, str], Histogram] = field(default_factory=dict)  # by method, route, status class
    errors: Counter[str] = field(default_factory=Counter)  # by code
    auth: Counter[str] = field(default_factory=Counter)  # by result
    _known: dict[tuple[str, str | None, int], Histogram] = field(default_factory=dict)

    def answered(self, scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
        """Counts a request by its route's template, as far as it has met one. `status` is 0 where none was sent."""
        key = scope["method"], getattr(scope.get("route"), "path", None), status // 100
        histogram = self._known.get(key)
        if histogram is None:
            histogram = self._labelled(*key)
        histogram.counts[bisect_left(REQUEST_BOUNDS, seconds)] += 1
        histogram.seconds += seconds

    def refused(self, code: str) -> None:
        """Counts an error that was answered. Codes are the gateway's own; the limit is for what nobody foresaw."""
        self.errors[code if code in self.errors or len(self.errors) < MOST_CODES else OTHER] += 1

    def judged(self, result: str) -> None:
        """Counts what came of showing a bearer: one of AUTH_RESULTS, or the reason of a refusal."""
        self.auth[_RESULTS.get(result, OTHER)] += 1

    def _labelled(self, method: str, route: str | None, status: int) -> Histogram:
        """The histogram of a key that is met for the first time, or that is nobody's name and so is not kept."""
        labels = (method if method in METHODS else OTHER, route or OTHER, CLASSES.get(status, OTHER))
        histogram = self.requests.get(labels)
        if histogram is None:
            histogram = self.requests[labels] = Histogram.over(REQUEST_BOUNDS)
        if labels[0] == method:
            self._known[method, route, status] = histogram
        return histogram
