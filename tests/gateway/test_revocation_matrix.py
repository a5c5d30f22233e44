"""Every surface in every state of a token, from one table; and a bystander, for whom nothing changes.

The columns are what happened to the token: what is under way when it is revoked differs by policy, what its bearer gets
does not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from desk import Desk, DeskMaker, bearer_of
from footage import picture
from gateway.jobs import Job, outputs
from gateway.outbound import Policy
from gateway.webhooks.delivery import Deliverer
from gateway.webhooks.sending import Sender
from receiver import Receiver, receiving

pytestmark = pytest.mark.anyio

COLUMNS = ("active", "quarantined", "suspended", "expired", "revoked", "kept", "withheld")
POLICIES: dict[str, dict[str, str]] = {
    "revoked": {},
    "kept": {"queued": "keep", "running": "finish", "transfers": "finish"},
    "withheld": {"queued": "keep", "running": "finish_withhold", "transfers": "cut"},
}
REFUSED = (401,) * 5


def read(accepted: object = 200, refused: object = 401) -> tuple[object, ...]:
    """A cell of each column, for what a quarantined token may do."""
    return (accepted, accepted, *(refused,) * 5)


WRITE = (200, 403, *REFUSED)

# What comes of each surface, by column.
TABLE: dict[str, tuple[object, ...]] = {
    "submit": WRITE,
    "upload": WRITE,
    "idempotent replay": WRITE,
    "poll": read(),
    "stream": read(),
    "list": read(),
    "models": read(),
    "cancel": WRITE,
    "delete": WRITE,
    "remix": WRITE,
    "edit": WRITE,
    "extend": WRITE,
    "download": read(),
    "range": read(206),
    "thumbnail": read(),
    "spritesheet": read(),
    "preview": read(),
    "HEAD": read(),
    "304": read(304),
    "new signed link": read(),
    "new signed link, preview": read(),
    "signed link, preview": read(),
    "signed link": read(),
    "signed link, range": read(206),
    "signed link, HEAD": read(),
    "signed link, 304": read(304),
    "fal submit": WRITE,
    "fal status": read(),
    "fal result": read(),
    "fal cancel": (202, 403, *REFUSED),
    "fal's link": read(),
    "replicate submit": (201, 403, *REFUSED),
    "replicate submit by version": (201, 403, *REFUSED),
    "replicate poll": read(),
    "replicate list": read(),
    "replicate cancel": WRITE,
    "replicate model": read(),
    "replicate's link": read(),
    "together submit": WRITE,
    "together poll": read(),
    "together's link": read(),
    "child's fal status": read(),
    "child's replicate poll": read(),
    "child's together poll": read(),
    "new share": WRITE,
    "share": read(),
    "share link": read(200, 404),
    "share link, range": read(206, 404),
    "share link, HEAD": read(200, 404),
    "share link, 304": read(304, 404),
    "webhook create": WRITE,
    "webhook list": read(),
    "webhook retrieve": read(),
    "webhook update": WRITE,
    "webhook rotate": WRITE,
    "webhook test": WRITE,
    "webhook delete": WRITE,
    "webhook event types": read(),
    "pending delivery": read("sent", "stopped"),
    "mint": (201, 403, *REFUSED),
    "child's poll": read(),
    "child's submit": WRITE,
    "child's download": read(),
    "child's mint": (201, 403, *REFUSED),
    "introspection": read("active", "inactive"),
    "child's introspection": read("active", "inactive"),
    # A suspended token's jobs wait for it to come back; an expired one's were ordered while it was good.
    "waiting job": ("claimed", "claimed", "left", "claimed", "left", "claimed", "claimed"),
    "child's waiting job": ("claimed", "claimed", "left", "claimed", "left", "claimed", "claimed"),
    "running job": ("stored", "stored", "stored", "stored", "discarded", "stored", "discarded"),
}


@dataclass
class Person:
    """A token, its child, and what each of them has."""

    token: dict[str, Any]
    child: dict[str, Any]
    done: str
    etag: str
    link: str
    preview: str
    links: dict[str, str]
    shared: str
    spare: list[str]
    childs_done: str
    endpoint: str
    dying_endpoint: str
    running: Job
    waiting: str = ""
    childs_waiting: str = ""

    async def wait(self, desk: Desk) -> None:
        """Puts a job of each token in line."""
        self.waiting = (await desk.create(bearer_of(self.token)))["id"]
        self.childs_waiting = (await desk.create(bearer_of(self.child)))["id"]


async def finished(desk: Desk, headers: dict[str, str]) -> str:
    """A finished video with all its files."""
    id: str = (await desk.create(headers))["id"]
    job = await desk.finished()
    assert job.id == id
    for variant in ("thumbnail", "spritesheet"):
        outputs.beside(desk.settings.media / f"{id}.1.mp4", variant).write_bytes(b"0123456789")
    return id


def show_noise(desk: Desk, job: Job) -> None:
    """What the worker that holds the job would show of it."""
    outputs.preview_at(desk.settings.media, job.id, job.attempt).write_bytes(b"noise")


async def answered(desk: Desk, method: str, path: str, headers: dict[str, str], **options: Any) -> Any:
    answer = await desk.http.request(method, path, headers=headers, **options)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def endpoint_at(desk: Desk, headers: dict[str, str], url: str) -> str:
    body = {"name": "mine", "url": url, "event_types": ["video.completed"]}
    return str((await answered(desk, "POST", "/v1/webhook_endpoints", headers, json=body))["id"])


def key_of(issued: dict[str, Any]) -> dict[str, str]:
    """The token in fal's scheme."""
    return {"Authorization": f"Key {issued['token']}"}


