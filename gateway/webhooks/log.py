"""The operator's view of deliveries: what was told to whom, and once more, please."""

from __future__ import annotations

from gateway.errors import Conflict, NotFound
from gateway.events import EventKind
from gateway.store import Connection, Store, deliveries, events, tokens, webhooks
from gateway.store.deliveries import Delivery, DeliveryState


async def newest(
    store: Store, *, accessor: str | None, state: DeliveryState | None, job: str | None, limit: int
) -> list[Delivery]:
    """Deliveries, newest first."""
    return await store.read(lambda tx: deliveries.newest(tx, accessor=accessor, state=state, job=job, limit=limit))


async def retry(store: Store, id: str, *, now: float, actor: str) -> Delivery:
    """Makes a delivery due now, with the `webhook-id` it has; one that had ended gets all its attempts again.

    Raises NotFound, or Conflict where nothing may be sent: its endpoint is gone or its token not accepted.
    """

    def work(tx: Connection) -> Delivery:
        delivery = deliveries.get(tx, id)
        if delivery is None:
            raise NotFound(f"There is no delivery {id[:80]!r}.", param="delivery_id")
        token = tokens.by_accessor(tx, delivery.accessor)
        if token is None or not token.accepted(now):
            raise Conflict(f"The token {delivery.accessor} is not accepted; its webhooks have stopped.")
        if webhooks.get(tx, delivery.endpoint) is None:
            raise Conflict(f"The endpoint {delivery.endpoint} of this delivery was deleted.")
        deliveries.again(tx, delivery, now=now)
        data = {"delivery": id, "endpoint": delivery.endpoint, "from": str(delivery.state)}
        events.append(
            tx,
            EventKind.WEBHOOK_RETRIED,
            at=now,
            actor=actor,
            accessor=delivery.accessor,
            job=delivery.job,
            data=data,
        )
        return deliveries.get(tx, id) or delivery

    return await store.write(work)
