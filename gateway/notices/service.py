"""What becomes of reported tokens.

A batch is recorded as one transaction: its notices, the events, and the quarantines. Revocations are made before it,
each the one transaction that any revocation is, so that nothing counts as reported whose token may still be alive; a
batch that breaks off in between is simply sent again.

A notice that was taken before, to the letter, changes nothing: neither a replayed batch nor a repeated report undoes
what an operator decided since. The same token in another place is news, and is treated as such.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.clock import Clock
from gateway.errors import APIError, NotFound, SignatureRefused
from gateway.events import EventKind
from gateway.notices.keys import KeyFile, ReporterKey
from gateway.notices.reading import MAX_RECORDED, Notice
from gateway.revocations import service as revocation_service
from gateway.revocations.service import Selector
from gateway.signals import Cause, outbox
from gateway.store import Connection, Store, defects, disclosures, events, tokens
from gateway.store.defects import Defect
from gateway.store.disclosures import Disclosure
from gateway.store.tokens import Token, TokenFilter, TokenState
from gateway.tokens import secret as secrets_format

Policy = Literal["observe", "quarantine", "revoke"]

ACTOR = "reporter"
REFUSALS_EVERY = 60.0  # seconds between two events about refusals with the same code


class Intake:
    """What a gateway keeps in memory for its reporters: their keys, and which refusals it has told of lately."""

    def __init__(self, key_file: Path) -> None:
        self.keys = KeyFile(key_file)
        self._told: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def key(self, identifiers: Sequence[str], signatures: Sequence[str]) -> ReporterKey:
        """The current key that one header names; raises SignatureRefused before anything of a body is read."""
        if len(identifiers) != 1 or len(signatures) != 1 or not identifiers[0] or not signatures[0]:
            raise SignatureRefused(
                "Send one Github-Public-Key-Identifier and one Github-Public-Key-Signature with the notice.",
                code="missing_signature",
            )
        key = self.keys.named(identifiers[0])
        if key is None:
            raise SignatureRefused("No reporter's key has this identifier.", code="unknown_key")
        if not key.is_current:
            raise SignatureRefused("This key is retired; sign with a current one.", code="retired_key")
        return key

    async def note_refusal(self, store: Store, error: APIError, identifier: str, *, now: float) -> None:
        """Tells the event list, once a minute for each code: who may not report shall not fill the list either."""
        code = error.error_code
        if now - self._told.get(code, float("-inf")) < REFUSALS_EVERY:
            self._untold[code] += 1
            return
        self._told[code] = now
        data = {"code": code, "key": _printable(identifier), "untold_before": self._untold.pop(code, 0)}
        await store.write(
            lambda tx: events.append(tx, EventKind.DISCLOSURE_REFUSED, at=now, actor=ACTOR, data=data), brief=True
        )


@dataclass(frozen=True)
class _Handed:
    """A distinct notice of a batch. `id` stands for it, and tells nothing of its token without the key; `hashed` is by
    what the token's row is found, None for what cannot be one of our tokens."""

    notice: Notice
    id: bytes
    hashed: bytes | None


async def receive(
    store: Store, key: bytes, notices: Sequence[Notice], *, reporter: str, policy: Policy, clock: Clock
) -> list[bool]:
    """Takes a batch whose signature holds; for each notice, in order, whether its token is one of ours.

    A token that ended already is ours all the same. Looking one up is no use of it.
    """
    handed = [_handed(key, notice) for notice in notices]
    distinct = list({one.id: one for one in handed}.values())
    if await defects.on_in(store, Defect.ALERT_LOST):
        return await store.read(lambda tx: [_found(tx, one) is not None for one in handed])
    if await defects.on_in(store, Defect.ALERT_TWICE):
        distinct += distinct
    told = await _revoke(store, key, distinct, reporter, clock) if policy == "revoke" else set[str]()

    def work(tx: Connection) -> dict[bytes, bool]:
        return _take(tx, distinct, told, items=len(handed), reporter=reporter, policy=policy, now=clock.now())

    ours = await store.write(work) if distinct else {}
    return [ours[one.id] for one in handed]


def _handed(key: bytes, notice: Notice) -> _Handed:
    text = json.dumps([notice.token, notice.type, notice.url, notice.source])
    ours = secrets_format.well_formed(notice.token)
    hashed = secrets_format.keyed_hash(key, notice.token) if ours else None
    return _Handed(notice, secrets_format.keyed_hash(key, text), hashed)


