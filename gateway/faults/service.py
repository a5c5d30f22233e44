"""Rules on and off, and the moment in which one strikes.

The rules lie in the store, where every gateway reads them, at most four times a second. While there is none, a request
pays one comparison. Whoever is struck has shown an accepted token before: a fault never answers in place of a refusal.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from gateway.clock import Clock
from gateway.errors import ANSWER_HEADERS, InvalidRequest, NotFound
from gateway.events import EventKind
from gateway.faults.failures import (
    DEFAULT_DELAY_SECONDS,
    DOWNLOAD_FAILURES,
    FATES,
    Options,
    error_of,
    surface_of,
)
from gateway.faults.rules import HEADER, Rule, Wanted, checked, from_header
from gateway.store import Connection, Store, events, faults, tokens
from gateway.store.tokens import Token

READ_SECONDS = 0.25
# What a strike leaves in the request's scope, for those who serve it.
FATE = "leakdrill.fate"
DOWNLOAD = "leakdrill.download"

Scope = MutableMapping[str, Any]


@dataclass(frozen=True)
class Strike:
    """A failure that has struck a request; `rule` None where the request asked for it itself."""

    failure: str
    options: Options
    accessor: str
    rule: str | None


class FaultDesk:
    """One gateway's view of the rules. `header` says whether requests may ask for a failure themselves."""

    def __init__(self, store: Store, clock: Clock, *, header: bool) -> None:
        self._store = store
        self._clock = clock
        self._header = header
        self._rules: list[Rule] = []
        self._read_at = -math.inf
        self._stale_at = -math.inf
        self._seen: dict[str, int] = {}

    def armed(self, scope: Scope, now: float) -> bool:
        """Whether `strike` has anything to look at: rules, a header, or news that may have come since it last read."""
        if self._rules or not self._read_at <= now < self._stale_at:
            return True
        if self._header:
            for name, _ in scope["headers"]:  # a plain loop: `any` would cost every request twice as much
                if name == HEADER:
                    return True
        return False

    async def strike(self, token: Token, scope: Scope, now: float) -> bool:
        """Lets a failure strike this request, if one does; raises the error that it is answered with.

        True where time has passed meanwhile, so that the token must be judged again.
        """
        surface = surface_of(scope["method"], scope["path"])
        found = await self._from_header(token, scope, surface, now)
        if found is None:
            found = await self._from_rules(token, surface, now)
        if found is None:
            return False
        scope.setdefault(ANSWER_HEADERS, []).append((HEADER, found.failure.encode()))
        error = error_of(found.failure, found.options)
        if error is not None:
            raise error
        if found.failure in FATES:
            scope[FATE] = found.failure
        elif found.failure in DOWNLOAD_FAILURES:
            scope[DOWNLOAD] = found
        else:
            delay = found.options.delay_seconds
            await asyncio.sleep(DEFAULT_DELAY_SECONDS if delay is None else delay)
            return True
        return False

    async def rules(self, now: float, *, fresh: bool = False) -> list[Rule]:
        """The rules at work, oldest first; `fresh` reads them even if that was done a moment ago."""
        if fresh or not self._read_at <= now < self._stale_at:
            await self._read(now)
        return [rule for rule in self._rules if not rule.over(now)]

    async def add(self, wanted: Wanted, *, now: float, actor: str) -> Rule:
        """Puts a rule to work; raises InvalidRequest, or NotFound for a token that is not there."""
        failure = checked(wanted)
        who = next(
            ([name, value] for name in ("accessor", "principal", "cohort") if (value := getattr(wanted, name))), None
        )
        rule = {
            "failure": failure.name,
            "surfaces": list(wanted.surface or failure.usual),
            "rate": None if wanted.next is not None else 1.0 if wanted.rate is None else wanted.rate,
            "who": who,
            "seed": secrets.randbelow(2**31) if wanted.seed is None else wanted.seed,
            "options": wanted.options.given(),
        }
        until = None if wanted.for_seconds is None else now + wanted.for_seconds
        row = faults.FaultRow(f"fault_{secrets.token_hex(6)}", rule, wanted.next, 0, now, until)

        def work(tx: Connection) -> None:
            if wanted.accessor is not None and tokens.by_accessor(tx, wanted.accessor) is None:
                raise NotFound(f"There is no token {wanted.accessor[:80]!r}.", param="accessor", code="token_not_found")
            faults.insert(tx, row)
            data = {"rule": row.id, **rule, "next": wanted.next, "until": until}
            events.append(tx, EventKind.FAULT_SET, at=now, actor=actor, data=data)

        await self._store.write(work)
        self.forget()
        return Rule.of(row)

    async def remove(self, id: str, *, now: float, actor: str) -> Rule:
        """Takes a rule away; raises NotFound."""

        def work(tx: Connection) -> faults.FaultRow | None:
            row = faults.delete(tx, id)
            if row is not None:
                _tell(tx, EventKind.FAULT_REMOVED, row, now, actor, {})
            return row

        row = await self._store.write(work)
        if row is None:
            raise NotFound(f"There is no fault {id[:80]!r}.", param="fault_id", code="fault_not_found")
        self.forget()
        return Rule.of(row)

    async def clear(self, *, now: float, actor: str) -> list[Rule]:
        """Takes every rule away; those that were at work."""

        def work(tx: Connection) -> list[faults.FaultRow]:
            rows = faults.everything(tx)
            for row in rows:
                faults.delete(tx, row.id)
                _tell(tx, EventKind.FAULT_REMOVED, row, now, actor, {})
            return rows

        rows = await self._store.write(work)
        self.forget()
        return [Rule.of(row) for row in rows]

    async def still_accepted(self, accessor: str) -> bool:
        """Whether a transfer with this token may go on: what lasts longer because of a fault must ask again."""
        return await self._store.read(lambda tx: tokens.may_transfer(tx, accessor, self._clock.now()))

    def forget(self) -> None:
        """Reads the rules anew before the next request is judged."""
        self._stale_at = -math.inf

    async def _from_header(self, token: Token, scope: Scope, surface: str, now: float) -> Strike | None:
        if not self._header:
            return None
        texts = [value.decode("latin-1") for name, value in scope["headers"] if name == HEADER]
        if not texts:
            return None
        if len(texts) > 1:
            raise InvalidRequest("Send one leakdrill-fault header, not several.", param="leakdrill-fault")
        failure, options = from_header(texts[0])
        if surface not in failure.surfaces:
            raise InvalidRequest(
                f"{failure.name} does not strike this call; it strikes {', '.join(failure.surfaces)}.",
                param="leakdrill-fault",
            )
        strike = Strike(failure.name, options, token.accessor, None)
        await self._store.write(lambda tx: _record(tx, strike, surface, now), brief=True)
        return strike

    async def _from_rules(self, token: Token, surface: str, now: float) -> Strike | None:
        for rule in await self.rules(now):
            if not rule.concerns(token, surface, now):
                continue
            number = self._seen[rule.id] = self._seen.get(rule.id, 0) + 1
            if not rule.strikes(number):
                continue
            strike = Strike(rule.failure, rule.options, token.accessor, rule.id)
            if await self._store.write(lambda tx, strike=strike: _strike(tx, strike, surface, now), brief=True):  # type: ignore[misc]
                if rule.remaining is not None:
                    self.forget()
                return strike
            self.forget()  # over, used up or taken away elsewhere
        return None

    async def _read(self, now: float) -> None:
        rows = await self._store.read(faults.everything)
        found = [Rule.of(row) for row in rows]
        if any(rule.over(now) for rule in found):
            await self._store.write(lambda tx: _expire(tx, now), brief=True)
        self._rules = [rule for rule in found if not rule.over(now)]
        self._seen = {rule.id: self._seen[rule.id] for rule in self._rules if rule.id in self._seen}
        self._read_at, self._stale_at = now, now + READ_SECONDS


def _strike(tx: Connection, strike: Strike, surface: str, now: float) -> bool:
    row = faults.strike(tx, strike.rule or "", now)
    if row is None:
        return False
    _record(tx, strike, surface, now)
    if row.remaining == 0:
        faults.delete(tx, row.id)
        _tell(tx, EventKind.FAULT_EXPIRED, row, now, "gateway", {"why": "used up"})
    return True


def _record(tx: Connection, strike: Strike, surface: str, now: float) -> None:
    data = {"failure": strike.failure, "surface": surface, "rule": strike.rule}
    events.append(tx, EventKind.FAULT_STRUCK, at=now, actor="gateway", accessor=strike.accessor, data=data)


def _expire(tx: Connection, now: float) -> None:
    for row in faults.everything(tx):
        if Rule.of(row).over(now) and faults.delete(tx, row.id):
            _tell(tx, EventKind.FAULT_EXPIRED, row, now, "gateway", {"why": "time"})


def _tell(
    tx: Connection, kind: EventKind, row: faults.FaultRow, now: float, actor: str, more: dict[str, object]
) -> None:
    data = {"rule": row.id, "failure": row.rule["failure"], "fired": row.fired, **more}
    events.append(tx, kind, at=now, actor=actor, data=data)
