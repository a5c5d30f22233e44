"""Preview and apply.

Applying is one transaction over tokens, jobs and the event list. When it has committed, no later request passes the
bearer check, no queued job of those tokens exists, and a worker that still renders one can no longer finish it.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import ConfirmationRequired, InvalidRequest, NotFound
from gateway.events import EventKind
from gateway.store import Connection, Store, deliveries, events, exercise, jobs, revocations, tokens
from gateway.store.exercise import Phase
from gateway.store.jobs import JobStatus
from gateway.store.revocations import Revocation, RevokedItem
from gateway.store.tokens import Token, TokenFilter, TokenState
from gateway.tokens import secret as secrets_format

STOPPED = "Access was revoked before this video was finished."
UNSENT = "Access was revoked before this was delivered."


@dataclass(frozen=True)
class Selector:
    """Whose access ends. Exactly one field is given.

    `token` is the secret itself, `issued_before` Unix seconds, `everyone` all tokens.
    """

    token: str | None = None
    accessor: str | None = None
    principal: str | None = None
    cohort: str | None = None
    issued_before: float | None = None
    everyone: bool = False

    def which(self, key: bytes) -> TokenFilter:
        """The same as a filter over rows; raises InvalidRequest for a malformed secret."""
        if self.token is not None and not secrets_format.well_formed(self.token):
            raise InvalidRequest(
                "selector.token is not a token: it must be ldk_ and 36 characters whose checksum holds.",
                param="selector.token",
            )
        return TokenFilter(
            secret_hash=None if self.token is None else secrets_format.keyed_hash(key, self.token),
            accessor=self.accessor,
            principal=self.principal,
            cohort=self.cohort,
            issued_before=self.issued_before,
        )

    def described(self, matched: list[Token]) -> dict[str, object]:
        """For the record: never the secret, but the accessor it belongs to."""
        if self.everyone:
            return {"all": True}
        if self.token is not None:
            return {"accessor": matched[0].accessor}
        named = {"accessor": self.accessor, "principal": self.principal, "cohort": self.cohort}
        given: dict[str, object] = {name: value for name, value in named.items() if value is not None}
        return given or {"issued_before": self.issued_before}


@dataclass(frozen=True)
class Preview:
    """What a revocation would take now: tokens not yet revoked, their jobs, and how many others stay accepted."""

    tokens: list[Token]
    jobs_queued: int
    jobs_running: int
    bystanders: int


async def preview(store: Store, key: bytes, selector: Selector, *, now: float) -> Preview:
    """Exact counts on one snapshot; raises NotFound where nothing matches."""
    which = selector.which(key)

    def work(tx: Connection) -> Preview:
        matched = _matched(tx, selector, which)
        counts = jobs.count_for(tx, f"state <> 'revoked' AND {which.where()}", which.params())
        return Preview(
            tokens=[token for token in matched if token.state is not TokenState.REVOKED],
            jobs_queued=counts.waiting,
            jobs_running=counts.running,
            bystanders=0 if selector.everyone else tokens.count_accepted_outside(tx, which, now),
        )

    return await store.read(work)


async def apply(
    store: Store, key: bytes, selector: Selector, *, reason: str, actor: str, clock: Clock, confirmed: bool = False
) -> Revocation:
    """Revokes, stops the jobs and records it, as one transaction. Doing it again changes nothing and says `already`.

    Raises ConfirmationRequired for everyone without a second word, NotFound where nothing matches.
    """
    if selector.everyone and not confirmed:
        raise ConfirmationRequired(
            'This revokes every token. Send "confirm": "all" as well if that is meant.', param="confirm"
        )
    which = selector.which(key)
    requested_at = clock.now()
    id = f"rev_{secrets.token_hex(8)}"

    def work(tx: Connection) -> Revocation:
        matched = _matched(tx, selector, which)
        at = clock.now()
        changed = tokens.revoke(tx, which, revocation=id, reason=reason, at=at)
        queued = jobs.stop_revoked(tx, id, JobStatus.QUEUED, message=STOPPED, now=at)
        running = jobs.stop_revoked(tx, id, JobStatus.IN_PROGRESS, message=STOPPED, now=at)
        webhooks = deliveries.stop_revoked(tx, id, why=UNSENT, now=at)
        revocation = Revocation(
            id=id,
            selector=selector.described(matched),
            reason=reason,
            actor=actor,
            requested_at=requested_at,
            acknowledged_at=clock.now(),
            tokens=changed,
            jobs_queued=queued,
            jobs_running=running,
            items=tuple(_item(token) for token in matched),
        )
        revocations.insert(tx, revocation)
        _record(tx, revocation, webhooks)
        return revocation

    return await store.write(work)


async def show(store: Store, id: str) -> Revocation:
    """One revocation; raises NotFound."""
    revocation = await store.read(lambda tx: revocations.get(tx, id))
    if revocation is None:
        raise NotFound(f"There is no revocation {id!r}.", param="id", code="revocation_not_found")
    return revocation


async def newest(store: Store, limit: int) -> list[Revocation]:
    """The latest first."""
    return await store.read(lambda tx: revocations.newest(tx, limit))


def _matched(tx: Connection, selector: Selector, which: TokenFilter) -> list[Token]:
    matched = tokens.find(tx, which)
    if not matched and not selector.everyone:
        raise NotFound("The selector matches no token; nothing was revoked.", param="selector", code="token_not_found")
    return matched


def _item(token: Token) -> RevokedItem:
    outcome = "already" if token.state is TokenState.REVOKED else "revoked"
    return RevokedItem(token.accessor, token.principal, token.cohort, outcome)


def _record(tx: Connection, revocation: Revocation, webhooks: int) -> None:
    outcomes = Counter(item.outcome for item in revocation.items)
    at = revocation.acknowledged_at
    events.append(
        tx,
        EventKind.REVOCATION_APPLIED,
        at=at,
        actor=revocation.actor,
        accessor=revocation.items[0].accessor if len(revocation.items) == 1 else None,
        data={
            "id": revocation.id,
            "selector": revocation.selector,
            "reason": revocation.reason,
            "outcomes": dict(outcomes),
            "accessors": [item.accessor for item in revocation.items if item.outcome == "revoked"],
            "jobs": {"queued": revocation.jobs_queued, "running": revocation.jobs_running},
            "webhooks": webhooks,
        },
    )
    phase = exercise.get(tx).phase
    everyone = revocation.selector == {"all": True}
    if revocation.tokens and (phase is Phase.EXPOSED or (everyone and phase is Phase.NORMAL)):
        exercise.set_phase(tx, Phase.REVOKED, at)
        events.append(
            tx,
            EventKind.PHASE_CHANGED,
            at=at,
            actor=revocation.actor,
            data={"from": str(phase), "to": "revoked", "revocation": revocation.id},
        )
