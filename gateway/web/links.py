"""Signed media links. A link names the video, which of its files, and its end; its signature binds all three, and the
token is checked again each time it is used, so that a link dies with its token."""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request

from gateway.errors import LinkRefused
from gateway.jobs import Job
from gateway.jobs.outputs import Asked
from gateway.web.context import Context


def sign(key: bytes, video_id: str, expires_at: int, variant: Asked = "video") -> str:
    """The signature: HMAC-SHA256, hexadecimal."""
    return hmac.new(key, f"{video_id}\n{expires_at}\n{variant}".encode(), hashlib.sha256).hexdigest()


def path(key: bytes, video_id: str, expires_at: int, variant: Asked = "video") -> str:
    """The link's path and query."""
    which = "" if variant == "video" else f"&variant={variant}"
    return f"/media/{video_id}?exp={expires_at}&sig={sign(key, video_id, expires_at, variant)}{which}"


def base_of(ctx: Context, request: Request) -> str:
    """What absolute addresses in an answer begin with, without a slash at the end."""
    return ctx.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")


def signed(ctx: Context, request: Request, video_id: str, variant: Asked = "video") -> tuple[str, int]:
    """A link from now on, and when it ends, Unix seconds."""
    expires_at = int(ctx.clock.now()) + ctx.settings.link_seconds
    return base_of(ctx, request) + path(ctx.keys.links, video_id, expires_at, variant), expires_at


def playable(ctx: Context, request: Request, job: Job) -> str | None:
    """A link to the clip of a job, while it has one that is served."""
    kept = job.expires_at is None or job.expires_at > ctx.clock.now()
    return signed(ctx, request, job.id)[0] if job.file is not None and kept else None


def verify(key: bytes, video_id: str, expires_at: str, signature: str, *, now: float, variant: Asked = "video") -> None:
    """Raises LinkRefused for a signature that does not hold, or one whose time is over."""
    if not (expires_at.isascii() and expires_at.isdigit() and len(expires_at) < 12):
        raise LinkRefused("This link is not one that the gateway signed.", param="exp")
    if not hmac.compare_digest(sign(key, video_id, int(expires_at), variant).encode(), signature.encode()):
        raise LinkRefused("This link is not one that the gateway signed.", param="sig")
    if int(expires_at) <= now:
        raise LinkRefused("This link has expired; ask for a new one.", code="link_expired")
