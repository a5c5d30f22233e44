"""What carries a restoration on: a task in each gateway, which takes a batch when it is due and looks at it afterwards.

Everything it needs is in the database, so the ramp of a gateway that was ended is carried on by the next one, or by
another on the same database. It goes on at its pace: what was missed is not caught up with.

Looking at a batch is asking what its bearers would be told: the row is found by the secret's hash, as a request finds
it, and judged for every scope. A ramp ends itself where a token is not accepted, or where the service shows that it has
enough: a restored token is told 429 or 503, or the waiting line is at its limit.
"""

from __future__ import annotations

import asyncio
import logging
import math

from gateway.clock import Clock
from gateway.errors import APIError, InsufficientScope, InvalidCredentials, StoreUnavailable
from gateway.revocations import restoring
from gateway.store import Connection, Store, jobs, restorations, tokens
from gateway.store.restorations import Restoration
from gateway.store.tokens import Token, TokenState
from gateway.tokens import service

log = logging.getLogger("leakdrill.gateway")

OVERLOAD = (429, 503)
MOST_REFUSED = 1000  # tokens whose last refusal is remembered


class Ramps:
    """One gateway's part in restorations. `queue_limit` is the longest waiting line."""

    def __init__(self, store: Store, clock: Clock, queue_limit: int) -> None:
        self._store = store
        self._clock = clock
        self._queue_limit = queue_limit
        self._refused: dict[str, tuple[float, str]] = {}
        self._due_in = math.inf

    def refused(self, accessor: str, error: APIError, now: float) -> None:
        """Notes that a token was told that there is too much to do. An empty account is no sign of load."""
        if error.status in OVERLOAD and error.type != "insufficient_quota":
            if len(self._refused) >= MOST_REFUSED:
                del self._refused[next(iter(self._refused))]
            self._refused[accessor] = now, f"{error.status} {error.error_code}"

    async def step(self) -> None:
        """Does whatever is due now."""
        self._due_in = math.inf
        while await self._advance():
            pass

    async def run(self, every: float = 0.25) -> None:
        """Steps for ever, at least so often in seconds, and when a batch is due; cancel it."""
        while True:
            try:
                await self.step()
            except StoreUnavailable as exc:
                log.warning("action=restoration_waits reason=%s", exc)
            except Exception:
                log.exception("action=restoration_step_broke")
            await asyncio.sleep(min(every, self._due_in))

    async def _advance(self) -> bool:
        """One move, if any is due: looks at the last batch, or halts, or takes the next one."""
        now = self._clock.now()
        restoration, number, why = await self._store.read(self._stands)
        if restoration is None:
            self._refused.clear()
            return False
        if number is not None:
            reasons = await self._look(restoration, number)
            await self._store.write(lambda tx: restoring.note_look(tx, restoration, number, reasons, now=now))
            return True
        if why is not None:
            await self._store.write(lambda tx: restoring.halt(tx, restoration, why, at=now))
            return True
        if restoration.next_at > now:
            self._due_in = restoration.next_at - now
            return False
        return await self._store.write(lambda tx: restoring.bring_back(tx, restoration, now=now))

    def _stands(self, tx: Connection) -> tuple[Restoration | None, int | None, str | None]:
        """What runs, the batch to look at, and why no other must follow."""
        restoration = restorations.running(tx)
        if restoration is None:
            return None, None, None
        return restoration, restorations.unverified(tx, restoration.id), self._overload(tx, restoration)

    def _overload(self, tx: Connection, restoration: Restoration) -> str | None:
        # Before the first batch nothing that is wrong can come of it, and it may be what empties the line.
        if restoration.brought == 0:
            return None
        for accessor, (at, told) in self._refused.items():
            back = restorations.came_back(tx, restoration.id, accessor)
            if back is not None and at >= back:
                return f"overload: restored token {accessor} was told {told}"
        waiting = jobs.queue_counts(tx).waiting
        if waiting >= self._queue_limit:
            return f"overload: {waiting} videos are waiting, which is the limit"
        return None

    async def _look(self, restoration: Restoration, number: int) -> dict[str, str | None]:
        """For each token of the batch why it is not accepted as it should be, or None."""
        reasons: dict[str, str | None] = {}
        for accessor, outcome in await self._store.read(lambda tx: restorations.in_batch(tx, restoration.id, number)):
            if outcome == "failed":
                reasons[accessor] = "its row did not change"
                continue
            reasons[accessor] = await self._why_not(accessor, restoration.target)
            await asyncio.sleep(0)  # a batch may be long, and requests wait meanwhile
        return reasons

    async def _why_not(self, accessor: str, target: TokenState) -> str | None:
        hashed = await self._store.read(lambda tx: tokens.hash_of(tx, accessor), snapshot=False)
        bearers = None if hashed is None else await service.by_hash(self._store, hashed)
        if bearers is None:
            return "it is not there"
        now = self._clock.now()
        if all(_granted(bearers, scope, now) is _promised(bearers, scope, target) for scope in service.ALL_SCOPES):
            return None
        return await self._store.read(lambda tx: _reason(tx, bearers, target, now))


def _granted(token: Token, scope: str, now: float) -> bool:
    """Whether a request for `scope` passes: the judgement of every request."""
    try:
        service.ensure_scope(service.ensure_accepted(token, now), scope)
    except (InvalidCredentials, InsufficientScope):
        return False
    return True


def _promised(token: Token, scope: str, target: TokenState) -> bool:
    return scope in token.scopes and (target is TokenState.ACTIVE or scope == service.READ)


def _reason(tx: Connection, judged: Token, target: TokenState, now: float) -> str:
    """Why a token is judged worse, or better, than its restoration says: its own row, or one above it."""
    own = tokens.own_row(tx, judged.accessor)
    if own is None or own.state is not target or own.expired(now):
        return f"it is {judged.shown_state(now)}"
    above = own.parent
    while above is not None:
        parent = tokens.own_row(tx, above)
        if parent is None or parent.state is not TokenState.ACTIVE or parent.expired(now):
            stands = "not there" if parent is None else parent.shown_state(now)
            return f"the token that minted it, {above}, is {stands}"
        above = parent.parent
    return f"it is judged {judged.shown_state(now)} although its row says {own.state}"
