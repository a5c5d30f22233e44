"""`/control/revocations`: preview, apply, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from gateway.revocations import InFlight, Revocation, SparedJobs, effect, service
from gateway.revocations.effect import EffectReport
from gateway.revocations.service import Selector
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body

router = APIRouter(prefix="/control/revocations", tags=["control"])

Limit = Annotated[int, Query(ge=1, le=10_000)]


class SelectorBody(Body):
    """Exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    token: str | SkipJsonSchema[None] = None
    accessor: str | SkipJsonSchema[None] = None
    principal: str | SkipJsonSchema[None] = None
    cohort: str | SkipJsonSchema[None] = None
    label: str | SkipJsonSchema[None] = None
    fingerprint: str | SkipJsonSchema[None] = None
    issued_before: float | SkipJsonSchema[None] = Field(None, allow_inf_nan=False)
    all: bool | SkipJsonSchema[None] = Field(None, json_schema_extra={"const": True})

    @model_validator(mode="after")
    def _exactly_one(self) -> SelectorBody:
        given = [name for name in type(self).model_fields if name in self.model_fields_set]
        # 0.0 equals False, and is a time.
        if len(given) != 1 or getattr(self, given[0]) is None or getattr(self, given[0]) is False:
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
            label=self.label,
            fingerprint=self.fingerprint,
            issued_before=self.issued_before,
            everyone=bool(self.all),
        )


class InFlightBody(Body):
    """What becomes of what is under way."""

    queued: Literal["cancel", "keep"] = "cancel"
    running: Literal["cancel", "finish_withhold", "finish"] = "cancel"
    transfers: Literal["cut", "finish"] = "cut"


class PreviewRevocation(Body):
    """What would be taken."""

    selector: SelectorBody


class ApplyRevocation(PreviewRevocation):
    """`confirm` must be "all" where the selector is all. `housekeeping`: it tidies up after a move of the exercise and
    is none itself, so that the phase stays as it is."""

    reason: str = Field(min_length=1, max_length=500)
    in_flight: InFlightBody = InFlightBody()
    confirm: Literal["all"] | None = None
    housekeeping: bool = False


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
    """One token of a revocation: `revoked` now, `already` before, or `failed` where its row would not change."""

    outcome: Literal["revoked", "already", "failed"]


class PreviewAnswer(BaseModel):
    """Exact counts at the moment of asking. `children` of the tokens were minted by others of them, or go with a token
    that is named; `credits_released` are held for the jobs; `links` are share links that play, `streams` event streams
    that are open in any gateway; `bystanders` are accepted tokens that stay so."""

    tokens: int
    children: int
    jobs: JobCounts
    credits_released: int
    links: int
    webhook_endpoints: int
    pending_deliveries: int
    streams: int
    bystanders: int
    items: list[Item]


class RevocationAnswer(BaseModel):
    """A revocation that has happened. `jobs` are those it stopped, for which `credits_released` were given back, `kept`
    those it let go on; `txn` is on its security events."""

    id: str
    txn: str
    selector: dict[str, Any]
    reason: str
    actor: str
    requested_at: float
    acknowledged_at: float
    tokens: int
    jobs: JobCounts
    kept: JobCounts
    credits_released: int
    children: int
    in_flight: InFlightBody
    items: list[AppliedItem]

    @classmethod
    def of(cls, revocation: Revocation) -> RevocationAnswer:
        """As the row says."""
        return cls(
            id=revocation.id,
            txn=revocation.txn,
            selector=revocation.selector,
            reason=revocation.reason,
            actor=revocation.actor,
            requested_at=revocation.requested_at,
            acknowledged_at=revocation.acknowledged_at,
            tokens=revocation.tokens,
            jobs=JobCounts(queued=revocation.jobs_queued, running=revocation.jobs_running),
            kept=JobCounts(queued=revocation.taken.kept, running=revocation.taken.going_on),
            credits_released=revocation.taken.credits,
            children=revocation.taken.children,
            in_flight=InFlightBody(**vars(revocation.in_flight)),
            items=[AppliedItem.model_validate(vars(item)) for item in revocation.items],
        )


class Refused(BaseModel):
    """Requests with the revoked tokens that were refused since, at one surface."""

    surface: str
    count: int
    first_at: float
    last_at: float


class SparedNow(BaseModel):
    """Jobs that were let go on, as they stand."""

    waiting: int
    running: int
    stored: int
    withheld: int

    @classmethod
    def of(cls, spared: SparedJobs) -> SparedNow:
        """As the rows say."""
        return cls(waiting=spared.waiting, running=spared.running, stored=spared.stored, withheld=spared.withheld)


class TransfersSince(BaseModel):
    """Transfers that were open when their token was revoked, and the bytes that were sent after the acknowledgement;
    `last_at` is when the last of them ended."""

    cut: int
    finished: int
    bytes_after: int
    last_at: float | None


class SignalsSince(BaseModel):
    """Security events of the revocation's `txn`: acknowledged by their sink, still owed, dead, dropped with it."""

    sent: int
    owed: int
    dead: int
    dropped: int


