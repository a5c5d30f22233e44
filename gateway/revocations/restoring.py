"""The way back from a false alarm: suspended and quarantined tokens return in batches, and each batch is looked at.

A revoked token stays revoked. What a token minted comes back with it, because those rows never changed. The jobs of a
suspended token wait, and a claim finds them once the token is back: so the batches bound whose jobs are taken at once.
"""

from __future__ import annotations

import math
import secrets
from collections import Counter
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import ConfirmationRequired, Conflict, NotFound
from gateway.events import EventKind
from gateway.revocations.service import Selector
from gateway.signals import Cause, outbox
from gateway.store import Connection, Store, defects, events, messages, restorations, tokens
from gateway.store.defects import Defect
from gateway.store.restorations import Batch, Restoration, RestorationState, RestoredItem
from gateway.store.tokens import Token, TokenState
from gateway.tokens import freeze

MANY_OVER_SECONDS = 30.0  # how long more than one token take to come back, unless told
PACE_SECONDS = 1.0  # between two batches, unless told how large a batch is


@dataclass(frozen=True)
class Wanted:
    """What to bring back. `to` is active or quarantined. `over_seconds` None means at once for one token and 30 s for
    more; `batch` None means a batch a second. `thaw` also lifts the mint freeze, once everything is back."""

    selector: Selector
    reason: str
    to: TokenState = TokenState.ACTIVE
    over_seconds: float | None = None
    batch: int | None = None
    thaw: bool = False
    confirmed: bool = False


@dataclass(frozen=True)
class Progress:
    """A restoration as it stands."""

    restoration: Restoration
    items: tuple[RestoredItem, ...]
    batches: tuple[Batch, ...]


def batch_size(number: int, over_seconds: float, batch: int | None) -> int:
    """How many of `number` tokens come back together, at least 1."""
    if batch is not None:
        return batch
    return max(1, math.ceil(number / max(1, math.floor(over_seconds / PACE_SECONDS))))


async def start(store: Store, key: bytes, wanted: Wanted, *, actor: str, clock: Clock) -> str:
    """Notes what shall come back, and brings nothing back yet; the restoration's id. Where the same one runs already,
    that one's.

    Raises NotFound where nothing matches, ConfirmationRequired for everyone without a second word, Conflict while
    another one runs.
    """
    if wanted.selector.everyone and not wanted.confirmed:
        raise ConfirmationRequired(
            'This restores every token that can be. Send "confirm": "all" as well if that is meant.', param="confirm"
        )
    which = wanted.selector.which(key)

    def work(tx: Connection) -> str:
        now = clock.now()
        matched = tokens.find(tx, which)
        if not matched and not wanted.selector.everyone:
            raise NotFound(
                "The selector matches no token; nothing was restored.", param="selector", code="token_not_found"
            )
        described = wanted.selector.described(matched)
        present = restorations.running(tx)
        if present is not None and (present.selector, present.target) == (described, wanted.to):
            return present.id
        if present is not None:
            raise Conflict(
                f"{present.id} is still bringing tokens back, and two together would bring back more than either says. "
                f"Wait for its end, or stop it: POST /control/restorations/{present.id}/stop.",
                code="restoration_running",
            )
        # Who minted comes before what was minted, so that no batch fails for a parent that is in a later one.
        ordered = sorted(matched, key=lambda one: (tokens.depth(tx, one) if one.parent else 0, one.created_at))
        items = [RestoredItem(one.accessor, one.principal, one.cohort, _due(one, wanted.to, now)) for one in ordered]
        restoration = _planned(tx, wanted, described, items, actor=actor, now=now)
        restorations.insert(tx, restoration, items)
        _tell_start(tx, restoration, items)
        if not any(item.outcome == "waiting" for item in items):
            finish(tx, restoration, at=now)
        return restoration.id

    return await store.write(work)


def _planned(
    tx: Connection, wanted: Wanted, described: dict[str, object], items: list[RestoredItem], *, actor: str, now: float
) -> Restoration:
    number = sum(item.outcome == "waiting" for item in items)
    over = wanted.over_seconds
    over = (0.0 if number <= 1 else MANY_OVER_SECONDS) if over is None else over
    size = batch_size(number, over, wanted.batch)
    if defects.on(tx, Defect.RESTORE_STAMPEDE):
        size = max(1, number)
    return Restoration(
        id=f"rst_{secrets.token_hex(8)}",
        selector=described,
        reason=wanted.reason,
        actor=actor,
        target=wanted.to,
        thaw=wanted.thaw,
        over_seconds=over,
        size=size,
        interval=over / max(1, math.ceil(number / size)),
        requested_at=now,
        state=RestorationState.RUNNING,
        because=None,
        brought=0,
        next_at=now,
        ended_at=None,
    )


def _due(token: Token, to: TokenState, now: float) -> str:
    """What is to become of a token, or has become of it."""
    if token.state is TokenState.REVOKED or token.expired(now):
        return "final"
    return "already" if token.state in (TokenState.ACTIVE, to) else "waiting"


