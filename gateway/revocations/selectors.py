"""Whose access is meant."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import InvalidRequest
from gateway.store.tokens import Token, TokenFilter
from gateway.tokens import secret as secrets_format

FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Selector:
    """Whose access ends, and that of all they minted. Exactly one field is given.

    `token` is the secret itself, `fingerprint` its SHA-256 as 64 hexadecimal digits, with or without `sha256:` before
    them; `issued_before` Unix seconds, `everyone` all tokens.
    """

    token: str | None = None
    accessor: str | None = None
    principal: str | None = None
    cohort: str | None = None
    label: str | None = None
    fingerprint: str | None = None
    issued_before: float | None = None
    everyone: bool = False

    def which(self, key: bytes) -> TokenFilter:
        """The same as a filter over rows; raises InvalidRequest for a malformed secret or fingerprint."""
        if self.token is not None and not secrets_format.well_formed(self.token):
            raise InvalidRequest(
                "selector.token is not a token: it must be ldk_ and 36 characters whose checksum holds.",
                param="selector.token",
            )
        printed = None if self.fingerprint is None else self.fingerprint.lower().removeprefix("sha256:")
        if printed is not None and FINGERPRINT.fullmatch(printed) is None:
            raise InvalidRequest(
                "selector.fingerprint is no SHA-256: send 64 hexadecimal digits of the whole token's digest.",
                param="selector.fingerprint",
            )
        return TokenFilter(
            secret_hash=None if self.token is None else secrets_format.keyed_hash(key, self.token),
            accessor=self.accessor,
            principal=self.principal,
            cohort=self.cohort,
            label=self.label,
            fingerprint=printed,
            issued_before=self.issued_before,
        )

    def described(self, matched: list[Token]) -> dict[str, object]:
        """For the record: never the secret, but the accessor it belongs to."""
        if self.everyone:
            return {"all": True}
        if self.token is not None:
            return {"accessor": matched[0].accessor}
        named = {
            "accessor": self.accessor,
            "principal": self.principal,
            "cohort": self.cohort,
            "label": self.label,
            "fingerprint": self.fingerprint,
        }
        given: dict[str, object] = {name: value for name, value in named.items() if value is not None}
        return given or {"issued_before": self.issued_before}
