"""The control API's bodies and answers. Times are Unix seconds unless a field says otherwise."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from gateway.clock import ReplayClock
from gateway.events import Event
from gateway.exercise import Phase
from gateway.traces.service import Finding
from gateway.web.schemas import Body


class EventInfo(BaseModel):
    """One line of the event list; `replay_at` is ISO 8601."""

    seq: int
    at: float
    replay_at: str | None
    kind: str
    actor: str
    accessor: str | None
    job: str | None
    data: dict[str, Any]
    hash: str

    @classmethod
    def of(cls, event: Event) -> EventInfo:
        """The line as it is read."""
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class EventPage(BaseModel):
    """Oldest first; go on from the last `seq` while `has_more`."""

    data: list[EventInfo]
    has_more: bool


class TracedJobInfo(BaseModel):
    """The job that a clip's mark names, and its token; `state` is the token's, null once forgotten."""

    video: str
    queued_at: float
    accessor: str
    principal: str | None
    cohort: str | None
    state: str | None


class TraceAnswer(BaseModel):
    """What a clip says of its origin. `verdict` is `traced`, `unknown`, or `unknown_job` where the mark is ours but the
    job is not in this list; `confidence` is 0 to 1; `provenance` is what its manifest says, or that it has none."""

    verdict: Literal["traced", "unknown", "unknown_job"]
    reference: str | None
    confidence: float
    score: float
    frames: int
    reason: str
    job: TracedJobInfo | None
    provenance: dict[str, Any]

    @classmethod
    def of(cls, finding: Finding) -> TraceAnswer:
        """The finding as it is told."""
        verdict: Literal["traced", "unknown", "unknown_job"] = "unknown"
        if finding.reference is not None:
            verdict = "traced" if finding.job else "unknown_job"
        return cls(
            verdict=verdict,
            reference=finding.reference,
            confidence=finding.confidence,
            score=finding.score,
            frames=finding.frames,
            reason=finding.reason,
            job=TracedJobInfo(**vars(finding.job)) if finding.job else None,
            provenance=dict(finding.provenance),
        )


class SetPhase(Body):
    """The phase to move to."""

    phase: Phase = Field(strict=False)


def written_out(value: Any) -> Any:
    """A time as text; raises ValueError for a number, which pydantic would take for seconds."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt ]", value):
        raise ValueError("must be written as 2024-11-26T08:30:00-05:00")
    return value


class SetClock(Body):
    """`time` is ISO 8601 with an offset; without it a clock that exists goes on from where it is."""

    time: Annotated[datetime, Field(strict=False), BeforeValidator(written_out)] | None = None
    speed: float | None = Field(None, gt=0, le=100_000, allow_inf_nan=False)
    running: bool | None = None

    @model_validator(mode="after")
    def _with_offset(self) -> SetClock:
        if self.time is not None and self.time.utcoffset() is None:
            raise ValueError("time needs an offset, for example 2024-11-26T08:30:00-05:00")
        return self


class SetBroadcast(Body):
    """None takes the line away."""

    text: str | None = Field(max_length=300)


class Reset(Body):
    """Must be asked for in words."""

    confirm: Literal["reset"]


class ClockReading(BaseModel):
    """The replay clock: ISO 8601 with the replayed place's offset."""

    time: str
    speed: float
    running: bool

    @classmethod
    def of(cls, clock: ReplayClock | None, now: float) -> ClockReading | None:
        """What it shows at wall time `now`."""
        return None if clock is None else cls(time=clock.iso(now), speed=clock.speed, running=clock.running)


class QueueReading(BaseModel):
    """The line."""

    waiting: int
    running: int


class Status(BaseModel):
    """What anybody may know. `consistency` says how the promise of revocation is kept, or how each replica does, and
    `defects` names the mistakes that are made on purpose, each with its replica (`name@replica`). `replicas` are the
    gateways that share this database, with their addresses. `profile` is the latency profile unless it is `instant`,
    `faults` the failures at work."""

    phase: Phase
    phase_since: float | None
    replay_clock: ClockReading | None
    queue: QueueReading
    workers: int
    eta_ms: int
    broadcast: str | None
    defects: list[str]
    consistency: str
    replicas: dict[str, str]
    profile: str | None
    faults: list[str]
    server_time: float
    version: str


class WorkerInfo(BaseModel):
    """A live worker."""

    name: str
    host: str
    pid: int
    slots: int
    started_at: float
    heartbeat_at: float


class State(Status):
    """What the operator may know besides. `private_targets` are the addresses of this machine and its network that the
    gateway calls."""

    tokens: dict[str, int]
    jobs: dict[str, int]
    worker_list: list[WorkerInfo]
    last_event: int
    private_targets: Literal["none", "loopback", "all"]
