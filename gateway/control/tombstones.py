"""One token with all that is known of it."""

from __future__ import annotations

from pydantic import BaseModel

from gateway.tokens import Token
from gateway.tokens.tombstone import Tombstone
from gateway.web.schemas import TokenInfo


class TokenUse(BaseModel):
    """Requests that were accepted at one surface of one gateway; `late` of them began after the revocation was
    acknowledged. `last_accepted_at` is when the last one began."""

    surface: str
    replica: str
    accepted: int
    late: int
    last_accepted_at: float


class TokenDetail(TokenInfo):
    """`first_misuse_at` is the first refused request after the revocation; the other fields tell who disclosed the
    token first, where, how many notices named it, and how it was used, the latest first."""

    first_misuse_at: float | None
    reporter: str | None
    reported_at: float | None
    reported_source: str | None
    reported_url: str | None
    reports: int
    uses: list[TokenUse]

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
            uses=[TokenUse(**vars(one)) for one in tombstone.uses],
        )