class StreamsSince(BaseModel):
    """Event streams that were open in the revocation's transaction, those that have ended with it since, and the
    events that were sent after the acknowledgement; `last_at` is when the last of them ended."""

    open: int
    ended: int
    events_after: int
    last_at: float | None


class TimeToDead(BaseModel):
    """One surface at one gateway. `seconds` lie between the acknowledgement and the beginning of the last request that
    was accepted: 0 where none began later, null where none was ever accepted. `late_accepts` are the requests that
    began later and were accepted; refusals and bytes are counted from the revocation on."""

    surface: str
    replica: str
    accepted: int
    last_accepted_at: float | None
    seconds: float | None
    late_accepts: int
    refusals: int
    first_refusal_at: float | None
    bytes_after: int


class SurfaceEffect(BaseModel):
    """One surface: how many of it ended, null where nothing is counted, and what makes it end."""

    surface: str
    ended: int | None
    mechanism: str


class Effect(BaseModel):
    """What the revocation did and what happened since. `credits_released` were given back at once, or when a job that
    was spared ended without a clip. `links` were share links that played, `bystanders_touched` are
    accepted tokens outside the selection that no longer are."""

    jobs_stopped: JobCounts
    jobs_spared: SparedNow
    credits_released: int
    transfers: TransfersSince
    streams: StreamsSince
    deliveries_stopped: int
    webhook_endpoints: int
    children: int
    links: int
    bystanders: int
    bystanders_touched: int
    signals: SignalsSince
    late_accepts: int
    surfaces: list[SurfaceEffect]
    time_to_dead: list[TimeToDead]
    refused: list[Refused]

    @classmethod
    def of(cls, report: EffectReport) -> Effect:
        """As the service found it."""
        revocation, taken = report.revocation, report.revocation.taken
        return cls(
            jobs_stopped=JobCounts(queued=revocation.jobs_queued, running=revocation.jobs_running),
            jobs_spared=SparedNow.of(report.spared),
            credits_released=taken.credits + report.spared.credits,
            transfers=TransfersSince(**vars(report.transfers)),
            streams=StreamsSince(open=taken.streams, **vars(report.streams)),
            deliveries_stopped=taken.deliveries,
            webhook_endpoints=taken.endpoints,
            children=taken.children,
            links=taken.links,
            bystanders=taken.bystanders,
            bystanders_touched=taken.touched,
            signals=SignalsSince(**vars(report.signals)),
            late_accepts=sum(one.late_accepts for one in report.time_to_dead),
            surfaces=[SurfaceEffect(**vars(one)) for one in report.surfaces],
            time_to_dead=[TimeToDead(**vars(one)) for one in report.time_to_dead],
            refused=[Refused(**vars(one)) for one in report.refusals],
        )


class RevocationReport(RevocationAnswer):
    """A revocation, and its effect so far."""

    effect: Effect


class RevocationPage(BaseModel):
    """The newest first."""

    data: list[RevocationAnswer]


@router.post("/preview")
async def preview(body: PreviewRevocation, ctx: Ctx, actor: Admin) -> PreviewAnswer:
    """What a revocation would take, without taking it."""
    found = await service.preview(ctx.store, ctx.keys.tokens, body.selector.selector(), now=ctx.clock.now())
    return PreviewAnswer(
        tokens=len(found.tokens),
        children=found.children,
        jobs=JobCounts(queued=found.hanging.queued, running=found.hanging.running),
        credits_released=found.hanging.credits,
        links=found.hanging.links,
        webhook_endpoints=found.hanging.endpoints,
        pending_deliveries=found.hanging.deliveries,
        streams=found.hanging.streams,
        bystanders=found.bystanders,
        items=[Item(accessor=one.accessor, principal=one.principal, cohort=one.cohort) for one in found.tokens],
    )


@router.post("")
async def revoke(body: ApplyRevocation, ctx: Ctx, actor: Admin) -> RevocationAnswer:
    """Revokes. When this has answered, no request that starts afterwards is accepted."""
    revocation = await service.apply(
        ctx.store,
        ctx.keys.tokens,
        body.selector.selector(),
        reason=body.reason,
        actor=actor,
        clock=ctx.clock,
        in_flight=InFlight(**body.in_flight.model_dump()),
        confirmed=body.confirm == "all",
        moves_phase=not body.housekeeping,
    )
    return RevocationAnswer.of(revocation)


@router.get("")
async def list_revocations(ctx: Ctx, actor: Admin, limit: Limit = 100) -> RevocationPage:
    """The newest first."""
    found = await service.newest(ctx.store, limit)
    return RevocationPage(data=[RevocationAnswer.of(one) for one in found])


@router.get("/{revocation_id}")
async def show_revocation(revocation_id: str, ctx: Ctx, actor: Admin) -> RevocationReport:
    """One revocation, and its effect so far."""
    report = await effect.report(ctx.store, revocation_id)
    shown = RevocationAnswer.of(report.revocation).model_dump()
    return RevocationReport(**shown, effect=Effect.of(report))
