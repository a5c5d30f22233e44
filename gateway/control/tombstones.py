"""One token with all that is known of it."""

from __future__ import annotations

from pydantic import BaseModel

from gateway.limits.credits import Account
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


class AccountInfo(BaseModel):
    """An account of credits by the accessor of the token that it was issued with. `reserved` is held for videos under
    way, `available` what may still be reserved."""

    account: str
    granted: int
    reserved: int
    spent: int
    released: int
    available: int

    @classmethod
    def of(cls, account: Account) -> AccountInfo:
        """As it stands."""
        return cls(
            account=account.id,
            granted=account.granted,
            reserved=account.reserved,
            spent=account.spent,
            released=account.released,
            available=account.available,
        )


class TokenDetail(TokenInfo):
    """`first_misuse_at` is the first refused request after the revocation; the other fields tell who disclosed the
    token first, where, how many notices named it, and how it was used, the latest first. `credits` is the account that
    it draws on."""

    first_misuse_at: float | None
    reporter: str | None
    reported_at: float | None
    reported_source: str | None
    reported_url: str | None
    reports: int
    uses: list[TokenUse]
    credits: AccountInfo | None

    @classmethod
    def of_everything(cls, token: Token, tombstone: Tombstone, account: Account | None, now: float) -> TokenDetail:
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
            credits=None if account is None else AccountInfo.of(account),
        )
