"""The control API's bodies and answers. Times are Unix seconds unless a field says otherwise."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.json_schema import SkipJsonSchema

from gateway.clock import ReplayClock
from gateway.events import Event
from gateway.exercise import Phase
from gateway.revocations import Revocation
from gateway.revocations.service import Selector
from gateway.tokens import Token
from gateway.traces.service import Finding

Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@/+-]*$")]
Scope = Literal["videos:read", "videos:write"]


def _plain(name: str, value: Any) -> Any:
    """What JSON can spell and Python cannot take as it is: 4.0 is a whole number (JSON Schema, 6.1.1), and half of a
    surrogate pair is no character."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise ValueError(f"{name} holds half of a surrogate pair, which is no character") from exc
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Body(BaseModel):
    """A request body: unknown fields are refused, and so are texts for numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _json(cls, values: Any) -> Any:
        return {name: _plain(name, value) for name, value in values.items()} if isinstance(values, dict) else values


class IssueToken(Body):
    """`expires_in` is seconds; without it the token does not expire. `tier` is one of the tiers' file."""

    principal: Name
    cohort: Name
    scopes: list[Scope] = Field(["videos:read", "videos:write"], min_length=1)
    labels: list[Name] = Field([], max_length=20)
    expires_in: float | None = Field(None, gt=0, le=10 * 365 * 86_400)
    tier: str = "standard"


class TokenInfo(BaseModel):
    """A token without its secret."""

    accessor: str
    principal: str
    cohort: str
    scopes: list[str]
    labels: list[str]
    tier: str
    state: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    revoked_at: float | None
    revoked_reason: str | None
    revocation: str | None

    @classmethod
    def of(cls, token: Token, now: float) -> TokenInfo:
        """The token as it stands at `now`."""
        fields = {name: getattr(token, name) for name in cls.model_fields if name != "state"}
        return cls(**{**fields, "state": token.shown_state(now)})


class IssuedToken(TokenInfo):
    """The one answer that shows the secret."""

    token: str


class TokenPage(BaseModel):
    """Tokens, oldest first."""

    data: list[TokenInfo]


class MoveToken(Body):
    """Where on the ladder the token goes."""

    state: Literal["active", "quarantined", "suspended"]


class SelectorBody(Body):
    """Exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    token: str | SkipJsonSchema[None] = None
    accessor: str | SkipJsonSchema[None] = None
    principal: str | SkipJsonSchema[None] = None
    cohort: str | SkipJsonSchema[None] = None
    issued_before: float | SkipJsonSchema[None] = Field(None, allow_inf_nan=False)
    all: bool | SkipJsonSchema[None] = Field(None, json_schema_extra={"const": True})

    @model_validator(mode="after")
    def _exactly_one(self) -> SelectorBody:
        given = [name for name in type(self).model_fields if name in self.model_fields_set]
        if len(given) != 1 or not any(getattr(self, name) not in (None, False) for name in given):
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"give exactly one of {names}; given: {', '.join(given) or 'none'}")
        return self

    def selector(self) -> Selector:
        """As the service takes it."""
        return Selector(
            token=self.token,
            accessor=self.accessor,
            principal=self.principal,
            cohort=self.cohort,
            issued_before=self.issued_before,
            everyone=bool(self.all),
        )


class InFlight(Body):
    """What happens to jobs under way."""

    queued: Literal["cancel"] = "cancel"
    running: Literal["cancel"] = "cancel"


class PreviewRevocation(Body):
    """What would be taken."""

    selector: SelectorBody


class ApplyRevocation(PreviewRevocation):
    """`confirm` must be "all" where the selector is all."""

    reason: str = Field(min_length=1, max_length=500)
    in_flight: InFlight = InFlight()
    confirm: Literal["all"] | None = None


class JobCounts(BaseModel):
    """Jobs that were or would be stopped."""

    queued: int
    running: int


class Item(BaseModel):
    """One token of a preview."""

    accessor: str
    principal: str
    cohort: str


class AppliedItem(Item):
    """One token of a revocation: `revoked` now, or `already` before."""

    outcome: str


class PreviewAnswer(BaseModel):
    """Exact counts at the moment of asking; `bystanders` are accepted tokens that stay so."""

    tokens: int
    jobs: JobCounts
    bystanders: int
    items: list[Item]


class RevocationAnswer(BaseModel):
    """A revocation that has happened."""

    id: str
    selector: dict[str, Any]
    reason: str
    actor: str
    requested_at: float
    acknowledged_at: float
    tokens: int
    jobs: JobCounts
    items: list[AppliedItem]

    @classmethod
    def of(cls, revocation: Revocation) -> RevocationAnswer:
        """As the row says."""
        return cls(
            id=revocation.id,
            selector=revocation.selector,
            reason=revocation.reason,
            actor=revocation.actor,
            requested_at=revocation.requested_at,
            acknowledged_at=revocation.acknowledged_at,
            tokens=revocation.tokens,
            jobs=JobCounts(queued=revocation.jobs_queued, running=revocation.jobs_running),
            items=[AppliedItem(**vars(item)) for item in revocation.items],
        )


class RevocationPage(BaseModel):
    """The newest first."""

    data: list[RevocationAnswer]


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


def _written_out(value: Any) -> Any:
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt ]", value):
        raise ValueError("must be written as 2024-11-26T08:30:00-05:00")
    return value


class SetClock(Body):
    """`time` is ISO 8601 with an offset; without it a clock that exists goes on from where it is."""

    time: Annotated[datetime, Field(strict=False), BeforeValidator(_written_out)] | None = None
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
    """What anybody may know. `defects` and `consistency` say how the promise of revocation is kept, `profile` is the
    latency profile unless it is `instant`, `faults` the failures at work."""

    phase: Phase
    phase_since: float | None
    replay_clock: ClockReading | None
    queue: QueueReading
    workers: int
    eta_ms: int
    broadcast: str | None
    defects: list[str]
    consistency: Literal["strict"]
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
    """What the operator may know besides."""

    tokens: dict[str, int]
    jobs: dict[str, int]
    worker_list: list[WorkerInfo]
    last_event: int
