"""Child tokens: a bearer mints tokens with less than it has itself, and they live no longer than it does.

A child is judged by its own row and by every row above it, at each request; a revocation takes the children in its own
transaction. The parent is judged in the transaction that mints, so that no child slips past a revocation.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gateway.errors import Conflict, InvalidRequest
from gateway.store import Connection, Store, tokens
from gateway.store.tokens import MAX_DEPTH, Token, TokenState
from gateway.tokens import secret as secrets_format
from gateway.tokens import service
from gateway.tokens.service import MINT

MAX_CHILDREN = 1000  # alive, of one token


@dataclass(frozen=True)
class NewChild:
    """What to mint. Without `scopes`, all of the parent's but minting. `expires_in` is seconds; what would outlive the
    parent ends with it. `in_flight` is as in `NewToken`."""

    scopes: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    expires_in: float | None = None
    in_flight: int | None = None


async def mint(store: Store, key: bytes, parent: Token, new: NewChild, *, now: float) -> tuple[str, Token]:
    """A new secret, shown this once, and its row: the parent's principal, cohort, tier and account of credits.

    Raises InvalidCredentials or InsufficientScope where the parent may not mint any more, InvalidRequest for a scope
    that it cannot give, Conflict for too many children or while minting is frozen.
    """
    secret = secrets_format.mint()

    def work(tx: Connection) -> Token:
        present = service.ensure_still_good(tx, parent, MINT, now)
        if tokens.count_children(tx, present.accessor, now) >= MAX_CHILDREN:
            raise Conflict(f"This token has {MAX_CHILDREN} children alive, which is the limit.", code="too_many_tokens")
        wanted = None if new.expires_in is None else now + new.expires_in
        child = Token(
            accessor=f"tok_{secrets.token_hex(8)}",
            principal=present.principal,
            cohort=present.cohort,
            scopes=_given(tx, present, new.scopes),
            labels=new.labels,
            tier=present.tier,
            state=TokenState.ACTIVE,
            created_at=now,
            expires_at=min((end for end in (wanted, present.expires_at) if end is not None), default=None),
            last_used_at=None,
            revoked_at=None,
            revoked_reason=None,
            revocation=None,
            parent=present.accessor,
            account=present.account,
        )
        service.add(tx, key, secret, child, in_flight=new.in_flight, now=now, actor=present.principal)
        return child

    return secret, await store.write(work)


def _given(tx: Connection, parent: Token, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    if wanted is None:
        wanted = tuple(scope for scope in parent.scopes if scope != MINT)
    missing = [scope for scope in wanted if scope not in parent.scopes]
    if missing or not wanted:
        raise InvalidRequest(
            f"A token gives only scopes that it has itself, which are {', '.join(parent.scopes)}; "
            f"{', '.join(missing) or 'none but minting'} cannot be given.",
            param="scopes",
            code="invalid_scope",
        )
    if MINT in wanted and tokens.depth(tx, parent) + 1 >= MAX_DEPTH:
        raise InvalidRequest(
            f"Tokens mint tokens {MAX_DEPTH} deep, and a child of this one would be the last: it cannot have {MINT}.",
            param="scopes",
            code="invalid_scope",
        )
    return wanted
