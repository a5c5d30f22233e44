"""One request per surface, as it is repeated before and after the revocation."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from drills.callers import Answer, Bearer, Caller, form_of
from drills.gateway import GatewayClient
from drills.population import Clip

PROBE_CLIP = Clip(weight=1, size="854x480", seconds=1, model="turbo")
PROMPT = "a paper boat on a rainy street"
CHILD_SECONDS = 600.0

Ask = Callable[[], Awaitable[Answer]]


@dataclass
class Goods:
    """What was got with the leaked token, to be asked for again: a finished clip with its validator, its links (paths
    without a host), a cancelled job, the key of a request that can be repeated, a child token, and a token that was
    issued right before the revocation."""

    key: str
    video: str | None = None
    etag: str | None = None
    spare: str | None = None
    link: str | None = None
    share: str | None = None
    child: Bearer | None = None
    newest: Bearer | None = None


@dataclass(frozen=True)
class Probe:
    """A request that can be repeated. `ask` sends and keeps it."""

    surface: str
    client: GatewayClient
    ask: Ask


def probes_of(client: GatewayClient, caller: Caller, goods: Goods, wanted: set[str]) -> list[Probe]:
    """Those of the wanted surfaces for which there is something to ask."""
    rows = {**_requests(caller, goods), **_of_the_clip(caller, goods)}

    def ask(surface: str, who: Caller, method: str, path: str, options: dict[str, Any]) -> Ask:
        return lambda: client.send(who, surface, method, path, **options)

    return [Probe(name, client, ask(name, *row)) for name, row in rows.items() if name in wanted]


Row = tuple[Caller, str, str, dict[str, Any]]


def _requests(caller: Caller, goods: Goods) -> dict[str, Row]:
    """Surfaces that need no finished clip."""
    order = {"form": form_of(PROBE_CLIP, PROMPT)}
    rows: dict[str, Row] = {
        "submit": (caller, "POST", "/v1/videos", order),
        "list": (caller, "GET", "/v1/videos?limit=1", {}),
        "replay": (caller, "POST", "/v1/videos", {**order, "headers": {"Idempotency-Key": goods.key}}),
        "mint": (caller, "POST", "/v1/tokens", {"json": {"expires_in": CHILD_SECONDS}}),
    }
    if goods.spare:
        rows["cancel"] = (caller, "POST", f"/v1/videos/{goods.spare}/cancel", {"job": goods.spare})
    for surface, bearer in (("child_token", goods.child), ("new_token", goods.newest)):
        if bearer:
            rows[surface] = (Caller("probe", caller.who, bearer), "GET", "/v1/videos?limit=1", {})
    return rows


def _of_the_clip(caller: Caller, goods: Goods) -> dict[str, Row]:
    """Surfaces that serve a finished clip."""
    if goods.video is None:
        return {}
    video, own = f"/v1/videos/{goods.video}", {"job": goods.video}
    content = f"{video}/content"
    rows: dict[str, Row] = {
        "poll": (caller, "GET", video, own),
        "download": (caller, "GET", content, own),
        "range": (caller, "GET", content, {**own, "headers": {"Range": "bytes=0-9"}}),
        "head": (caller, "HEAD", content, own),
        "thumbnail": (caller, "GET", f"{content}?variant=thumbnail", own),
        "stream": (caller, "GET", f"{video}/events", own),
    }
    if goods.etag:
        rows["conditional"] = (caller, "GET", content, {**own, "headers": {"If-None-Match": goods.etag}})
    if goods.link:
        rows["signed_link"] = (caller, "GET", goods.link, {**own, "bare": True})
    if goods.share:
        rows["share_link"] = (caller, "GET", goods.share, {**own, "bare": True})
    return rows
