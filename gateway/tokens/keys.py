"""The deployment's own secrets: the key under everything, and the admin token. Files with mode 0600."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import OperatorError
from gateway.settings import Settings

ADMIN_FILE = "admin.token"
KEY_FILE = "secret.key"


@dataclass(frozen=True)
class Keyring:
    """Keys for separate uses, all derived from one."""

    tokens: bytes
    links: bytes
    marks: bytes
    classes: bytes
    admin: str

    def is_admin(self, bearer: str) -> bool:
        """Constant-time comparison."""
        return hmac.compare_digest(bearer.encode(), self.admin.encode())


def load_keyring(settings: Settings) -> Keyring:
    """Reads the secrets, creating each file at the first start; raises OperatorError where that cannot be done."""
    root = settings.secret_key or kept(settings.data / KEY_FILE, lambda: secrets.token_hex(32))
    admin = settings.admin_token or kept(settings.data / ADMIN_FILE, lambda: f"lda_{secrets.token_urlsafe(32)}")
    return Keyring(
        tokens=_derive(root, b"tokens"),
        links=_derive(root, b"links"),
        marks=_derive(root, b"marks"),
        classes=_derive(root, b"classes"),
        admin=admin,
    )


def _derive(root: str, use: bytes) -> bytes:
    return hmac.digest(root.encode(), b"leakdrill:" + use, hashlib.sha256)


def kept(path: Path, make: Callable[[], str]) -> str:
    """The file's content; where there is no file, a new one with mode 0600, safe against several processes starting at
    once. Raises OperatorError where that cannot be done."""
    try:
        if not path.exists():
            fresh = path.with_name(f".{path.name}.{os.getpid()}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(make() + "\n")
            try:
                os.link(fresh, path)  # fails where another process was first; then its content counts
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        content = path.read_text().strip()
    except OSError as exc:
        raise OperatorError(f"cannot read or create {path}: {exc.strerror}; check its owner and mode") from exc
    if not content:
        raise OperatorError(f"{path} is empty; delete it to have a new one made")
    return content
