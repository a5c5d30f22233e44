"""What the page is told through its environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from frontend.incident import FACTS_FILE

# Anything else cannot travel in an Authorization header.
TOKEN = re.compile(r"[!-~]+")


class SettingsError(ValueError):
    """A variable has a value the page cannot work with. The message names the variable, never a token."""


@dataclass(frozen=True)
class Settings:
    """One field per `LEAKDRILL_…` variable; docs/page.md describes them."""

    gateway_url: str = "http://127.0.0.1:8000"
    public_url: str | None = None
    tokens: tuple[str, ...] = ()
    tokens_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 7860
    control_room: bool = True

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        def given(name: str) -> str | None:
            return environ.get(name, "").strip() or None

        tokens_file = given("LEAKDRILL_PAGE_TOKENS_FILE")
        public_url = given("LEAKDRILL_PUBLIC_URL")
        # A Space's proxy reaches the page from another address than loopback, so running there means binding wider.
        host = given("LEAKDRILL_PAGE_HOST") or ("0.0.0.0" if given("SPACE_ID") else cls.host)  # noqa: S104
        return cls(
            gateway_url=_url("LEAKDRILL_GATEWAY_URL", given("LEAKDRILL_GATEWAY_URL") or cls.gateway_url),
            public_url=_url("LEAKDRILL_PUBLIC_URL", public_url) if public_url else None,
            tokens=_tokens("LEAKDRILL_PAGE_TOKENS", given("LEAKDRILL_PAGE_TOKENS") or ""),
            tokens_file=_file("LEAKDRILL_PAGE_TOKENS_FILE", tokens_file) if tokens_file else None,
            host=_host("LEAKDRILL_PAGE_HOST", host),
            port=_port("LEAKDRILL_PAGE_PORT", given("LEAKDRILL_PAGE_PORT") or str(cls.port)),
            control_room=_control_room(given("LEAKDRILL_CONTROL_ROOM"), on_a_space=given("SPACE_ID") is not None),
        )


def _url(name: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username:
        raise SettingsError(f"{name} must be an address such as http://127.0.0.1:8000, without a query or a user")
    return value.rstrip("/")


def _tokens(name: str, value: str) -> tuple[str, ...]:
    tokens = tuple(token for part in value.split(",") if (token := part.strip()))
    if not all(TOKEN.fullmatch(token) for token in tokens):
        raise SettingsError(f"{name} must hold tokens separated by commas, without spaces inside a token")
    return tokens


def _file(name: str, value: str) -> Path:
    path = Path(value).expanduser()
    if path.is_dir():
        raise SettingsError(f"{name} must name a file, and {value} is a directory")
    return path


def _host(name: str, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", value):
        raise SettingsError(f"{name} must be an address or a host name, not {value!r}")
    return value


def _port(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
        raise SettingsError(f"{name} must be a number from 1 to 65535, not {value!r}")
    return int(value)


def _control_room(value: str | None, *, on_a_space: bool) -> bool:
    if value not in (None, "on", "off"):
        raise SettingsError(f"LEAKDRILL_CONTROL_ROOM must be on or off, not {value!r}")
    possible = FACTS_FILE.is_file()
    if value == "on" and not possible:
        raise SettingsError(f"LEAKDRILL_CONTROL_ROOM cannot be on without the folder seeds: {FACTS_FILE} is not there")
    # A Space is open to everybody, and so would the login be.
    return possible and not on_a_space if value is None else value == "on"
