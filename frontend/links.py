"""Whether the gateway still serves a clip, and a new link when the old one merely ran out."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from frontend.client import Gateway, GatewayError
from frontend.wording import LINK_WORDS

_MEDIA_PATH = re.compile(r"/media/[A-Za-z0-9_.-]+")
_KEPT = 2000


@dataclass(frozen=True)
class LinkState:
    state: str
    words: str
    url: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return asdict(self)


class Links:
    """Remembers which of the page's own tokens made which clip. A token that a visitor typed is never kept."""

    def __init__(self, gateway: Gateway, public_url: str | None) -> None:
        self._gateway = gateway
        self._public_url = public_url
        self._made_with: OrderedDict[str, str] = OrderedDict()

    def remember(self, video_id: str, token: str) -> None:
        self._made_with[video_id] = token
        while len(self._made_with) > _KEPT:
            self._made_with.popitem(last=False)

    def public(self, url: str) -> str:
        """The link as a browser reaches it."""
        if self._public_url is None:
            return url
        parts = urlsplit(url)
        return f"{self._public_url}{parts.path}?{parts.query}"

    async def check(self, video_id: str, url: str) -> LinkState:
        # Only the path and the query of what the browser sent are used: the page asks nobody but its gateway.
        parts = urlsplit(url)
        path = parts.path[parts.path.rfind("/media/") :] if "/media/" in parts.path else ""
        if not _MEDIA_PATH.fullmatch(path):
            return _state("gone")
        try:
            status, code = await self._gateway.media_status(f"{path}?{parts.query}")
            if status < 400:
                return _state("served", url)
            if status == 401:
                return _state("cut")
            if code == "link_expired":
                return await self._renew(video_id)
        except GatewayError as error:
            return _state("away" if error.passing else "gone")
        return _state("gone")

    async def _renew(self, video_id: str) -> LinkState:
        token = self._made_with.get(video_id)
        if token is None:
            return _state("expired")
        try:
            return _state("served", self.public(await self._gateway.link(video_id, token)))
        except GatewayError as error:
            return _state("cut" if error.status == 401 else "away" if error.passing else "gone")


def _state(state: str, url: str | None = None) -> LinkState:
    return LinkState(state, LINK_WORDS[state], url)
