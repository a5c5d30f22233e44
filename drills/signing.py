"""The drill's own key for signing notices, as a scanner's partner programme signs them. The target must know it."""

from __future__ import annotations

import base64
import secrets
from typing import Any


class ReporterKey:
    """A P-256 key pair that lives as long as the drill; its secret half is never written."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self.identifier = f"drill-run-{secrets.token_hex(8)}"
        self._key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, body: bytes) -> str:
        """ECDSA with SHA-256 over `body`, DER in base64."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return base64.b64encode(self._key.sign(body, ec.ECDSA(hashes.SHA256()))).decode()

    def public(self) -> dict[str, Any]:
        """The public half, in the shape in which reporters' keys are published."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {"key_identifier": self.identifier, "key": pem.decode(), "is_current": True}

    def headers(self, body: bytes) -> dict[str, str]:
        """What goes with a signed body."""
        return {
            "Content-Type": "application/json",
            "Github-Public-Key-Identifier": self.identifier,
            "Github-Public-Key-Signature": self.sign(body),
        }
