"""What the drill asked and what it was answered: the client-side history that the oracle judges.

All times are seconds on one monotonic clock, counted from the drill's start. A bearer appears by its accessor only.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drills.errors import DrillError

Actor = Literal["visitor", "probe", "bystander", "fresh", "holder", "client", "control"]
# What stands before a gateway may answer in its place: with a page for people, or by sending them elsewhere.
PAGE, REDIRECT = "html_page", "redirect"
FOREIGN = frozenset({PAGE, REDIRECT})
Outcome = Literal["accepted", "refused", "limited", "unclear", "fault"]


class Exchange(BaseModel):
    """One request and its answer.

    Outcome: accepted (2xx, 304), refused (401, or 403 for a missing scope), limited (429), unclear (another 4xx: it
    does not say whether the token still counts), fault (5xx, no answer, or none of the API's). `code` is the error's in
    the answer, or says what came instead of one of the API: `html_page` or `redirect`. `replica` is the gateway that
    was asked, where there are several.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int
    actor: Actor
    who: str
    surface: str
    accessor: str | None
    method: str
    path: str
    start: float
    end: float
    status: int | None
    outcome: Outcome
    code: str | None = None
    job: str | None = None
    bytes: int | None = None
    replica: str | None = None


def outcome_of(status: int | None, code: str | None, surface: str = "") -> Outcome:
    """Sort an answer. `status` None means that none came. A shared link tells nobody why it is gone: 404. Whatever its
    status, an answer that is none of the API's says nothing about a token."""
    if status is None or status >= 500 or code in FOREIGN:
        return "fault"
    if status < 400:
        return "accepted"
    gone = status == 404 and surface == "share_link"
    if status == 401 or gone or (status == 403 and code == "insufficient_scope"):
        return "refused"
    return "limited" if status == 429 else "unclear"


class History:
    """Collects exchanges in the order of their answers. `monotonic` gives seconds; the first call is second 0."""

    def __init__(self, monotonic: Callable[[], float], max_requests: int) -> None:
        self._monotonic = monotonic
        self._zero = monotonic()
        self._max = max_requests
        self.exchanges: list[Exchange] = []
        self.counts: Counter[tuple[Actor, str, Outcome]] = Counter()

    def now(self) -> float:
        """Seconds since the drill's start, to the microsecond."""
        return round(self._monotonic() - self._zero, 6)

    def check_limit(self) -> None:
        """Before sending: raises DrillError once the scenario's limit is reached. An answer is never dropped."""
        if len(self.exchanges) >= self._max:
            raise DrillError(f"limit of {self._max} requests reached")

    def add(self, exchange: Exchange) -> None:
        """Keep an exchange."""
        self.exchanges.append(exchange)
        self.counts[exchange.actor, exchange.surface, exchange.outcome] += 1

    def lift_limit(self) -> None:
        """Putting things back is never held up by the limit."""
        self._max = sys.maxsize

    def count(self, outcome: Outcome, *, actor: Actor = "visitor", surface: str = "submit") -> int:
        """How many exchanges of that kind there are so far."""
        return self.counts[actor, surface, outcome]


# Fewer than these may be a hiccup.
GONE_AFTER = 5
HEARD_SURFACES = ("open_stream", "webhook")  # noted by the drill itself, not asked


def went_away(exchanges: Sequence[Exchange]) -> str | None:
    """That the target gave no answer from some moment to the end, and what came instead; None where it did not."""
    asked = [each for each in exchanges if each.surface not in HEARD_SURFACES]
    lost = list(takewhile(lambda each: each.outcome == "fault", reversed(asked)))
    if len(lost) < GONE_AFTER:
        return None
    kinds = Counter(each.code or (str(each.status) if each.status else "no answer") for each in lost)
    came = ", ".join(kind.replace("_", " ") for kind, _ in kinds.most_common(3))
    since = min(each.start for each in lost)
    return f"the target went away {since:.1f} s into the drill: {len(lost)} requests from there to the end got {came}"
