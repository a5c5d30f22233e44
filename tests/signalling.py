"""Sinks of a gateway in the test's own process, and what they were sent, read without our own code."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from desk import Desk
from gateway.outbound import Policy, Resolver, system_resolver
from gateway.signals.delivery import Pusher, SignalDeliverer
from gateway.store import Store
from receiver import Call, Receiver, receiving

CAEP = "https://schemas.openid.net/secevent/caep/event-type"
RISC = "https://schemas.openid.net/secevent/risc/event-type"
SSF = "https://schemas.openid.net/secevent/ssf/event-type"


@contextmanager
def accepting() -> Iterator[Receiver]:
    """A sink on this machine that takes whatever comes."""
    with receiving() as receiver:
        receiver.answer = lambda path, before: (202, {})
        yield receiver


async def add_sink(desk: Desk, url: str, **more: Any) -> dict[str, Any]:
    """A new sink: the control API's answer."""
    body = {"url": url, "audience": "https://soc.example.test", **more}
    answer = await desk.http.post("/control/sinks", json=body, headers=desk.admin)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def change_sink(desk: Desk, sink: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The sink with the changes."""
    answer = await desk.http.patch(f"/control/sinks/{sink['id']}", json=fields, headers=desk.admin)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def move(desk: Desk, issued: dict[str, Any], state: str) -> None:
    """Moves a token on the ladder."""
    answer = await desk.http.patch(f"/control/tokens/{issued['accessor']}", json={"state": state}, headers=desk.admin)
    assert answer.status_code == 200, answer.text


async def sent(desk: Desk, **which: str) -> list[dict[str, Any]]:
    """The delivery log, newest first."""
    answer = await desk.http.get("/control/sinks/deliveries", params=which, headers=desk.admin)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def effect(desk: Desk, revocation: str) -> dict[str, int]:
    """How the signals of a revocation stand, as its report says."""
    answer = await desk.http.get(f"/control/revocations/{revocation}", headers=desk.admin)
    found: dict[str, int] = answer.json()["effect"]["signals"]
    return found


def deliverer(
    desk: Desk,
    *,
    timeout: float = 5.0,
    resolve: Resolver = system_resolver,
    store: Store | None = None,
    **policy: Any,
) -> SignalDeliverer:
    """One that sends from this process, as the gateway's own does; `policy` are fields of `Policy`."""
    pusher = Pusher(desk.settings.allow_private_targets, timeout, resolve)
    own = Policy(**{"lane": 1, **policy})
    return SignalDeliverer(store or desk.store, desk.clock, desk.context.signer, pusher, own)


async def deliver(desk: Desk, **policy: Any) -> None:
    """Everything that is due now, to its end."""
    one = deliverer(desk, **policy)
    while await one.sweep():
        await one.flights.landed()


def opened(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of what a sink was sent, nothing verified."""
    header, claims, _ = call.body.split(b".")
    return json.loads(_decoded(header)), json.loads(_decoded(claims))


async def verified(desk: Desk, call: Call) -> dict[str, Any]:
    """The claims, after the signature held under the key that the gateway publishes."""
    header, claims = opened(call)
    signed, _, signature = call.body.rpartition(b".")
    listed = (await desk.http.get("/.well-known/jwks.json")).json()["keys"]
    (jwk,) = [one for one in listed if one["kid"] == header["kid"]]
    e, n = (int.from_bytes(_decoded(jwk[name].encode())) for name in ("e", "n"))
    key = rsa.RSAPublicNumbers(e, n).public_key()
    assert key.key_size == 2048
    key.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
    return claims


def told(calls: list[Call]) -> list[tuple[str, str]]:
    """The last word of each event's name, and whom it is about."""
    found = [opened(call)[1] for call in calls]
    return [(next(iter(one["events"])).rpartition("/")[2], one["sub_id"]["id"]) for one in found]


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
