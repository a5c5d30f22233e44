"""The secret: `ldk_`, 30 random base62 characters, and the CRC-32 of all that as 6 base62 characters.

The checksum lets a scanner tell a real token from a look-alike without asking the database. At rest there is an
HMAC-SHA256 of the secret, keyed with the deployment's own key, by which bearers are judged, and a plain SHA-256, by
which a scanner's report names a leak without repeating it. The plain one gives nothing away: it would take on the order
of 2^177 guesses to find 178 random bits, and a bearer is never looked up by it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Callable

PREFIX = "ldk_"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 30
CHECK_LENGTH = 6
_PAIRS = tuple(first + second for first in BASE62 for second in BASE62)  # every request's bearer is checked
PATTERN = re.compile(r"ldk_[0-9A-Za-z]{36}")


def checksum(text: str) -> str:
    """CRC-32 of `text` in six base62 digits, most significant first."""
    rest, low = divmod(zlib.crc32(text.encode()), 62 * 62)
    high, middle = divmod(rest, 62 * 62)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def mint(choose: Callable[[str], str] = secrets.choice) -> str:
    """A new secret: 178 random bits. `choose` picks one character of an alphabet."""
    head = PREFIX + "".join(choose(BASE62) for _ in range(RANDOM_LENGTH))
    return head + checksum(head)


def well_formed(text: str) -> bool:
    """Whether `text` has the format and its checksum holds."""
    return PATTERN.fullmatch(text) is not None and checksum(text[:-CHECK_LENGTH]) == text[-CHECK_LENGTH:]


def fingerprint(secret: str) -> str:
    """SHA-256 of the secret, 64 hexadecimal digits: what `printf %s "$TOKEN" | sha256sum` prints."""
    return hashlib.sha256(secret.encode()).hexdigest()


def keyed_hash(key: bytes, secret: str) -> bytes:
    """What the database keeps in place of the secret (RFC 2104)."""
    return hmac.digest(key, secret.encode(), hashlib.sha256)