def _tell_start(tx: Connection, restoration: Restoration, items: list[RestoredItem]) -> None:
    data: dict[str, object] = {
        "id": restoration.id,
        "selector": restoration.selector,
        "reason": restoration.reason,
        "to": str(restoration.target),
        "over_seconds": restoration.over_seconds,
        "batch": restoration.size,
        "outcomes": dict(Counter(item.outcome for item in items)),
    }
    _append(tx, EventKind.RESTORATION_STARTED, restoration, data, restoration.requested_at, restoration.actor)


def bring_back(tx: Connection, restoration: Restoration, *, now: float) -> bool:
    """The next batch, as one transaction; False where it is not due, or another gateway has taken it."""
    if not restorations.take_batch(tx, restoration, now=now):
        return False
    number = restoration.brought + 1
    accessors = restorations.waiting(tx, restoration.id, restoration.size)
    outcomes = [(accessor, _restore(tx, restoration, accessor, now)) for accessor in accessors]
    restorations.add_batch(tx, restoration.id, number, outcomes, at=now)
    messages.refill_all(tx)
    data = {
        "id": restoration.id,
        "batch": number,
        "accessors": [accessor for accessor, outcome in outcomes if outcome == "restored"],
        "outcomes": dict(Counter(outcome for _, outcome in outcomes)),
    }
    _append(tx, EventKind.RESTORATION_BATCH, restoration, data, now)
    return True


def _restore(tx: Connection, restoration: Restoration, accessor: str, now: float) -> str:
    before = tokens.own_row(tx, accessor)
    outcome = "final" if before is None else _due(before, restoration.target, now)
    if before is None or outcome != "waiting":
        return outcome
    tokens.set_state(tx, accessor, restoration.target, at=now)
    after = tokens.own_row(tx, accessor)
    if after is None or after.state is not restoration.target:
        return "failed"
    data = {"from": str(before.state), "to": str(after.state), "restoration": restoration.id}
    events.append(tx, EventKind.TOKEN_STATE_CHANGED, at=now, actor=restoration.actor, accessor=accessor, data=data)
    cause = Cause(restoration.id, now, restoration.actor, restoration.reason)
    outbox.state_changed(tx, accessor, before.state, after.state, cause)
    return "restored"


def note_look(
    tx: Connection, restoration: Restoration, number: int, reasons: dict[str, str | None], *, now: float
) -> None:
    """Writes what looking at a batch said: ends the restoration where that was the last one, halts it where somebody
    is not accepted. What another gateway has written first stays."""
    if not restorations.set_verified(tx, restoration.id, number, reasons, at=now):
        return
    refused = {accessor: why for accessor, why in reasons.items() if why is not None}
    data: dict[str, object] = {
        "id": restoration.id,
        "batch": number,
        "verified": len(reasons) - len(refused),
        "not_verified": refused,
    }
    _append(tx, EventKind.RESTORATION_VERIFIED, restoration, data, now)
    if refused:
        accessor, why = next(iter(refused.items()))
        more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        halt(tx, restoration, f"batch {number} does not verify: {accessor}: {why}{more}", at=now)
    elif not restorations.waiting(tx, restoration.id, 1):
        finish(tx, restoration, at=now)


def finish(tx: Connection, restoration: Restoration, *, at: float) -> None:
    """Ends a restoration whose tokens are all back; only then is the mint freeze lifted, where that was asked for."""
    if not restorations.end(tx, restoration.id, RestorationState.DONE, because=None, at=at):
        return
    if restoration.thaw:
        freeze.put_in(tx, None, now=at, actor=restoration.actor)
    _append(tx, EventKind.RESTORATION_DONE, restoration, {"id": restoration.id, "batches": restoration.brought}, at)


def halt(tx: Connection, restoration: Restoration, because: str, *, at: float) -> None:
    """Brings nothing more back. What came back stays."""
    if restorations.end(tx, restoration.id, RestorationState.HALTED, because=because, at=at):
        _append(tx, EventKind.RESTORATION_HALTED, restoration, {"id": restoration.id, "because": because}, at)


async def stop(store: Store, id: str, *, actor: str, now: float) -> Progress:
    """Brings nothing more back; one that has ended stays as it is. Raises NotFound."""

    def work(tx: Connection) -> Progress:
        progress = _progress(tx, id)
        if restorations.end(tx, id, RestorationState.STOPPED, because=f"stopped by {actor}", at=now):
            _append(tx, EventKind.RESTORATION_STOPPED, progress.restoration, {"id": id}, now, actor)
        return _progress(tx, id)

    return await store.write(work)


async def show(store: Store, id: str) -> Progress:
    """One restoration; raises NotFound."""
    return await store.read(lambda tx: _progress(tx, id))


def _progress(tx: Connection, id: str) -> Progress:
    found = restorations.get(tx, id)
    if found is None:
        raise NotFound(f"There is no restoration {id[:80]!r}.", param="id", code="restoration_not_found")
    return Progress(found, tuple(restorations.items(tx, id)), tuple(restorations.batches(tx, id)))


def _append(
    tx: Connection,
    kind: EventKind,
    restoration: Restoration,
    data: dict[str, object],
    at: float,
    actor: str = "gateway",
) -> None:
    accessor = restoration.selector.get("accessor")
    events.append(tx, kind, at=at, actor=actor, accessor=None if accessor is None else str(accessor), data=data)
