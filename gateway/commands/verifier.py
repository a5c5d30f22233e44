"""Judges a Security Event Token as its receiver must, with nothing but what the transmitter publishes.

Sources: RFC 8417 (the token), RFC 8935 section 2.4 (the codes of a refusal), RFC 8725 section 3 (what to insist on).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gateway.errors import LeakdrillError

#: Every code there is (RFC 8935, section 2.4).
ERRS = (
    "invalid_request",
    "invalid_key",
    "invalid_issuer",
    "invalid_audience",
    "authentication_failed",
    "access_denied",
)
MIN_BITS = 2048


class SetRefused(LeakdrillError):
    """The token must not be believed. `err` is one of ERRS."""

    def __init__(self, err: str, description: str) -> None:
        super().__init__(f"{err}: {description}")
        self.err = err
        self.description = description


@dataclass(frozen=True)
class Event:
    """What a token that holds says: `kind` is the last word of the event's name."""

    jti: str
    txn: str | None
    kind: str
    subject: str
    claims: Mapping[str, Any]


@dataclass(frozen=True)
class Verifier:
    """What a receiver insists on. `key_of` is the public key that an identifier names, or None."""

    issuer: str
    audience: str
    key_of: Callable[[str], rsa.RSAPublicKey | None]

    def check(self, body: bytes) -> Event:
        """The event; raises SetRefused."""
        parts = body.split(b".")
        if len(parts) != 3:
            raise SetRefused("invalid_request", "the body is no JWT: it has not three parts")
        header, claims = _object(parts[0], "header"), _object(parts[1], "claims")
        self._check_signature(header, b".".join(parts[:2]), _decoded(parts[2], "signature"))
        if claims.get("iss") != self.issuer:
            raise SetRefused("invalid_issuer", f"iss is not {self.issuer}")
        audiences = claims["aud"] if isinstance(claims.get("aud"), list) else [claims.get("aud")]
        if self.audience not in audiences:
            raise SetRefused("invalid_audience", f"aud is not {self.audience}")
        return _event(claims)

    def _check_signature(self, header: dict[str, Any], signed: bytes, signature: bytes) -> None:
        if str(header.get("typ", "")).lower() not in ("secevent+jwt", "application/secevent+jwt"):
            raise SetRefused("invalid_request", "typ is not secevent+jwt")
        if header.get("alg") != "RS256" or "crit" in header:
            raise SetRefused("invalid_key", "only RS256 is believed here")
        key = self.key_of(str(header.get("kid")))
        if key is None or key.key_size < MIN_BITS:
            raise SetRefused("invalid_key", "the transmitter publishes no such key of 2048 bits or more")
        try:
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as exc:
            raise SetRefused("invalid_key", "the signature is not that key's") from exc


def public_keys(jwks: Any) -> dict[str, rsa.RSAPublicKey]:
    """The RSA keys of a JWK set by their identifier; raises ValueError for what is none."""
    try:
        listed = [one for one in jwks["keys"] if one["kty"] == "RSA"]
        return {one["kid"]: _key(one) for one in listed}
    except (KeyError, TypeError, SetRefused) as exc:
        raise ValueError(f"no JWK set with named RSA keys: {exc}") from exc


def _key(jwk: Mapping[str, str]) -> rsa.RSAPublicKey:
    e, n = (int.from_bytes(_decoded(jwk[name].encode(), name), "big") for name in ("e", "n"))
    return rsa.RSAPublicNumbers(e, n).public_key()


def _event(claims: dict[str, Any]) -> Event:
    for name, kind in (("jti", str), ("iat", int), ("events", dict)):
        if not isinstance(claims.get(name), kind) or not claims[name]:
            raise SetRefused("invalid_request", f"{name} is missing or of another type")
    for name in ("exp", "sub"):
        if name in claims:
            raise SetRefused("invalid_request", f"{name} has no place in a security event")
    subject = claims.get("sub_id")
    if not isinstance(subject, dict) or not isinstance(subject.get("format"), str):
        raise SetRefused("invalid_request", "sub_id is missing or has no format")
    if len(claims["events"]) != 1:
        raise SetRefused("invalid_request", "events holds not one event")
    ((uri, event),) = claims["events"].items()
    if not isinstance(event, dict):
        raise SetRefused("invalid_request", "the event is no object")
    named = " ".join(str(value) for name, value in subject.items() if name != "format")
    return Event(claims["jti"], claims.get("txn"), uri.rpartition("/")[2], named, claims)


def _object(part: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(_decoded(part, what))
    except (ValueError, RecursionError) as exc:
        raise SetRefused("invalid_request", f"the {what} is no JSON") from exc
    if not isinstance(value, dict):
        raise SetRefused("invalid_request", f"the {what} is no JSON object")
    return value


def _decoded(part: bytes, what: str) -> bytes:
    """Base64url without padding (RFC 7515, section 2)."""
    try:
        return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError as exc:
        raise SetRefused("invalid_request", f"the {what} is no base64url") from exc
