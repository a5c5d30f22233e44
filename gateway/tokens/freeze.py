"""The mint freeze: while it lasts no token is issued, by anybody, with the scopes it names.

It is read in the transaction that issues, so that no token slips past it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from gateway.errors import Conflict
from gateway.events import EventKind
from gateway.store import Connection, Store, events, exercise


@dataclass(frozen=True)
class Freeze:
    """`scopes` are those that are frozen; empty means every token. `since` is Unix seconds."""

    scopes: tuple[str, ...]
    since: float


async def show(store: Store) -> Freeze | None:
    """The freeze in force, or None."""
    return await store.read(in_force)


async def put(store: Store, scopes: Iterable[str] | None, *, now: float, actor: str) -> Freeze | None:
    """Freezes those scopes and no others, all of them where none is named; None thaws. To what is in force already it
    changes nothing."""
    return await store.write(lambda tx: put_in(tx, scopes, now=now, actor=actor))


def put_in(tx: Connection, scopes: Iterable[str] | None, *, now: float, actor: str) -> Freeze | None:
    """The same as a part of a transaction."""
    wanted = None if scopes is None else tuple(dict.fromkeys(scopes))
    before = in_force(tx)
    if (None if before is None else before.scopes) == wanted:
        return before
    after = None if wanted is None else Freeze(wanted, now)
    exercise.set_mint_freeze(tx, None if after is None else json.dumps(asdict(after)))
    kind = EventKind.MINT_THAWED if after is None else EventKind.MINT_FROZEN
    events.append(tx, kind, at=now, actor=actor, data={"scopes": list(wanted or ()) or ["*"]})
    return after


def in_force(tx: Connection) -> Freeze | None:
    """The freeze as this transaction sees it."""
    text = exercise.mint_freeze(tx)
    if text is None:
        return None
    fields = json.loads(text)
    return Freeze(tuple(fields["scopes"]), fields["since"])


def ensure_thawed(tx: Connection, scopes: Iterable[str]) -> None:
    """Raises Conflict (`minting_frozen`) where a token with one of those scopes may not be issued now."""
    freeze = in_force(tx)
    if freeze is None:
        return
    hit = [scope for scope in scopes if not freeze.scopes or scope in freeze.scopes]
    if hit:
        raise Conflict(
            f"No token is issued with {', '.join(hit)} at present: an operator has frozen it.",
            param="scopes",
            code="minting_frozen",
            headers={"x-should-retry": "false"},
        )
