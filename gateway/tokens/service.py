"""Issue, check, list, move on the ladder, introspect."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from gateway.errors import Conflict, InsufficientScope, InvalidCredentials, NotFound
from gateway.events import EventKind
from gateway.signals import Cause, outbox
from gateway.store import Connection, Store, events, messages, tokens
from gateway.store import credits as accounts
from gateway.store.tokens import Token, TokenFilter, TokenState
from gateway.tokens import freeze
from gateway.tokens import secret as secrets_format

READ = "videos:read"
WRITE = "videos:write"
MINT = "tokens:mint"  # only where it is asked for
SCOPES = (READ, WRITE)
ALL_SCOPES = (*SCOPES, MINT)

REFUSAL = (
    "Incorrect API key provided. It is unknown, expired or no longer accepted; ask whoever gave it to you for another."
)

# Which moves an operator may make by hand. Revocation is its own transaction, and nothing leads back from it.
LADDER: dict[TokenState, frozenset[TokenState]] = {
    TokenState.ACTIVE: frozenset({TokenState.QUARANTINED, TokenState.SUSPENDED}),
    TokenState.QUARANTINED: frozenset({TokenState.ACTIVE, TokenState.SUSPENDED}),
    TokenState.SUSPENDED: frozenset({TokenState.ACTIVE, TokenState.QUARANTINED}),
    TokenState.REVOKED: frozenset(),
}


@dataclass(frozen=True)
class NewToken:
    """What to issue. `expires_in` is seconds; None never expires. `in_flight` is how many of its jobs may be rendered
    at once, as its tier says; None means any number. `credits` is what its videos, and those of all it mints, may cost;
    None is unmetered."""

    principal: str
    cohort: str
    scopes: tuple[str, ...] = SCOPES
    labels: tuple[str, ...] = ()
    expires_in: float | None = None
    tier: str = "standard"
    in_flight: int | None = None
    credits: int | None = None


async def issue(store: Store, key: bytes, new: NewToken, *, now: float, actor: str) -> tuple[str, Token]:
    """A new secret, shown this once, and its row. Raises Conflict while minting is frozen."""
    secret = secrets_format.mint()
    accessor = f"tok_{secrets.token_hex(8)}"
    token = Token(
        accessor=accessor,
        principal=new.principal,
        cohort=new.cohort,
        scopes=new.scopes,
        labels=new.labels,
        tier=new.tier,
        state=TokenState.ACTIVE,
        created_at=now,
        expires_at=None if new.expires_in is None else now + new.expires_in,
        last_used_at=None,
        revoked_at=None,
        revoked_reason=None,
        revocation=None,
        account=None if new.credits is None else accessor,
    )

    def work(tx: Connection) -> None:
        if new.credits is not None:
            accounts.open_account(tx, accessor, new.credits, at=now)
        add(tx, key, secret, token, in_flight=new.in_flight, now=now, actor=actor, credits=new.credits)

    await store.write(work)
    return secret, token


def add(
    tx: Connection,
    key: bytes,
    secret: str,
    token: Token,
    *,
    in_flight: int | None,
    now: float,
    actor: str,
    credits: int | None = None,
) -> None:
    """Adds a token's row and its event; raises Conflict while minting is frozen for its scopes. `credits` is what the
    account was opened with that came with it."""
    freeze.ensure_thawed(tx, token.scopes)
    hashed, fingerprint = secrets_format.keyed_hash(key, secret), secrets_format.fingerprint(secret)
    tokens.insert(tx, token, hashed, fingerprint, in_flight=in_flight)
    data: dict[str, object] = {
        "principal": token.principal,
        "cohort": token.cohort,
        "scopes": list(token.scopes),
    }
    if token.parent is not None:
        data["parent"] = token.parent
    if credits is not None:
        data["credits"] = credits
    events.append(tx, EventKind.TOKEN_ISSUED, at=now, actor=actor, accessor=token.accessor, data=data)


def missing(scheme: str) -> InvalidCredentials:
    """What is told where no token was shown; `scheme` is how it is shown there."""
    text = f"You did not provide an API key. Send it as `Authorization: {scheme} …`."
    return InvalidCredentials(text, given=False, reason="missing")


def hash_of(key: bytes, bearer: str) -> bytes:
    """By what the bearer's row is found; raises InvalidCredentials for one that cannot be a token."""
    if not secrets_format.well_formed(bearer):
        raise InvalidCredentials(REFUSAL, reason="malformed")
    return secrets_format.keyed_hash(key, bearer)


def refusal() -> InvalidCredentials:
    """What a bearer is told that is not accepted any more."""
    return InvalidCredentials(REFUSAL)


