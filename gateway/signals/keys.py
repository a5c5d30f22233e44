"""The key that signs security events: RSA, 2048 bits, made when it is first needed and kept in the data directory.

Sources: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 section 3.3 (RS256), RFC 7638 (the key's name).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.errors import OperatorError
from gateway.tokens.keys import kept

FILE = "signals.pem"
BITS = 2048
TYPE = "secevent+jwt"


@dataclass(frozen=True)
class SigningKey:
    """A private key and its public face."""

    key: rsa.RSAPrivateKey

    @cached_property
    def jwk(self) -> dict[str, str]:
        """The public half; `kid` is its thumbprint."""
        numbers = self.key.public_key().public_numbers()
        required = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
        thumbprint = hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest()
        return {**required, "alg": "RS256", "use": "sig", "kid": _encoded(thumbprint)}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The claims as a signed token. The same claims give the same text."""
        header = {"alg": "RS256", "kid": self.jwk["kid"], "typ": TYPE}
        signed = f"{_encoded(_json(header))}.{_encoded(_json(claims))}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"


class Signer:
    """Where the key lies. A file that is no such key is told at once, by OperatorError. Making one takes some 0.1 s, so
    nobody waits for that who never needs it: the first call makes it, and so both belong in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read = _load(path) if path.exists() else None

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The claims as a signed token."""
        return self._key().sign(claims)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public half as a JWK set."""
        return {"keys": [self._key().jwk]}

    def _key(self) -> SigningKey:
        with self._lock:
            if self._read is None:
                self._read = _load(self._path)
            return self._read


def _load(path: Path) -> SigningKey:
    text = kept(path, _new)
    try:
        key = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError) as exc:
        raise OperatorError(f"{path} is no private key in PEM; delete it to have a new one made") from exc
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < BITS:
        raise OperatorError(f"{path} is no RSA key of {BITS} bits; delete it to have a new one made")
    return SigningKey(key)


def _new() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _encoded(content: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))