async def links_of(desk: Desk, token: dict[str, Any], done: str) -> dict[str, str]:
    """The links to one clip that other vendors' answers hold."""
    headers = bearer_of(token)
    fal = await answered(desk, "GET", f"/fal/leakdrill/standard/requests/{done}", key_of(token))
    replicate = await answered(desk, "GET", f"/replicate/v1/predictions/{done}", headers)
    together = await answered(desk, "GET", f"/together/v2/videos/{done}", headers)
    return {
        "fal's link": fal["video"]["url"],
        "replicate's link": replicate["output"],
        "together's link": together["outputs"]["video_url"],
    }


async def person(desk: Desk, name: str, receiver: Receiver, **more: Any) -> Person:
    scopes = ["videos:read", "videos:write", "tokens:mint"]
    token = await desk.issue(name, name, tier="unlimited", scopes=scopes, **more)
    headers = bearer_of(token)
    child = await answered(desk, "POST", "/v1/tokens", headers, json={"scopes": scopes})
    done = await finished(desk, headers)
    etag = (await desk.http.head(f"/v1/videos/{done}/content", headers=headers)).headers["etag"]
    link = (await answered(desk, "POST", f"/v1/videos/{done}/link", headers))["url"]
    links = await links_of(desk, token, done)
    shared = (await answered(desk, "POST", f"/v1/videos/{done}/share", headers))["url"]
    childs_done = await finished(desk, bearer_of(child))
    replayed = {**headers, "Idempotency-Key": "once"}
    spare = [
        (await answered(desk, "POST", "/v1/videos", replayed, json={"prompt": "x"}))["id"],
        *[(await desk.create(headers))["id"] for _ in range(4)],
    ]
    for _ in spare:
        show_noise(desk, await desk.claimed())
    preview = (await answered(desk, "POST", f"/v1/videos/{spare[0]}/link?variant=preview", headers))["url"]
    endpoint = await endpoint_at(desk, headers, receiver.url(f"/{name}"))
    dying = await endpoint_at(desk, headers, receiver.url(f"/{name}/dying"))
    await finished(desk, headers)
    await desk.create(headers)
    running = await desk.claimed()
    return Person(token, child, done, etag, link, preview, links, shared, spare, childs_done, endpoint, dying, running)


Call = tuple[str, str, dict[str, str], dict[str, Any]]


def others_of(one: Person) -> dict[str, Call]:
    """The same for the wires of other vendors."""
    headers, key, child = bearer_of(one.token), key_of(one.token), bearer_of(one.child)
    fal, replicate, together = "/fal/leakdrill/standard", "/replicate/v1", "/together/v2/videos"
    text = {"prompt": "x"}
    links = {name: urlsplit(link) for name, link in one.links.items()}
    return {
        "fal submit": ("POST", fal, key, {"json": text}),
        "fal status": ("GET", f"{fal}/requests/{one.done}/status", key, {}),
        "fal result": ("GET", f"{fal}/requests/{one.done}", key, {}),
        "fal cancel": ("PUT", f"{fal}/requests/{one.spare[3]}/cancel", key, {}),
        "replicate submit": (
            "POST",
            f"{replicate}/models/leakdrill/standard/predictions",
            headers,
            {"json": {"input": text}},
        ),
        "replicate submit by version": (
            "POST",
            f"{replicate}/predictions",
            headers,
            {"json": {"input": text, "version": "leakdrill/turbo"}},
        ),
        "replicate poll": ("GET", f"{replicate}/predictions/{one.done}", headers, {}),
        "replicate list": ("GET", f"{replicate}/predictions", headers, {}),
        "replicate cancel": ("POST", f"{replicate}/predictions/{one.spare[4]}/cancel", headers, {}),
        "replicate model": ("GET", f"{replicate}/models/leakdrill/turbo", headers, {}),
        "together submit": ("POST", together, headers, {"json": {**text, "model": "leakdrill/turbo"}}),
        "together poll": ("GET", f"{together}/{one.done}", headers, {}),
        "child's fal status": ("GET", f"{fal}/requests/{one.childs_done}/status", key_of(one.child), {}),
        "child's replicate poll": ("GET", f"{replicate}/predictions/{one.childs_done}", child, {}),
        "child's together poll": ("GET", f"{together}/{one.childs_done}", child, {}),
        **{name: ("GET", f"{link.path}?{link.query}", {}, {}) for name, link in links.items()},
    }