async def by_hash(store: Store, secret_hash: bytes) -> Token | None:
    """The bearer's row as it is now."""
    return await store.read(lambda tx: tokens.by_hash(tx, secret_hash), snapshot=False)


def ensure_accepted(token: Token | None, now: float) -> Token:
    """Raises InvalidCredentials unless requests with this token are accepted now."""
    if token is None:
        raise InvalidCredentials(REFUSAL, reason="unknown")
    if not token.accepted(now):
        raise InvalidCredentials(REFUSAL, accessor=token.accessor, reason=token.shown_state(now))
    return token


def ensure_scope(token: Token, scope: str) -> None:
    """Raises InsufficientScope where the token lacks `scope`, or is quarantined and the scope is risky."""
    if scope not in token.scopes:
        raise InsufficientScope(
            f"This token has no scope {scope}.", scope=scope, accessor=token.accessor, reason="scope"
        )
    if token.state is TokenState.QUARANTINED and scope != READ:
        raise InsufficientScope(
            "This token is quarantined: it may read, not create.",
            scope=scope,
            accessor=token.accessor,
            reason="quarantined",
        )


def ensure_still_good(tx: Connection, token: Token, scope: str, now: float) -> Token:
    """The same judgement once more, on the row as this transaction sees it: no change slips past a revocation that
    came between the request's check and its commit. The token's other columns may be those of the request's check."""
    current = ensure_accepted(token if tokens.stands_as(tx, token) else tokens.by_accessor(tx, token.accessor), now)
    ensure_scope(current, scope)
    return current


async def find(store: Store, which: TokenFilter, limit: int) -> list[Token]:
    """Tokens that match, oldest first."""
    return await store.read(lambda tx: tokens.find(tx, which, limit))


async def show(store: Store, accessor: str) -> Token:
    """One token's own row; raises NotFound."""
    token = await store.read(lambda tx: tokens.own_row(tx, accessor))
    if token is None:
        raise NotFound(f"There is no token {accessor!r}.", param="accessor", code="token_not_found")
    return token


async def change_state(store: Store, accessor: str, to: TokenState, *, now: float, actor: str) -> Token:
    """Moves a token on the ladder; raises NotFound, or Conflict for an illegal move, which is an event too. Moving to
    where it is does nothing. What it minted is refused and comes back with it; those rows stay as they are."""

    def work(tx: Connection) -> Token | Conflict | None:
        token = tokens.own_row(tx, accessor)
        if token is None or token.state is to:
            return token
        legal = to in LADDER[token.state]
        kind = EventKind.TOKEN_STATE_CHANGED if legal else EventKind.TOKEN_MOVE_REFUSED
        data = {"from": str(token.state), "to": str(to)}
        events.append(tx, kind, at=now, actor=actor, accessor=accessor, data=data)
        if not legal:
            return _illegal(token.state, to)
        tokens.set_state(tx, accessor, to, at=now)
        messages.refill_all(tx)  # its own jobs, and those of whatever it minted, may go on
        outbox.state_changed(tx, accessor, token.state, to, Cause(outbox.new_txn(), now, actor, ""))
        return replace(token, state=to)

    outcome = await store.write(work)
    if outcome is None:
        raise NotFound(f"There is no token {accessor!r}.", param="accessor", code="token_not_found")
    if isinstance(outcome, Conflict):
        raise outcome
    return outcome


def _illegal(state: TokenState, to: TokenState) -> Conflict:
    ways = " or ".join(sorted(LADDER[state])) or "nothing: revoked is final, issue a new token"
    return Conflict(f"A {state} token cannot become {to}; it can become {ways}.", param="state")


async def introspect(store: Store, key: bytes, secret: str, *, now: float) -> Token | None:
    """The token if it is accepted now, else None (RFC 7662: an inactive token gets no reason)."""
    if not secrets_format.well_formed(secret):
        return None
    secret_hash = secrets_format.keyed_hash(key, secret)
    token = await store.read(lambda tx: tokens.by_hash(tx, secret_hash))
    return token if token is not None and token.accepted(now) else None


async def record_refusal(
    store: Store, *, accessor: str, surface: str, use: str, replica: str, reason: str, now: float
) -> None:
    """Refused use of a known token is evidence of continued abuse: it goes to the event list. `surface` is the route,
    `use` the surface as the effect report names it."""
    data = {"surface": surface, "use": use, "replica": replica, "reason": reason}
    await store.write(
        lambda tx: events.append(tx, EventKind.REQUEST_REFUSED, at=now, actor="bearer", accessor=accessor, data=data)
    )
