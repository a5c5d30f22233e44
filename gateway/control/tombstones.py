"""One token with all that is known of it."""

from __future__ import annotations

from gateway.tokens import Token
from gateway.tokens.tombstone import Tombstone
from gateway.web.schemas import TokenInfo


class TokenDetail(TokenInfo):
    """`first_misuse_at` is the first refused request after the revocation; the other fields tell who disclosed the
    token first, where, and how many notices named it."""

    first_misuse_at: float | None
    reporter: str | None
    reported_at: float | None
    reported_source: str | None
    reported_url: str | None
    reports: int

    @classmethod
    def with_tombstone(cls, token: Token, tombstone: Tombstone, now: float) -> TokenDetail:
        """The token as it stands at `now`."""
        first = tombstone.disclosed
        return cls(
            **TokenInfo.of(token, now).model_dump(),
            first_misuse_at=tombstone.first_misuse_at,
            reporter=first and first.reporter,
            reported_at=first and first.at,
            reported_source=first and first.source,
            reported_url=first and first.url,
            reports=tombstone.reports,
        )
