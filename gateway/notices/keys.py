"""Reporters' public keys, in a local file of GitHub's published shape, and the signature check.

Source: https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program
"""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.errors import ReporterKeysUnreadable

log = logging.getLogger("leakdrill.gateway")

MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ReporterKey:
    """A P-256 key by its identifier. One that is not current signs nothing any more."""

    identifier: str
    key: ec.EllipticCurvePublicKey
    is_current: bool

    def signed(self, body: bytes, signature: str) -> bool:
        """Whether `signature`, base64 of DER, is this key's ECDSA with SHA-256 over `body` (FIPS 186-5)."""
        try:
            self.key.verify(base64.b64decode(signature, validate=True), body, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):  # the latter: no base64
            return False
        return True


class KeyFile:
    """The file of `public_keys`, read again when it has changed. Nothing is fetched: an identifier that is not in it
    costs one look at the file's date."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, ReporterKey] = {}

    def named(self, identifier: str) -> ReporterKey | None:
        """The key, current or not; None for an unknown one, and where there is no file. Raises as `all` does."""
        return self._read().get(identifier)

    def all(self) -> list[ReporterKey]:
        """Every key, in the file's order.

        Raises ReporterKeysUnreadable: with a broken file nobody is believed, not even by keys that were read before.
        """
        return list(self._read().values())

    def _read(self) -> dict[str, ReporterKey]:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._keys, self._seen = read_keys(self._path), seen
        except FileNotFoundError:
            self._keys, self._seen = {}, None
        except (OSError, ValueError) as exc:
            self._seen = None
            log.error("action=reporter_keys_unreadable file=%s reason=%s", self._path, exc)
            raise ReporterKeysUnreadable(
                "The list of reporters' keys cannot be read; the gateway's log says why. Nothing was changed; send the "
                "notice again later."
            ) from exc
        return self._keys


def read_keys(path: Path) -> dict[str, ReporterKey]:
    """By identifier; raises OSError, or ValueError saying what is wrong."""
    with path.open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"the file is longer than {MAX_FILE_BYTES} bytes")
    try:
        content = json.loads(raw)
    except RecursionError as exc:
        raise ValueError("the file is nested too deeply") from exc
    if not isinstance(content, dict) or not isinstance(content.get("public_keys"), list):
        # Not TypeError: it is the file's content that is wrong.
        raise ValueError(  # noqa: TRY004
            'the file must hold {"public_keys": [...]}'
        )
    found: dict[str, ReporterKey] = {}
    for number, entry in enumerate(content["public_keys"]):
        one = _key(entry, number)
        if one.identifier in found:
            raise ValueError(f"public_keys[{number}]: the identifier {one.identifier!r} is there twice")
        found[one.identifier] = one
    return found


def _key(entry: Any, number: int) -> ReporterKey:
    fields = entry if isinstance(entry, dict) else {}
    identifier, text, current = (fields.get(name) for name in ("key_identifier", "key", "is_current"))
    if not isinstance(identifier, str) or not identifier or not isinstance(text, str) or not isinstance(current, bool):
        raise ValueError(f"public_keys[{number}] needs key_identifier and key (texts) and is_current (true or false)")
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ValueError(f"public_keys[{number}]: the key is no public key in PEM") from exc
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"public_keys[{number}]: the key is not on the curve P-256")  # noqa: TRY004
    return ReporterKey(identifier, key, current)
