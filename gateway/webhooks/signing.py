"""The signature of Standard Webhooks: HMAC-SHA256 over `<id>.<timestamp>.<body>`, as `v1,<base64>`.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32


def mint() -> str:
    """A new signing secret. The alphabet is the standard one, not the URL-safe: some receivers split at `_`."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def hint(secret: str) -> str:
    """Enough of a secret to tell two apart, too little to sign with."""
    return f"{PREFIX}…{secret.rstrip('=')[-4:]}"


def signature(secret: str, id: str, timestamp: int, content: bytes) -> str:
    """One signature."""
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    signed = f"{id}.{timestamp}.".encode() + content
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


def headers(signing: Sequence[str], id: str, now: float, content: bytes) -> dict[str, str]:
    """The three headers; one signature for each secret, separated by blanks, so that either verifies."""
    timestamp = int(now)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, id, timestamp, content) for secret in signing),
    }
