"""What is known of a token besides its row: how it was used, who disclosed it, and when it was first tried after its
end."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store import Connection, Store, disclosures, events, uses
from gateway.store.disclosures import Disclosure
from gateway.store.tokens import Token
from gateway.store.uses import Use


@dataclass(frozen=True)
class Tombstone:
    """`first_misuse_at` is the first request that was refused because the token was revoked, Unix seconds; `disclosed`
    the first of `reports` notices that named the token; `uses` are those that were accepted, the latest first."""

    first_misuse_at: float | None
    disclosed: Disclosure | None
    reports: int
    uses: list[Use]


async def inscription(store: Store, token: Token) -> Tombstone:
    """As it stands; reading it is no use of the token."""

    def work(tx: Connection) -> Tombstone:
        misuse = None if token.revoked_at is None else events.first_misuse(tx, token.accessor, token.revoked_at)
        first = disclosures.first_of_token(tx, token.accessor)
        reports = disclosures.count_of_token(tx, token.accessor)
        return Tombstone(misuse, first, reports, uses.of_token(tx, token.accessor))

    return await store.read(work)
