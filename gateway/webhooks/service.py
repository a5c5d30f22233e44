"""What a token's owner can do with webhook endpoints."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from gateway.clock import Clock
from gateway.errors import InvalidRequest, NotFound
from gateway.events import EventKind
from gateway.outbound import Reach, checked
from gateway.store import Connection, Store, attempts, deliveries, events, webhooks
from gateway.store.deliveries import DeliveryState
from gateway.store.tokens import Token
from gateway.store.webhooks import Endpoint
from gateway.tokens import service as token_service
from gateway.webhooks import queueing, signing
from gateway.webhooks.sending import Sender

MOST_ENDPOINTS = 10
OLD_SECRET_SECONDS = 24 * 3600
DELETED = "The endpoint was deleted."


@dataclass(frozen=True)
class Changes:
    """What an endpoint shall be; None leaves a field as it is."""

    name: str | None = None
    url: str | None = None
    event_types: tuple[str, ...] | None = None


async def create(
    store: Store,
    token: Token,
    *,
    name: str,
    url: str,
    event_types: tuple[str, ...],
    allow_private: Reach,
    clock: Clock,
) -> Endpoint:
    """A new endpoint with its secret; raises UrlRefused, FetchFailed, or InvalidRequest for one too many."""
    await checked(url, allow_private=allow_private)
    now = clock.now()
    endpoint = Endpoint(
        id=f"whep_{secrets.token_hex(16)}",
        accessor=token.accessor,
        name=name,
        url=url,
        event_types=event_types,
        secret=signing.mint(),
        old_secret=None,
        old_secret_until=None,
        created_at=now,
        updated_at=now,
    )

    def work(tx: Connection) -> None:
        token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        if webhooks.count(tx, token.accessor) >= MOST_ENDPOINTS:
            raise InvalidRequest(
                f"A token has {MOST_ENDPOINTS} webhook endpoints at the most; delete one first.",
                code="webhook_endpoint_limit",
            )
        webhooks.insert(tx, endpoint)
        _record(tx, EventKind.WEBHOOK_CREATED, endpoint, token, now, {"event_types": list(event_types)})

    await store.write(work)
    return endpoint


async def show(store: Store, token: Token, id: str) -> Endpoint:
    """One of the token's own; raises NotFound."""
    return await store.read(lambda tx: _own(tx, token, id))


async def page(store: Store, token: Token, *, after: str | None, limit: int) -> tuple[list[Endpoint], bool]:
    """The token's endpoints behind `after`, newest first, and whether more follow; raises NotFound for `after`."""

    def work(tx: Connection) -> list[Endpoint]:
        if after is not None:
            _own(tx, token, after, param="after")
        return webhooks.owned(tx, token.accessor, after=after, limit=limit + 1)

    found = await store.read(work)
    return found[:limit], len(found) > limit


async def update(
    store: Store, token: Token, id: str, changes: Changes, *, allow_private: Reach, clock: Clock
) -> Endpoint:
    """The endpoint with the changes; one that changes nothing leaves `updated_at` alone."""
    if changes.url is not None:
        await checked(changes.url, allow_private=allow_private)
    now = clock.now()

    def work(tx: Connection) -> Endpoint:
        token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        present = _own(tx, token, id)
        given = {name: value for name, value in vars(changes).items() if value is not None}
        changed = replace(present, **given)
        if changed == present:
            return present
        changed = replace(changed, updated_at=now)
        webhooks.update(tx, changed)
        fields = sorted(name for name in given if getattr(changed, name) != getattr(present, name))
        _record(tx, EventKind.WEBHOOK_UPDATED, changed, token, now, {"fields": fields})
        return changed

    return await store.write(work)


async def rotate(store: Store, token: Token, id: str, *, keep_old: bool, clock: Clock) -> Endpoint:
    """A new secret. With `keep_old` the one before signs as well for 24 hours; without, it is gone at once."""
    now = clock.now()

    def work(tx: Connection) -> Endpoint:
        token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        present = _own(tx, token, id)
        rotated = replace(
            present,
            secret=signing.mint(),
            old_secret=present.secret if keep_old else None,
            old_secret_until=now + OLD_SECRET_SECONDS if keep_old else None,
            updated_at=now,
        )
        webhooks.update(tx, rotated)
        _record(tx, EventKind.WEBHOOK_ROTATED, rotated, token, now, {"old_secret_kept": keep_old})
        return rotated

    return await store.write(work)


async def delete(store: Store, token: Token, id: str, *, clock: Clock) -> None:
    """Removes the endpoint and stops what waits for it."""
    now = clock.now()

    def work(tx: Connection) -> None:
        token_service.ensure_still_good(tx, token, token_service.WRITE, now)
        endpoint = _own(tx, token, id)
        stopped = attempts.end_lane(tx, deliveries.OUTBOX, id, DeliveryState.STOPPED, why=DELETED, now=now)
        webhooks.delete(tx, id)
        _record(tx, EventKind.WEBHOOK_DELETED, endpoint, token, now, {"stopped": stopped})

    await store.write(work)


async def test(store: Store, token: Token, id: str, event_type: str, *, sender: Sender, clock: Clock) -> int:
    """Sends one signed event of a video that does not exist; the status that came back. It is not retried and not in
    the log. Raises UrlRefused, FetchFailed, or InvalidCredentials where the token was revoked meanwhile."""
    endpoint = await show(store, token, id)
    now = clock.now()

    async def still_allowed() -> None:
        await store.read(lambda tx: token_service.ensure_still_good(tx, token, token_service.WRITE, clock.now()))

    content = queueing.payload(event_type, f"video_test_{secrets.token_hex(12)}", now).encode()
    reply = await sender.send(
        endpoint.url,
        content,
        id=f"wh_{secrets.token_hex(16)}",
        signing_secrets=endpoint.secrets(now),
        now=now,
        before_sending=still_allowed,
    )
    return reply.status


def _own(tx: Connection, token: Token, id: str, param: str = "webhook_endpoint_id") -> Endpoint:
    endpoint = webhooks.get(tx, id)
    if endpoint is None or endpoint.accessor != token.accessor:
        raise NotFound(f"There is no webhook endpoint {id[:80]!r} under this key.", param=param)
    return endpoint


def _record(
    tx: Connection, kind: EventKind, endpoint: Endpoint, token: Token, now: float, data: dict[str, object]
) -> None:
    told = {"endpoint": endpoint.id, "name": endpoint.name, **data}
    events.append(tx, kind, at=now, actor=token.principal, accessor=token.accessor, data=told)
