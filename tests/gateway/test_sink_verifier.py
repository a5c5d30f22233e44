"""What `leakdrill sink` believes, and with which code of RFC 8935 it refuses the rest."""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gateway.commands.verifier import SetRefused, Verifier, public_keys
from gateway.signals.keys import SigningKey

ISSUER = "https://gateway.example.test"
AUDIENCE = "https://soc.example.test"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "iat": 1_732_627_800,
    "jti": "set_1",
    "aud": AUDIENCE,
    "txn": "rev_1",
    "sub_id": {"format": "opaque", "id": "tok_1"},
    "events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}},
}


@lru_cache(maxsize=4)
def key(bits: int = 2048, number: int = 0) -> SigningKey:
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=bits))


def signed(claims: Any, header: dict[str, Any] | None = None, by: SigningKey | None = None) -> bytes:
    by = by or key()
    parts = [{"alg": "RS256", "typ": "secevent+jwt", "kid": by.jwk["kid"], **(header or {})}, claims]
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    signature = by.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    return text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


def verifier() -> Verifier:
    return Verifier(ISSUER, AUDIENCE, public_keys({"keys": [key().jwk, {"kty": "EC", "crv": "P-256"}]}).get)


def without(name: str) -> dict[str, Any]:
    return {kept: value for kept, value in CLAIMS.items() if kept != name}


def test_what_the_gateway_signs_holds() -> None:
    event = verifier().check(key().sign(CLAIMS).encode())
    assert (event.jti, event.txn, event.kind, event.subject) == ("set_1", "rev_1", "session-revoked", "tok_1")
    assert event.claims == CLAIMS
    assert verifier().check(signed({**CLAIMS, "aud": ["https://a.test", AUDIENCE]})).jti == "set_1"


@pytest.mark.parametrize(
    ("claims", "err"),
    [
        ({**CLAIMS, "iss": "https://else.example.test"}, "invalid_issuer"),
        (without("iss"), "invalid_issuer"),
        ({**CLAIMS, "aud": "https://else.example.test"}, "invalid_audience"),
        ({**CLAIMS, "aud": []}, "invalid_audience"),
        (without("jti"), "invalid_request"),
        (without("iat"), "invalid_request"),
        (without("sub_id"), "invalid_request"),
        (without("events"), "invalid_request"),
        ({**CLAIMS, "exp": 1_732_627_900}, "invalid_request"),
        ({**CLAIMS, "sub": "tok_1"}, "invalid_request"),
        ({**CLAIMS, "sub_id": {"id": "tok_1"}}, "invalid_request"),
        ({**CLAIMS, "events": {}}, "invalid_request"),
        ({**CLAIMS, "events": {"a": {}, "b": {}}}, "invalid_request"),
        ({**CLAIMS, "events": {"a": 1}}, "invalid_request"),
        (["no object"], "invalid_request"),
    ],
)
def test_claims_that_do_not_fit(claims: Any, err: str) -> None:
    with pytest.raises(SetRefused) as refused:
        verifier().check(signed(claims))
    assert refused.value.err == err


@pytest.mark.parametrize(
    ("header", "err"),
    [
        ({"typ": "JWT"}, "invalid_request"),
        ({"alg": "none"}, "invalid_key"),
        ({"alg": "HS256"}, "invalid_key"),
        ({"kid": "unknown"}, "invalid_key"),
        ({"crit": ["b64"]}, "invalid_key"),
    ],
)
def test_headers_that_are_not_believed(header: dict[str, Any], err: str) -> None:
    with pytest.raises(SetRefused) as refused:
        verifier().check(signed(CLAIMS, header))
    assert refused.value.err == err


def test_a_signature_by_another_key_or_over_other_claims_does_not_hold() -> None:
    forged = signed(CLAIMS, {"kid": key().jwk["kid"]}, by=key(number=1))
    head, _, tail = signed(CLAIMS).split(b".")
    _, other, _ = signed({**CLAIMS, "jti": "set_2"}).split(b".")
    for body in (forged, b".".join((head, other, tail))):
        with pytest.raises(SetRefused) as refused:
            verifier().check(body)
        assert refused.value.err == "invalid_key"


def test_a_short_key_is_not_believed() -> None:
    short = key(1024)
    own = Verifier(ISSUER, AUDIENCE, public_keys({"keys": [short.jwk]}).get)
    with pytest.raises(SetRefused) as refused:
        own.check(signed(CLAIMS, by=short))
    assert refused.value.err == "invalid_key"


@pytest.mark.parametrize("body", [b"", b"a.b", b"a.b.c.d", b"!.!.!", b"e30.e30.*", "ü.ü.ü".encode(), b"W10.W10.W10"])
def test_what_is_no_token_at_all(body: bytes) -> None:
    with pytest.raises(SetRefused) as refused:
        verifier().check(body)
    assert refused.value.err == "invalid_request"


@pytest.mark.parametrize("jwks", [None, [], {}, {"keys": [{"kty": "RSA"}]}, {"keys": [1]}])
def test_what_is_no_set_of_keys(jwks: Any) -> None:
    with pytest.raises(ValueError, match="no JWK set"):
        public_keys(jwks)
