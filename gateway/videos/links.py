"""Signed media links. A link names the video, which of its files, and its end; its signature binds all three, and the
token is checked again each time it is used, so that a link dies with its token."""

from __future__ import annotations

import hashlib
import hmac

from gateway.errors import LinkRefused
from gateway.jobs.outputs import Asked


def sign(key: bytes, video_id: str, expires_at: int, variant: Asked = "video") -> str:
    """The signature: HMAC-SHA256, hexadecimal."""
    return hmac.new(key, f"{video_id}\n{expires_at}\n{variant}".encode(), hashlib.sha256).hexdigest()


def path(key: bytes, video_id: str, expires_at: int, variant: Asked = "video") -> str:
    """The link's path and query."""
    which = "" if variant == "video" else f"&variant={variant}"
    return f"/media/{video_id}?exp={expires_at}&sig={sign(key, video_id, expires_at, variant)}{which}"


def verify(key: bytes, video_id: str, expires_at: str, signature: str, *, now: float, variant: Asked = "video") -> None:
    """Raises LinkRefused for a signature that does not hold, or one whose time is over."""
    if not (expires_at.isascii() and expires_at.isdigit() and len(expires_at) < 12):
        raise LinkRefused("This link is not one that the gateway signed.", param="exp")
    if not hmac.compare_digest(sign(key, video_id, int(expires_at), variant).encode(), signature.encode()):
        raise LinkRefused("This link is not one that the gateway signed.", param="sig")
    if int(expires_at) <= now:
        raise LinkRefused("This link has expired; ask for a new one.", code="link_expired")
