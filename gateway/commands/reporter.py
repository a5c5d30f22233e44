"""A reporter of leaks for drills: key pairs of its own in the data directory, never a real vendor's."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.errors import OperatorError
from gateway.settings import Settings

FILE = "disclosure-reporter.json"
DRILL_KEY = "drill-run-"  # how the identifier of a drill's own key begins


@dataclass(frozen=True)
class KeyPair:
    """`secret` is PEM (PKCS #8)."""

    identifier: str
    secret: str

    def sign(self, body: bytes) -> str:
        """ECDSA on P-256 with SHA-256 over `body`, DER in base64, as the programme sends it."""
        return base64.b64encode(self._key().sign(body, ec.ECDSA(hashes.SHA256()))).decode()

    def public(self, *, is_current: bool) -> dict[str, Any]:
        """The public half, in the shape that is published."""
        key = self._key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {"key_identifier": self.identifier, "key": key.decode(), "is_current": is_current}

    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = load_pem_private_key(self.secret.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise OperatorError(f"the key {self.identifier} in {FILE} is of another kind; delete the file")
        return key


def new_pair() -> KeyPair:
    """A fresh pair with a fresh identifier."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(f"drill-{secrets.token_hex(16)}", pem.decode())


@dataclass(frozen=True)
class Reporter:
    """The pair in use and those it had before, the newest first."""

    current: KeyPair
    retired: tuple[KeyPair, ...] = field(default=())

    def rotated(self) -> Reporter:
        """With a new pair; the present one is retired."""
        return replace(self, current=new_pair(), retired=(self.current, *self.retired))

    def with_retired(self) -> Reporter:
        """The same, with one retired pair at least."""
        return self if self.retired else replace(self, retired=(new_pair(),))


def load_reporter(settings: Settings) -> Reporter:
    """The one of this data directory, or a new one; raises OperatorError for a file that cannot be read."""
    path = settings.data / FILE
    try:
        content = json.loads(path.read_bytes())
        return Reporter(KeyPair(**content["current"]), tuple(KeyPair(**one) for one in content["retired"]))
    except FileNotFoundError:
        return Reporter(new_pair())
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise OperatorError(f"cannot read the reporter's keys in {path} ({exc}); delete it for new ones") from exc


def publish(settings: Settings, reporter: Reporter) -> None:
    """Keeps the pairs, and writes the public halves to where the gateway reads them. Other reporters' keys stay.

    Raises OperatorError where a file cannot be read or written.
    """
    own = [reporter.current.public(is_current=True), *(one.public(is_current=False) for one in reporter.retired)]
    path = settings.reporter_keys
    try:
        present = json.loads(path.read_bytes())["public_keys"] if path.exists() else []
        named = {one["key_identifier"] for one in own}
        listed = {"public_keys": [*own, *(one for one in present if one["key_identifier"] not in named)]}
        settings.data.mkdir(parents=True, exist_ok=True)
        pairs = {"current": vars(reporter.current), "retired": [vars(one) for one in reporter.retired]}
        if json.dumps(listed["public_keys"]) != json.dumps(present):
            _write(settings.data / FILE, pairs)
            _write(path, listed)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise OperatorError(f"cannot publish the reporter's keys in {path} ({exc}); delete it for a new one") from exc


def publish_key(path: Path, public: dict[str, Any]) -> None:
    """Adds one public key to the file that a gateway reads; raises OperatorError where that cannot be done."""
    try:
        present = json.loads(path.read_bytes())["public_keys"] if path.exists() else []
        path.parent.mkdir(parents=True, exist_ok=True)
        # What earlier drills left behind signs nothing any more.
        kept = [one for one in present if not str(one["key_identifier"]).startswith(DRILL_KEY)]
        _write(path, {"public_keys": [*kept, public]})
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise OperatorError(f"cannot publish the drill's key in {path} ({exc}); delete it for a new one") from exc


def _write(path: Path, content: Any) -> None:
    """In one step: whoever reads sees the old file or the new one. Only the owner may."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1)
    fresh.replace(path)