def calls_of(one: Person) -> dict[str, Call]:
    """The requests behind the surfaces that answer with a status; what cannot be undone comes last."""
    headers, child, video = bearer_of(one.token), bearer_of(one.child), f"/v1/videos/{one.done}"
    shared = urlsplit(one.shared).path
    linked, previewed = ((f"{url.path}?{url.query}") for url in map(urlsplit, (one.link, one.preview)))
    running = f"/v1/videos/{one.spare[0]}"
    part, same = {"Range": "bytes=0-3"}, {"If-None-Match": one.etag}
    text, hooks = {"prompt": "x"}, "/v1/webhook_endpoints"
    files = {"input_reference": ("p.png", picture(480, 480), "image/png")}
    hook = {"name": "new", "url": "http://127.0.0.1:9/", "event_types": ["video.completed"]}
    return {
        "submit": ("POST", "/v1/videos", headers, {"json": text}),
        "upload": ("POST", "/v1/videos", headers, {"data": {**text, "size": "480x480"}, "files": files}),
        "idempotent replay": ("POST", "/v1/videos", {**headers, "Idempotency-Key": "once"}, {"json": text}),
        "poll": ("GET", video, headers, {}),
        "stream": ("GET", f"{video}/events", headers, {}),
        "list": ("GET", "/v1/videos", headers, {}),
        "models": ("GET", "/v1/models", headers, {}),
        "remix": ("POST", f"{video}/remix", headers, {"json": text}),
        "edit": ("POST", "/v1/videos/edits", headers, {"json": {**text, "video": {"id": one.done}}}),
        "extend": (
            "POST",
            "/v1/videos/extensions",
            headers,
            {"json": {**text, "video": {"id": one.done}, "seconds": 4}},
        ),
        "download": ("GET", f"{video}/content", headers, {}),
        "range": ("GET", f"{video}/content", {**headers, **part}, {}),
        "thumbnail": ("GET", f"{video}/content?variant=thumbnail", headers, {}),
        "spritesheet": ("GET", f"{video}/content?variant=spritesheet", headers, {}),
        "preview": ("GET", f"{running}/content?variant=preview", headers, {}),
        "HEAD": ("HEAD", f"{video}/content", headers, {}),
        "304": ("GET", f"{video}/content", {**headers, **same}, {}),
        "new signed link": ("POST", f"{video}/link", headers, {}),
        "new signed link, preview": ("POST", f"{running}/link?variant=preview", headers, {}),
        "signed link, preview": ("GET", previewed, {}, {}),
        "signed link": ("GET", linked, {}, {}),
        "signed link, range": ("GET", linked, part, {}),
        "signed link, HEAD": ("HEAD", linked, {}, {}),
        "signed link, 304": ("GET", linked, same, {}),
        "new share": ("POST", f"/v1/videos/{one.done}/share", headers, {}),
        "share": ("GET", f"{video}/share", headers, {}),
        "share link": ("GET", shared, {}, {}),
        "share link, range": ("GET", shared, part, {}),
        "share link, HEAD": ("HEAD", shared, {}, {}),
        "share link, 304": ("GET", shared, same, {}),
        "webhook create": ("POST", hooks, headers, {"json": hook}),
        "webhook list": ("GET", hooks, headers, {}),
        "webhook retrieve": ("GET", f"{hooks}/{one.endpoint}", headers, {}),
        "webhook update": ("POST", f"{hooks}/{one.endpoint}", headers, {"json": {"name": "other"}}),
        "webhook rotate": ("POST", f"{hooks}/{one.endpoint}/rotate_secret", headers, {"json": {}}),
        "webhook test": (
            "POST",
            f"{hooks}/{one.dying_endpoint}/test",
            headers,
            {"json": {"event_type": "video.completed"}},
        ),
        "webhook event types": ("GET", "/v1/webhook_event_types", headers, {}),
        "mint": ("POST", "/v1/tokens", headers, {"json": {}}),
        "child's poll": ("GET", f"/v1/videos/{one.childs_done}", child, {}),
        "child's submit": ("POST", "/v1/videos", child, {"json": text}),
        "child's download": ("GET", f"/v1/videos/{one.childs_done}/content", child, {}),
        "child's mint": ("POST", "/v1/tokens", child, {"json": {}}),
        "cancel": ("POST", f"/v1/videos/{one.spare[1]}/cancel", headers, {}),
        "delete": ("DELETE", f"/v1/videos/{one.spare[2]}", headers, {}),
        "webhook delete": ("DELETE", f"{hooks}/{one.dying_endpoint}", headers, {}),
    }


