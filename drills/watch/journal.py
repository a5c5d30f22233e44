"""The journal of a watch: everything its reports need, as one JSON file.

Seconds count from the start of the watch, on one monotonic clock. A token appears by its fingerprint.
"""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from drills.history import Exchange
from drills.journal import DrillStatus, Versions
from drills.oracle import Verdict

How = Literal["command", "key", "signal", "given", "inferred"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WatchedToken(_Part):
    """A token by its fingerprint, which is the start of its SHA-256. A bystander must go on working."""

    fingerprint: str
    name: str
    bystander: bool


class Moment(_Part):
    """When the revocation was acknowledged: not before `earliest`, and by `latest`.

    `sent` is when it began at the earliest: uses before it are uses of a token that counts. `how` says who told: a
    command that was started here, a key, a signal, a time that was given, or nobody (inferred from the first refusal).
    """

    how: How
    sent: float
    earliest: float
    latest: float
    words: str


class CommandRun(_Part):
    """The team's own command. Its arguments are not kept: they may hold a token. `exit_code` None: it did not end."""

    program: str
    arguments: int
    start: float
    end: float
    exit_code: int | None


class ServerClock(_Part):
    """The server's clock minus this machine's, in seconds, from `Date` headers. `answers` is how many bore one.

    The true difference lies between the two; `low` is above `high` where one of the clocks was moved meanwhile.
    """

    low: float
    high: float
    answers: int


class WatchPlanned(_Part):
    """What was asked for. Seconds; `rate` is probes a second; `surfaces` those that are judged."""

    surfaces: list[str]
    rate: float
    seconds: float
    after_seconds: float
    bound_seconds: float
    submits: bool
    refusals: list[int]


class WatchJournal(_Part):
    """One watch."""

    format: Literal["watch-1"] = "watch-1"
    classification: Literal["EXERCISE"] = "EXERCISE"
    status: DrillStatus
    error: str | None
    target: str
    versions: Versions
    started_at: AwareDatetime
    ended: float
    plan: WatchPlanned
    tokens: list[WatchedToken]
    notes: list[str]
    moment: Moment | None
    command: CommandRun | None
    server_clock: ServerClock | None
    dropped: int
    exchanges: list[Exchange]
    verdict: Verdict
