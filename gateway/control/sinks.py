"""`/control/sinks`: who is told of changes of access, and how that went; and what sinks verify it with."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StringConstraints, model_validator
from pydantic.json_schema import SkipJsonSchema

from gateway.signals import Signal, SignalState, Sink, SinkStatus, service
from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.web.schemas import Body

public = APIRouter(prefix="/.well-known", tags=["security events"])
router = APIRouter(prefix="/control/sinks", tags=["control"])

Url = Annotated[str, StringConstraints(min_length=1)]
Audience = Annotated[str, StringConstraints(min_length=1, max_length=500)]
# What may stand in a header (RFC 9110, section 5.5), without blanks at its ends.
Authorization = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[!-~]([ -~]*[!-~])?$")]
Status = Annotated[SinkStatus, Field(strict=False)]


class CreateSink(Body):
    """`authorization` is the whole header that goes with each event; no answer shows it."""

    url: Url
    audience: Audience
    authorization: Authorization | None = None
    status: Status = SinkStatus.ENABLED


class ChangeSink(Body):
    """What is left out stays; `authorization: null` takes the header away."""

    url: Url | SkipJsonSchema[None] = None
    audience: Audience | SkipJsonSchema[None] = None
    authorization: Authorization | None = None
    status: Status | SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _nothing_else_goes(self) -> ChangeSink:
        for name in self.model_fields_set - {"authorization"}:
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be taken away")
        return self

    def given(self) -> dict[str, Any]:
        """The fields that are there."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class VerifySink(Body):
    """`state` comes back in the event."""

    state: str | None = Field(None, max_length=500)


class SinkInfo(BaseModel):
    """A sink. `authorized` says whether a header goes with its events; times are Unix seconds."""

    id: str
    url: str
    issuer: str
    audience: str
    authorized: bool
    status: SinkStatus
    created_at: float
    updated_at: float

    @classmethod
    def of(cls, sink: Sink) -> SinkInfo:
        """The sink without its header."""
        fields = {name: getattr(sink, name) for name in cls.model_fields if name != "authorized"}
        return cls(**fields, authorized=sink.authorization is not None)


class SinkPage(BaseModel):
    """All sinks, oldest first."""

    data: list[SinkInfo]


class SignalInfo(BaseModel):
    """One event for one sink. `id` is its `jti`; `status_code`, `err` and `error` are the last attempt's; without
    `next_attempt_at` a pending one waits for its sink. Times are Unix seconds."""

    id: str
    sink: str
    txn: str
    accessor: str | None
    kind: str
    state: SignalState
    attempts: int
    next_attempt_at: float | None
    status_code: int | None
    err: str | None
    error: str | None
    created_at: float
    ended_at: float | None

    @classmethod
    def of(cls, signal: Signal) -> SignalInfo:
        """The row, without the event's claims."""
        return cls(**{name: getattr(signal, name) for name in cls.model_fields})


class SignalPage(BaseModel):
    """Signals, newest first."""

    data: list[SignalInfo]


class TransmitterConfiguration(BaseModel):
    """What there is of a transmitter (OpenID Shared Signals Framework 1.0, section 7.1). Sinks are set up by the
    operator, so there is no endpoint by which receivers would manage streams."""

    spec_version: str
    issuer: str
    jwks_uri: str
    delivery_methods_supported: list[str]
    default_subjects: str


class KeySet(BaseModel):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, str]]


@public.get("/ssf-configuration")
async def configuration(ctx: Ctx) -> TransmitterConfiguration:
    """Who sends, and where its keys are."""
    issuer = ctx.settings.issuer
    return TransmitterConfiguration(
        spec_version="1_0",
        issuer=issuer,
        jwks_uri=f"{issuer}/.well-known/jwks.json",
        delivery_methods_supported=["urn:ietf:rfc:8935"],
        default_subjects="ALL",
    )


@public.get("/jwks.json")
async def keys(ctx: Ctx) -> KeySet:
    """The key that signs."""
    return KeySet.model_validate(await asyncio.to_thread(ctx.signer.jwks))


@router.post("", status_code=201)
async def create(body: CreateSink, ctx: Ctx, actor: Admin) -> SinkInfo:
    """A new sink, which is told of what happens from now on."""
    sink = await service.create(
        ctx.store,
        url=body.url,
        audience=body.audience,
        authorization=body.authorization,
        status=body.status,
        issuer=ctx.settings.issuer,
        allow_private=ctx.settings.allow_private_targets,
        clock=ctx.clock,
        actor=actor,
    )
    return SinkInfo.of(sink)


@router.get("")
async def list_sinks(ctx: Ctx, actor: Admin) -> SinkPage:
    """All of them."""
    return SinkPage(data=[SinkInfo.of(one) for one in await service.every(ctx.store)])


@router.get("/deliveries")
async def list_deliveries(
    ctx: Ctx,
    actor: Admin,
    sink: str | None = None,
    state: SignalState | None = None,
    txn: str | None = None,
    accessor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> SignalPage:
    """What was sent, or is owed."""
    found = await service.log(ctx.store, sink=sink, state=state, txn=txn, accessor=accessor, limit=limit)
    return SignalPage(data=[SignalInfo.of(one) for one in found])


@router.get("/{sink_id}")
async def show(sink_id: str, ctx: Ctx, actor: Admin) -> SinkInfo:
    """One sink."""
    return SinkInfo.of(await service.show(ctx.store, sink_id))


@router.patch("/{sink_id}")
async def change(sink_id: str, body: ChangeSink, ctx: Ctx, actor: Admin) -> SinkInfo:
    """Changes what is given. Paused, a sink's events are held; enabled, they are sent; disabled, they are dropped."""
    sink = await service.change(
        ctx.store,
        sink_id,
        body.given(),
        allow_private=ctx.settings.allow_private_targets,
        clock=ctx.clock,
        actor=actor,
    )
    return SinkInfo.of(sink)


@router.delete("/{sink_id}")
async def delete(sink_id: str, ctx: Ctx, actor: Admin) -> SinkInfo:
    """Takes it away; what it was."""
    return SinkInfo.of(await service.delete(ctx.store, sink_id, clock=ctx.clock, actor=actor))


@router.post("/{sink_id}/verify", status_code=202)
async def verify(sink_id: str, body: VerifySink, ctx: Ctx, actor: Admin) -> SignalInfo:
    """Queues a verification event; the log tells whether the sink took it."""
    return SignalInfo.of(await service.verify(ctx.store, sink_id, body.state, clock=ctx.clock, actor=actor))