async def seen(desk: Desk, one: Person, receiver: Receiver, claimed: set[str]) -> dict[str, object]:
    """What each surface does now. Deliveries have been made, and everything that can be claimed was."""
    found: dict[str, object] = {}
    for name, (method, path, headers, options) in {**calls_of(one), **others_of(one)}.items():
        answer = await desk.http.request(method, path, headers=headers, **options)
        found[name] = answer.status_code
    for name, token in (("introspection", one.token), ("child's introspection", one.child)):
        answer = await desk.http.post("/oauth/introspect", data={"token": token["token"]}, headers=desk.admin)
        found[name] = "active" if answer.json()["active"] else "inactive"
    which = {"accessor": one.token["accessor"]}
    log = (await desk.http.get("/control/webhooks/deliveries", params=which, headers=desk.admin)).json()["data"]
    before = [row["state"] for row in log if row["job"] != one.running.id]
    told = [call for call in receiver.to(f"/{one.token['principal']}") if call.event["type"] == "video.completed"]
    assert set(before) in ({"delivered"}, {"stopped"})
    assert bool(told) is (before[0] == "delivered")
    found["pending delivery"] = "sent" if told else "stopped"
    found["waiting job"] = "claimed" if one.waiting in claimed else "left"
    found["child's waiting job"] = "claimed" if one.childs_waiting in claimed else "left"
    return found


async def happen(desk: Desk, one: Person, column: str) -> None:
    if column in ("quarantined", "suspended"):
        path = f"/control/tokens/{one.token['accessor']}"
        assert (await desk.http.patch(path, json={"state": column}, headers=desk.admin)).status_code == 200
    elif column == "expired":
        desk.clock.advance(3600)
    elif column in POLICIES:
        done = await desk.revoke({"principal": one.token["principal"]}, in_flight=POLICIES[column])
        assert (done.status_code, done.json()["tokens"]) == (200, 2)


@asynccontextmanager
async def both(make_desk: DeskMaker) -> AsyncIterator[tuple[Desk, Person, Person, Receiver]]:
    desk = await make_desk(allow_private_targets="loopback", link_seconds=10_000)
    with receiving() as receiver:
        leaked = await person(desk, "leaked", receiver, expires_in=3600)
        bystander = await person(desk, "bystander", receiver)
        await leaked.wait(desk)
        await bystander.wait(desk)
        yield desk, leaked, bystander, receiver


async def swept(desk: Desk) -> None:
    """Everything that waits to be delivered, to its end."""
    deliverer = Deliverer(desk.store, desk.clock, Sender("loopback", 5.0), Policy())
    while await deliverer.sweep():
        await deliverer.flights.landed()


@pytest.mark.parametrize("column", COLUMNS)
async def test_every_surface_in_every_state(make_desk: DeskMaker, column: str) -> None:
    async with both(make_desk) as (desk, leaked, bystander, receiver):
        await happen(desk, leaked, column)
        outcomes = {}
        for one in (leaked, bystander):
            # A second job's clip cannot be told from a stopped one's by what a bearer gets; so the worker is asked.
            outcomes[one.token["principal"]] = "stored" if await desk.complete(one.running) else "discarded"
        await swept(desk)
        claimed = set()
        while (job := await desk.claim()) is not None:
            claimed.add(job.id)
            show_noise(desk, job)
        place = COLUMNS.index(column)
        for one, expected in ((leaked, place), (bystander, 0)):
            found = {**await seen(desk, one, receiver, claimed), "running job": outcomes[one.token["principal"]]}
            assert found == {name: cells[expected] for name, cells in TABLE.items()}, one.token["principal"]


def test_the_table_has_a_cell_for_each_surface_and_state() -> None:
    assert {len(cells) for cells in TABLE.values()} == {len(COLUMNS)}
    assert len(TABLE) * len(COLUMNS) > 300
