"""Preview and apply.

Applying is one transaction over tokens, jobs and the event list. When it has committed, no later request passes the
bearer check. Unless `InFlight` says otherwise, no queued job of those tokens exists then, a worker that still renders
one can no longer finish it, and open transfers and streams end within the next look at their tokens.

Whatever the tokens minted goes with them. The row of each is read again before the transaction ends, so that the answer
says what is there and not what was asked for.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from dataclasses import asdict, dataclass, replace

from gateway.clock import Clock
from gateway.errors import ConfirmationRequired, NotFound, StoreUnavailable
from gateway.events import EventKind
from gateway.revocations.selectors import Selector
from gateway.signals import Cause, outbox
from gateway.store import (
    Connection,
    Store,
    defects,
    deliveries,
    events,
    exercise,
    messages,
    revocations,
    taking,
    tokens,
)
from gateway.store.defects import Defect
from gateway.store.exercise import Phase
from gateway.store.jobs import JobStatus
from gateway.store.revocations import InFlight, Revocation, RevokedItem, Taken
from gateway.store.taking import Hanging, Stopped
from gateway.store.tokens import Token, TokenFilter, TokenState

log = logging.getLogger("leakdrill.gateway")

# Whose access is meant can be had from here too.
__all__ = ["Preview", "Selector", "apply", "newest", "preview", "show"]

STOPPED = "Access was revoked before this video was finished."
UNSENT = "Access was revoked before this was delivered."


@dataclass(frozen=True)
class Preview:
    """What a revocation would take now: tokens not yet revoked, children included, what hangs on them, and how many
    others stay accepted."""

    tokens: list[Token]
    children: int
    hanging: Hanging
    bystanders: int


async def preview(store: Store, key: bytes, selector: Selector, *, now: float) -> Preview:
    """Exact counts on one snapshot; raises NotFound where nothing matches."""
    which = selector.which(key)

    def work(tx: Connection) -> Preview:
        matched = _matched(tx, selector, which)
        left = [token for token in matched if token.state is not TokenState.REVOKED]
        return Preview(
            tokens=left,
            children=_children(left),
            hanging=taking.hanging(tx, which, now),
            bystanders=tokens.count_accepted_outside(tx, which, now),
        )

    return await store.read(work)


async def apply(
    store: Store,
    key: bytes,
    selector: Selector,
    *,
    reason: str,
    actor: str,
    clock: Clock,
    in_flight: InFlight | None = None,
    confirmed: bool = False,
    disclosure: str | None = None,
    moves_phase: bool = True,
) -> Revocation:
    """Revokes, stops what hangs on the tokens and records it, as one transaction. Doing it again changes nothing and
    says `already`, but for what an earlier one spared: a stricter `in_flight` ends that. `disclosure` is the cause that
    its security events share with a notice of the leak; without one, the revocation is its own. Without `moves_phase`
    it is housekeeping, and the exercise stays where it stands.

    Raises ConfirmationRequired for everyone without a second word, NotFound where nothing matches.
    """
    _ensure_meant(selector, confirmed)
    order = _Order(
        id=f"rev_{secrets.token_hex(8)}",
        selector=selector,
        which=selector.which(key),
        policy=in_flight or InFlight(),
        reason=reason,
        actor=actor,
        requested_at=clock.now(),
        disclosure=disclosure,
        moves_phase=moves_phase,
    )
    if store.sight is not None:
        await store.sight.before_revocation(store, order.which)
    return await _acknowledged(store, await store.write(lambda tx: _take(tx, order, clock)), clock)


@dataclass(frozen=True)
class _Order:
    """A revocation that was asked for."""

    id: str
    selector: Selector
    which: TokenFilter
    policy: InFlight
    reason: str
    actor: str
    requested_at: float
    disclosure: str | None
    moves_phase: bool


def _take(tx: Connection, order: _Order, clock: Clock) -> Revocation:
    """The transaction."""
    which = order.which
    matched = _matched(tx, order.selector, which)
    if matched and not order.selector.everyone and defects.on(tx, Defect.OVER_REVOCATION):
        which = TokenFilter(cohort=matched[0].cohort)
        matched = _matched(tx, order.selector, which)
    at = clock.now()
    hanging, others = taking.hanging(tx, which, at), tokens.count_accepted_outside(tx, which, at)
    finish = order.policy.transfers == "finish"
    changed = tokens.revoke(tx, which, revocation=order.id, reason=order.reason, at=at, finish=finish)
    by_console = defects.on(tx, Defect.CONSOLE_DIFFERS) and order.selector.token is None
    done = InFlight("keep", "finish", "finish") if by_console else order.policy
    queued, running, kept, going_on = _end_jobs(tx, which, done, revocation=order.id, now=at)
    webhooks = deliveries.stop_revoked(tx, order.id, why=UNSENT, now=at)
    left = tokens.count_accepted_outside(tx, which, at)
    taken = Taken(
        children=_children([one for one in matched if one.state is not TokenState.REVOKED]),
        kept=kept,
        going_on=going_on,
        links=hanging.links,
        endpoints=hanging.endpoints,
        deliveries=webhooks,
        bystanders=left,
        touched=others - left,
        streams=hanging.streams,
        credits=queued.credits + running.credits,
    )
    recorded = clock.now()
    revocation = Revocation(
        id=order.id,
        selector=order.selector.described(matched),
        reason=order.reason,
        actor=order.actor,
        requested_at=order.requested_at,
        recorded_at=recorded,
        acknowledged_at=recorded,
        last_event=events.last_seq(tx),
        tokens=changed,
        jobs_queued=queued.jobs,
        jobs_running=running.jobs,
        in_flight=order.policy,
        txn=order.disclosure or order.id,
        taken=taken,
        items=_outcomes(matched, tokens.find_tree(tx, which)),
    )
    revocations.insert(tx, revocation)
    signals = _tell(tx, revocation, order.which if order.disclosure else None)
    _record(tx, revocation, signals=signals, housekeeping=not order.moves_phase)
    if order.moves_phase:
        _move_phase(tx, revocation)
    return revocation


def _ensure_meant(selector: Selector, confirmed: bool) -> None:
    if selector.everyone and not confirmed:
        raise ConfirmationRequired(
            'This revokes every token. Send "confirm": "all" as well if that is meant.', param="confirm"
        )


async def _acknowledged(store: Store, revocation: Revocation, clock: Clock) -> Revocation:
    """Tells other gateways, where they must be told, and notes a moment behind the commit: what begins after it meets
    the revocation, and what was accepted before the commit began before it. The revocation stands even where this
    cannot be noted."""
    if store.sight is not None:
        await store.sight.after_revocation(store, tuple(item.accessor for item in revocation.items))
    at = clock.now()
    try:
        await store.write(lambda tx: revocations.acknowledge(tx, revocation.id, at), brief=True)
    except StoreUnavailable as exc:
        log.warning("action=acknowledgement_unwritten revocation=%s reason=%s", revocation.id, exc)
        return revocation
    return replace(revocation, acknowledged_at=at)


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
    matched = tokens.find_tree(tx, which)
    if not matched and not selector.everyone:
        raise NotFound("The selector matches no token; nothing was revoked.", param="selector", code="token_not_found")
    return matched


def _children(found: list[Token]) -> int:
    return sum(token.parent is not None for token in found)


def _end_jobs(
    tx: Connection, which: TokenFilter, policy: InFlight, *, revocation: str, now: float
) -> tuple[Stopped, Stopped, int, int]:
    """The waiting and the running jobs that were stopped, and how many waiting and running ones were spared."""
    queued = running = Stopped(0, 0)
    kept = going_on = 0
    if policy.running == "cancel":
        running = taking.stop_jobs(tx, which, JobStatus.IN_PROGRESS, revocation=revocation, message=STOPPED, now=now)
    else:
        withhold = policy.running == "finish_withhold"
        going_on = taking.spare_jobs(tx, which, JobStatus.IN_PROGRESS, revocation=revocation, withhold=withhold)
    if policy.queued == "cancel":
        queued = taking.stop_jobs(tx, which, JobStatus.QUEUED, revocation=revocation, message=STOPPED, now=now)
    else:
        kept = taking.spare_jobs(tx, which, JobStatus.QUEUED, revocation=revocation, withhold=False)
        messages.refill_all(tx)
    return queued, running, kept, going_on


def _outcomes(before: list[Token], after: list[Token]) -> tuple[RevokedItem, ...]:
    states = {token.accessor: token.state for token in after}

    def outcome(token: Token) -> str:
        if token.state is TokenState.REVOKED:
            return "already"
        return "revoked" if states[token.accessor] is TokenState.REVOKED else "failed"

    return tuple(RevokedItem(one.accessor, one.principal, one.cohort, outcome(one)) for one in before)


def _tell(tx: Connection, revocation: Revocation, disclosed: TokenFilter | None) -> int:
    """Queues what sinks are owed; what the disclosed tokens minted was not disclosed itself."""
    leaked = frozenset(token.accessor for token in tokens.find(tx, disclosed)) if disclosed else frozenset[str]()
    ended = [item.accessor for item in revocation.items if item.outcome == "revoked"]
    cause = Cause(revocation.txn, revocation.acknowledged_at, revocation.actor, revocation.reason)
    return outbox.access_ended(tx, ended, cause, disclosed=leaked)


def _record(tx: Connection, revocation: Revocation, *, signals: int, housekeeping: bool) -> None:
    outcomes = Counter(item.outcome for item in revocation.items)
    at = revocation.recorded_at
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
            "webhooks": revocation.taken.deliveries,
            "signals": signals,
            "children": revocation.taken.children,
            "credits_released": revocation.taken.credits,
            "in_flight": asdict(revocation.in_flight),
            "housekeeping": housekeeping,
        },
    )


def _move_phase(tx: Connection, revocation: Revocation) -> None:
    at, phase = revocation.recorded_at, exercise.get(tx).phase
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
