"""What a visitor sees while a clip is refined: frames that the gateway serves, by a link of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from frontend.client import Gateway, GatewayError
from frontend.links import Links
from frontend.render import Moment, Rendering

RENEWED_SECONDS = 30.0  # well before a link runs out
MOST_REFUSALS = 5  # in a row: a clip that nobody renders has no frames, and is not asked about for ever
PATIENCE = 2.0


class Preview:
    """The frames of one clip. Where the gateway has none, or refuses them, there is nothing to show, and that is all:
    what became of the clip is said elsewhere."""

    def __init__(
        self, gateway: Gateway, links: Links, token: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._gateway = gateway
        self._links = links
        self._token = token
        self._monotonic = monotonic
        self._url: str | None = None
        self._asked_at = 0.0
        self._refusals = 0

    async def at(self, moment: Moment) -> str | None:
        """Where the browser finds the frame of this moment: another address for each step, or None."""
        if not isinstance(moment, Rendering) or moment.step is None:
            return None
        old = self._url is None or self._monotonic() - self._asked_at > RENEWED_SECONDS
        if old and self._refusals < MOST_REFUSALS:
            await self._ask(moment.video_id)
        return None if self._url is None else f"{self._url}&step={moment.step[0]}"

    async def _ask(self, video_id: str) -> None:
        self._asked_at = self._monotonic()
        try:
            link = await self._gateway.link(video_id, self._token, "preview", patience=PATIENCE)
        except GatewayError:
            self._refusals += 1
            self._url = None
        else:
            self._refusals = 0
            self._url = self._links.public(link)
