"""Webhooks and shares over sockets: the published client, the published verifier, and a gateway that is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from standardwebhooks import Webhook

from gateway.commands.serve import on_this_machine
from gateway.settings import Settings
from gateway.supervisor import free_port
from live import Live, eventually, live_gateway
from receiver import Receiver, receiving

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")

QUICK: dict[str, Any] = {"prompt": "rain", "seconds": "4", "size": "720x1280", "extra_body": {"fps": 1}}
SETTINGS: dict[str, Any] = {"allow_private_targets": "loopback", "webhook_first_retry_seconds": 0.2}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("webhooks") / "data", **SETTINGS) as running:
        yield running


def client_of(live: Live, token: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{live.url}/v1", api_key=token, _strict_response_validation=True)


@pytest.fixture
def client(live: Live) -> Iterator[openai.OpenAI]:
    with client_of(live, live.issue()["token"]) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def deliveries(live: Live, **which: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = live.control("GET", "/control/webhooks/deliveries", params=which)["data"]
    return found


def test_every_method_of_the_client(client: openai.OpenAI, receiver: Receiver) -> None:
    assert list(client.webhooks.event_types.list().data) == ["video.completed", "video.failed"]
    made = client.webhooks.create(name="mine", url=receiver.url(), event_types=["video.completed"])
    assert (made.object, made.name, made.url, made.event_types) == (
        "webhook_endpoint",
        "mine",
        receiver.url(),
        ["video.completed"],
    )
    others = [client.webhooks.create(name=f"n{n}", url=receiver.url(), event_types=["video.failed"]) for n in range(3)]
    walked = [one.id for one in client.webhooks.list(limit=2)]
    assert walked == [*reversed([one.id for one in others]), made.id]

    read = client.webhooks.retrieve(made.id)
    assert (read.id, read.signing_secret_hint) == (made.id, made.signing_secret_hint)
    assert "signing_secret" not in (read.model_extra or {})
    assert client.webhooks.update(made.id, name="renamed").name == "renamed"
    both = client.webhooks.update(made.id, event_types=["video.completed", "video.failed"])
    assert (both.name, both.event_types) == ("renamed", ["video.completed", "video.failed"])

    rotated = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    tested = client.webhooks.test(made.id, event_type="video.failed")
    assert (tested.status_code, tested.success, tested.event_type, tested.webhook_endpoint_id) == (
        204,
        True,
        "video.failed",
        made.id,
    )
    (call,) = receiver.calls
    for secret in (made.signing_secret, rotated.signing_secret):
        event: Any = client.webhooks.unwrap(call.body, call.headers, secret=secret)
        assert event.type == "video.failed"
        assert Webhook(secret).verify(call.body, call.headers)["type"] == "video.failed"
    last = client.webhooks.rotate_secret(made.id)
    client.webhooks.test(made.id, event_type="video.completed")
    client.webhooks.verify_signature(receiver.calls[-1].body, receiver.calls[-1].headers, secret=last.signing_secret)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(
            receiver.calls[-1].body, receiver.calls[-1].headers, secret=rotated.signing_secret
        )

    assert client.webhooks.delete(made.id).deleted is True
    with pytest.raises(openai.NotFoundError):
        client.webhooks.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.webhooks.create(name="x", url="http://169.254.169.254/", event_types=["video.completed"])
    assert refused.value.code == "url_not_allowed"
    with pytest.raises(openai.BadRequestError):
        client.webhooks.create(name="x", url=receiver.url(), event_types=["batch.completed"])


def test_a_receiver_learns_of_a_video_and_fetches_it(client: openai.OpenAI, receiver: Receiver) -> None:
    receiver.answer = lambda path, before: (503, {}) if before == 0 else (200, {})
    endpoint = client.webhooks.create(name="mine", url=receiver.url(), event_types=["video.completed", "video.failed"])
    video = client.videos.create(**QUICK)
    first, second = eventually(lambda: receiver.calls if len(receiver.calls) == 2 else None) or []
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    for call in (first, second):
        Webhook(endpoint.signing_secret).verify(call.body, call.headers)
        event: Any = client.webhooks.unwrap(call.body, call.headers, secret=endpoint.signing_secret)
        assert (event.type, event.data.id) == ("video.completed", video.id)
    told = client.videos.retrieve(second.event["data"]["id"])
    assert told.status == "completed"
    assert len(client.videos.download_content(told.id).read()) > 1000


def test_a_killed_gateway_delivers_what_it_owed_after_its_restart(tmp_path: Path, receiver: Receiver) -> None:
    """One delivery is in flight when the gateway is killed, one waits for its next attempt."""
    port = free_port()
    receiver.hold.clear()
    own = {**SETTINGS, "webhook_first_retry_seconds": 1.0, "webhook_timeout_seconds": 1.0}
    with live_gateway(tmp_path / "data", workers=1, **own) as live:
        with client_of(live, live.issue()["token"]) as client:
            client.webhooks.create(name="silent", url=receiver.url(), event_types=["video.completed"])
            client.webhooks.create(name="down", url=f"http://127.0.0.1:{port}/late", event_types=["video.completed"])
            client.videos.create(**QUICK)
            eventually(lambda: receiver.calls)
            eventually(lambda: [one for one in deliveries(live) if one["error"]])
        live.kill_gateway()
        receiver.hold.set()
        known = len(receiver.calls)
        live.start_gateway()
        with receiving(port) as late:
            eventually(lambda: late.calls and len(receiver.calls) > known)
            states = eventually(lambda: [one for one in deliveries(live, state="delivered") if one["ended_at"]][1:])
        assert states
        assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
        assert len({call.body for call in (*receiver.calls, *late.calls)}) == 1
        ids = {late.calls[0].headers["webhook-id"], receiver.calls[0].headers["webhook-id"]}
        assert ids == {one["id"] for one in deliveries(live)}


def test_after_a_revocation_nothing_more_is_told(live: Live, client: openai.OpenAI, receiver: Receiver) -> None:
    receiver.answer = lambda path, before: (500, {}) if path == "/leaked" else (200, {})
    leaked = live.issue("tester-leaked")
    with client_of(live, leaked["token"]) as theirs:
        theirs.webhooks.create(name="leaked", url=receiver.url("/leaked"), event_types=["video.completed"])
        theirs.videos.create(**QUICK)
        eventually(lambda: len(receiver.to("/leaked")) >= 2)
    live.control("POST", "/control/revocations", json={"selector": {"accessor": leaked["accessor"]}, "reason": "drill"})
    answered_at = time.time()
    (row,) = deliveries(live, accessor=leaked["accessor"])
    assert row["state"] == "stopped"
    # Somebody else's whole video passes meanwhile: the gateway delivers, but not this.
    client.webhooks.create(name="mine", url=receiver.url("/mine"), event_types=["video.completed"])
    client.videos.create(**QUICK)
    eventually(lambda: receiver.to("/mine"))
    eventually(lambda: time.time() > answered_at + 2)  # longer than the wait before the next attempt was
    late = [call for call in receiver.to("/leaked") if int(call.headers["webhook-timestamp"]) > answered_at]
    assert late == []


def test_a_shared_clip_plays_until_the_revocation(live: Live) -> None:
    issued = live.issue("tester-sharing")
    with client_of(live, issued["token"]) as client:
        video = client.videos.create_and_poll(**QUICK)
        shared: Any = client.post(f"/videos/{video.id}/share", cast_to=object)
        clip = client.videos.download_content(video.id).read()
    assert httpx.get(shared["url"], trust_env=False).content == clip
    part = httpx.get(shared["url"], headers={"Range": "bytes=4-7"}, trust_env=False)
    assert (part.status_code, part.content) == (206, b"ftyp")
    body = {"selector": {"accessor": issued["accessor"]}, "reason": "drill"}
    live.control("POST", "/control/revocations", json=body)
    gone = httpx.get(shared["url"], trust_env=False)
    unknown = httpx.get(f"{live.url}/s/{'A' * 32}", trust_env=False)
    assert (gone.status_code, gone.content) == (404, unknown.content)


def test_up_and_demo_let_webhooks_reach_this_machine_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings(data=tmp_path).allow_private_targets == "none"
    assert on_this_machine(Settings(data=tmp_path)).allow_private_targets == "loopback"
    assert on_this_machine(Settings(data=tmp_path, host="0.0.0.0")).allow_private_targets == "none"
    monkeypatch.setenv("LEAKDRILL_ALLOW_PRIVATE_TARGETS", "none")
    assert on_this_machine(Settings(data=tmp_path)).allow_private_targets == "none"
    monkeypatch.setenv("LEAKDRILL_ALLOW_PRIVATE_TARGETS", "all")
    assert on_this_machine(Settings(data=tmp_path)).allow_private_targets == "all"
