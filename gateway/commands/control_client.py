"""The control API from a shell: a thin client that turns refusals into one clear line."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.errors import OperatorError
from gateway.settings import Settings
from gateway.tokens.keys import ADMIN_FILE


class ControlClient:
    """Calls one gateway as its admin."""

    def __init__(self, url: str, admin_token: str) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {admin_token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=30.0, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        """The JSON at `path`."""
        return self._call("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Posts JSON."""
        return self._call("POST", path, json=body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """Puts JSON in place."""
        return self._call("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """Takes a thing away."""
        return self._call("DELETE", path)

    def send_file(self, path: str, file: Path) -> Any:
        """Posts a file as the body."""
        with file.open("rb") as content:
            return self._call("POST", path, content=content, headers={"Content-Type": "video/mp4"})

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Changes part of a thing."""
        return self._call("PATCH", path, json=body)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as exc:
            raise OperatorError(
                f"no gateway answers at {self._url} ({exc}); start one with `leakdrill up`, or name it with --target"
            ) from exc
        try:
            body = response.json()
        except ValueError as exc:
            raise OperatorError(f"{self._url}{path} did not answer JSON (HTTP {response.status_code})") from exc
        if response.is_error:
            error = body.get("error", {}) if isinstance(body, dict) else {}
            message = error.get("message", body) if isinstance(error, dict) else body
            raise OperatorError(f"{method} {path} was refused (HTTP {response.status_code}): {message}")
        return body


def open_control(settings: Settings, target: str | None, admin_token: str | None) -> ControlClient:
    """The gateway at `target`, or the one that the settings name; its admin token from the option or its file."""
    url = target or f"http://127.0.0.1:{settings.port}"
    return ControlClient(url, admin_token or read_admin_token(settings))


def read_admin_token(settings: Settings) -> str:
    """From the setting or the data directory; raises OperatorError where there is none."""
    if settings.admin_token:
        return settings.admin_token
    path: Path = settings.data / ADMIN_FILE
    try:
        return path.read_text().strip()
    except OSError as exc:
        raise OperatorError(
            f"no admin token: {path} cannot be read ({exc.strerror}); set LEAKDRILL_ADMIN_TOKEN, or LEAKDRILL_DATA "
            "to the gateway's data directory"
        ) from exc