def _found(tx: Connection, one: _Handed) -> Token | None:
    """The token's own row. The checksum has spared us the question where it is none of ours."""
    return next(iter(tokens.find(tx, TokenFilter(secret_hash=one.hashed), 1)), None) if one.hashed else None


async def _revoke(store: Store, key: bytes, distinct: Sequence[_Handed], reporter: str, clock: Clock) -> set[str]:
    """Revokes what is alive; the accessors of which sinks have been told with it that they are known to others."""

    def owed(tx: Connection) -> dict[str, Notice]:
        news = [(one.notice, _found(tx, one)) for one in distinct if not disclosures.known(tx, one.id)]
        live = [(token, notice) for notice, token in news if token and token.state is not TokenState.REVOKED]
        return {token.accessor: notice for token, notice in reversed(live)}

    async def revoke(accessor: str, notice: Notice) -> None:
        await revocation_service.apply(
            store,
            key,
            Selector(accessor=accessor),
            reason=_reason(reporter, notice),
            actor=ACTOR,
            clock=clock,
            disclosure=_new_cause(),
        )

    # Together, so that they share commits.
    reported = await store.read(owed)
    ended = await asyncio.gather(*(revoke(*one) for one in reported.items()), return_exceptions=True)
    for error in ended:
        # A reset may have come between; then there is no token to revoke.
        if error is not None and not isinstance(error, NotFound):
            raise error
    return set(reported)


def _new_cause() -> str:
    return f"dis_{secrets.token_hex(8)}"


def _reason(reporter: str, notice: Notice) -> str:
    place = notice.recorded("url") or notice.recorded("source") or "an unnamed place"
    return f"disclosed by {reporter}: found at {place}"


def _take(
    tx: Connection,
    distinct: Sequence[_Handed],
    told: set[str],
    *,
    items: int,
    reporter: str,
    policy: Policy,
    now: float,
) -> dict[bytes, bool]:
    """Records the batch. Sinks learn of each token once in a batch, and not of those in `told`."""
    ours, news = {}, Counter[bool]()
    for one in distinct:
        token = _found(tx, one)
        ours[one.id] = token is not None
        known = disclosures.known(tx, one.id)
        if known and not defects.on(tx, Defect.ALERT_TWICE):
            continue
        news[ours[one.id]] += 1
        notice = one.notice
        cause = Cause(_new_cause(), now, ACTOR, _reason(reporter, notice))
        if token is not None and token.accessor not in told:
            told.add(token.accessor)
            outbox.compromised(tx, token.accessor, cause)
        outcome = "false_positive" if token is None else _move(tx, token, policy, cause)
        fields = {name: notice.recorded(name) for name in ("type", "source", "url")}
        accessor = None if token is None else token.accessor
        if not known:
            disclosures.insert(tx, Disclosure(one.id, accessor, reporter, **fields, outcome=outcome, at=now))
        if token is not None:
            data = {"reporter": reporter, **fields, "policy": policy, "outcome": outcome}
            events.append(tx, EventKind.DISCLOSURE_MATCHED, at=now, actor=ACTOR, accessor=accessor, data=data)
    if news:
        counts: dict[str, object] = {
            "reporter": reporter,
            "items": items,
            "repeated": items - news.total(),
            "true_positives": news[True],
            "false_positives": news[False],
        }
        events.append(tx, EventKind.DISCLOSURE_RECEIVED, at=now, actor=ACTOR, data=counts)
    return ours


def _move(tx: Connection, token: Token, policy: Policy, cause: Cause) -> str:
    """Quarantines where that is a step down; what the token is afterwards."""
    if policy != "quarantine" or token.state is not TokenState.ACTIVE:
        return str(token.state)
    to = TokenState.QUARANTINED
    tokens.set_state(tx, token.accessor, to, at=cause.at)
    data = {"from": str(token.state), "to": str(to)}
    events.append(tx, EventKind.TOKEN_STATE_CHANGED, at=cause.at, actor=ACTOR, accessor=token.accessor, data=data)
    outbox.state_changed(tx, token.accessor, token.state, to, cause)
    return str(to)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)[:MAX_RECORDED]
