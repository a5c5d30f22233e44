"""What the users did and saw, in memory: requests and sessions. Times are seconds from the schedule's first moment.

Tokens stand here by their place in the order's list, never by their secret. What is packed travels between processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Surface = Literal["submit", "poll", "download", "delete"]
# finished: has its clip, or knows it done. gave_up: out of patience. refused: 401 or 403. failed: the video failed.
# errored: a request did, retries and all. cut: the load test ended first.
Outcome = Literal["finished", "gave_up", "refused", "failed", "errored", "cut"]


class Exchange(NamedTuple):
    """One request. `status` is 0 where no answer came, `code` the API's error code, or what broke the answer off.
    `last` says that the client sent it no second time, so that its outcome is the call's."""

    process: int
    session: int
    person: int
    token: int
    surface: Surface
    attempt: int
    start: float
    end: float
    status: int
    code: str
    last: bool
    bytes: int

    @property
    def accepted(self) -> bool:
        """Whether the gateway let it in, whatever became of the body."""
        return 200 <= self.status < 300

    @property
    def ok(self) -> bool:
        """Whether the client got what it asked for."""
        return self.accepted and not self.code

    @property
    def refused(self) -> bool:
        return self.status in (401, 403)

    @property
    def ms(self) -> float:
        return (self.end - self.start) * 1000.0


class Visit(NamedTuple):
    """One session. It was due, was handed out, and began once a user was free; `held` says that none was when it was
    handed out. `submitted`, `begun` (first seen past the line) and `done` are None where that was not seen."""

    process: int
    session: int
    person: int
    token: int
    due: float
    handed: float
    started: float
    ended: float
    held: bool
    outcome: Outcome
    submitted: float | None
    begun: float | None
    done: float | None
    code: str


@dataclass
class History:
    """Grows while the load test runs. `unstarted` arrivals were due and found no free user before the end; `cpu` is
    processor seconds that the load test's processes took."""

    exchanges: list[Exchange] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    unstarted: int = 0
    cpu: float = 0.0

    def pack(self, exchanges: int, visits: int, most: int) -> dict[str, Any]:
        """What came since so many requests and sessions, for the way to another process; at most so many of each."""
        return {
            "exchanges": self.exchanges[exchanges : exchanges + most],
            "visits": self.visits[visits : visits + most],
        }

    def unpack(self, packed: dict[str, Any], process: int) -> None:
        """Adds what another process packed."""
        self.exchanges += [Exchange(*row)._replace(process=process) for row in packed["exchanges"]]
        self.visits += [Visit(*row)._replace(process=process) for row in packed["visits"]]

    def sort(self) -> None:
        """By time, as the files have them."""
        self.exchanges.sort(key=lambda each: (each.start, each.session, each.attempt))
        self.visits.sort(key=lambda each: each.session)
