"""One signed POST to an endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.outbound import Reach, Reply, Resolver, post, system_resolver
from gateway.webhooks import signing


@dataclass(frozen=True)
class Sender:
    """How calls go out. `timeout` is seconds for the whole call."""

    allow_private: Reach
    timeout: float
    resolve: Resolver = system_resolver

    async def send(
        self,
        url: str,
        content: bytes,
        *,
        id: str,
        signing_secrets: list[str],
        now: float,
        before_sending: Callable[[], Awaitable[None]],
    ) -> Reply:
        """Signs and sends exactly `content`. The URL is judged again. Raises UrlRefused or FetchFailed."""
        headers = {"Content-Type": "application/json", **signing.headers(signing_secrets, id, now, content)}
        return await post(
            url,
            content=content,
            headers=headers,
            allow_private=self.allow_private,
            timeout=self.timeout,
            resolve=self.resolve,
            before_sending=before_sending,
        )
