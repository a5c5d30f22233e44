"""`/control/webhooks`: the log of deliveries, and once more."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from gateway.web.auth import Admin
from gateway.web.context import Ctx
from gateway.webhooks import Delivery, DeliveryState, log

router = APIRouter(prefix="/control/webhooks", tags=["control"])


class DeliveryInfo(BaseModel):
    """One delivery. `id` is the `webhook-id` that the receiver saw; `status_code` and `error` are the last attempt's;
    times are Unix seconds. Neither the secret nor the URL, which may hold one, is shown."""

    id: str
    endpoint: str
    accessor: str
    job: str | None
    event_type: str
    state: DeliveryState
    attempts: int
    next_attempt_at: float | None
    status_code: int | None
    error: str | None
    created_at: float
    ended_at: float | None

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryInfo:
        """The row, without its payload."""
        return cls(**{name: getattr(delivery, name) for name in cls.model_fields})


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    data: list[DeliveryInfo]


@router.get("/deliveries")
async def list_deliveries(
    ctx: Ctx,
    actor: Admin,
    accessor: str | None = None,
    state: DeliveryState | None = None,
    job: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> DeliveryPage:
    """What was told, or tried."""
    found = await log.newest(ctx.store, accessor=accessor, state=state, job=job, limit=limit)
    return DeliveryPage(data=[DeliveryInfo.of(one) for one in found])


@router.post("/deliveries/{delivery_id}/retry")
async def retry(delivery_id: str, ctx: Ctx, actor: Admin) -> DeliveryInfo:
    """Due at once, with the same `webhook-id`."""
    return DeliveryInfo.of(await log.retry(ctx.store, delivery_id, now=ctx.clock.now(), actor=actor))
