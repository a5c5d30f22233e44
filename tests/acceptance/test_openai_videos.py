"""Every method of `client.videos` and `client.webhooks` of the published `openai` client, with strict validation."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Video
from PIL import Image
from standardwebhooks import Webhook

from footage import clip, picture
from live import Live, eventually, live_gateway
from receiver import receiving

# The client warns that its vendor's video API is gone; ours is what it talks to here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The Sora API:DeprecationWarning", "ignore:.*deprecated:DeprecationWarning"
)

# Strict validation takes the vendor's own sizes only.
SMALL: dict[str, Any] = {"model": "turbo", "size": "1280x720", "seconds": "1"}
SLOW_FRAMES = {"fps": 10}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("videos") / "data"
    with live_gateway(data, allow_private_targets="loopback", webhook_timeout_seconds=5) as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[openai.OpenAI]:
    with strict(live) as made:
        yield made


@pytest.fixture(scope="module")
def source(live: Live) -> Iterator[tuple[openai.OpenAI, Video]]:
    """A client, and a finished video of its own."""
    with strict(live) as client:
        yield client, finished(client, prompt="a lake at dawn")


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of two seconds, 16:9."""
    return clip(tmp_path_factory.mktemp("footage"), size="1280x720", fps=10)


@pytest.fixture
def probe(need_tool: Callable[[str, str], str], tmp_path: Path) -> Callable[[bytes], dict[str, Any]]:
    """What ffprobe says of a clip's one stream."""
    ffprobe = need_tool("ffprobe", "apt-get install ffmpeg")

    def of(content: bytes) -> dict[str, Any]:
        path = tmp_path / "probed.mp4"
        path.write_bytes(content)
        command = [ffprobe, "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path)]
        (stream,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
        return {name: stream[name] for name in ("codec_name", "width", "height", "nb_read_frames")}

    return of


def strict(live: Live) -> openai.OpenAI:
    """A client with a token of its own that takes no answer which its types do not allow."""
    return openai.OpenAI(
        base_url=f"{live.url}/v1", api_key=live.issue()["token"], max_retries=0, _strict_response_validation=True
    )


def finished(client: openai.OpenAI, **fields: Any) -> Video:
    video = client.videos.create_and_poll(**{**SMALL, "extra_body": SLOW_FRAMES, **fields})
    assert (video.status, video.error) == ("completed", None)
    return video


def test_a_text_becomes_a_video(
    source: tuple[openai.OpenAI, Video], probe: Callable[[bytes], dict[str, Any]], tmp_path: Path
) -> None:
    client, video = source
    assert (video.object, video.model, video.size, video.seconds) == ("video", "turbo", "1280x720", "1")
    assert (video.prompt, video.progress, video.remixed_from_video_id) == ("a lake at dawn", 100, None)
    assert video.completed_at is not None
    assert video.created_at <= video.completed_at
    assert client.videos.retrieve(video.id) == video
    assert client.videos.poll(video.id, poll_interval_ms=50) == video

    content = client.videos.download_content(video.id)
    assert content.response.headers["content-type"] == "video/mp4"
    assert probe(content.read()) == {"codec_name": "h264", "width": 1280, "height": 720, "nb_read_frames": "10"}
    with client.videos.with_streaming_response.download_content(video.id, variant="video") as streamed:
        streamed.stream_to_file(tmp_path / "streamed.mp4")
    assert (tmp_path / "streamed.mp4").read_bytes() == content.content


@pytest.mark.parametrize(("variant", "kind", "media"), [("thumbnail", "WEBP", "webp"), ("spritesheet", "JPEG", "jpeg")])
def test_stills_are_downloaded(source: tuple[openai.OpenAI, Video], variant: Any, kind: str, media: str) -> None:
    client, video = source
    content = client.videos.download_content(video.id, variant=variant)
    assert content.response.headers["content-type"] == f"image/{media}"
    image = Image.open(io.BytesIO(content.read()))
    image.load()
    assert image.format == kind
    assert min(image.size) >= 60


def test_the_raw_answer_names_the_request(source: tuple[openai.OpenAI, Video]) -> None:
    client, video = source
    raw = client.videos.with_raw_response.retrieve(video.id)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse() == video


@pytest.mark.parametrize("form", ["path", "bytes", "tuple"])
def test_a_picture_starts_a_video(
    client: openai.OpenAI, tmp_path: Path, form: str, probe: Callable[[bytes], dict[str, Any]]
) -> None:
    png = picture(1280, 720)
    path = tmp_path / "first frame.png"
    path.write_bytes(png)
    reference: Any = {"path": path, "bytes": png, "tuple": ("first.png", png, "image/png")}[form]
    video = finished(client, prompt="fog comes in", input_reference=reference)
    assert probe(client.videos.download_content(video.id).read())["nb_read_frames"] == "10"


def test_a_picture_may_be_an_address_with_its_data(client: openai.OpenAI) -> None:
    import base64

    address = "data:image/png;base64," + base64.b64encode(picture(1280, 720)).decode()
    body = {**SLOW_FRAMES, "input_reference": {"image_url": address}}
    assert finished(client, prompt="fog", extra_body=body).status == "completed"


def test_pages_of_two_walk_over_five_videos_in_both_orders(client: openai.OpenAI) -> None:
    made = [client.videos.create(prompt=f"number {number}", **SMALL).id for number in range(5)]
    assert [one.id for one in client.videos.list(limit=2, order="asc")] == made
    assert [one.id for one in client.videos.list(limit=2)] == made[::-1]
    page = client.videos.list(limit=2, after=made[1], order="asc")
    assert ([one.id for one in page.data], page.has_more, page.last_id) == (made[2:4], True, made[3])
    for id in made:
        deleted = client.videos.delete(id)
        assert (deleted.id, deleted.deleted, deleted.object) == (id, True, "video.deleted")
    with pytest.raises(openai.NotFoundError) as refused:
        client.videos.retrieve(made[0])
    assert refused.value.code == "not_found"
    assert list(client.videos.list()) == []


def test_a_remix_keeps_everything_but_the_prompt(source: tuple[openai.OpenAI, Video]) -> None:
    client, video = source
    made = client.videos.remix(video.id, prompt="a lake at night")
    assert (made.remixed_from_video_id, made.prompt) == (video.id, "a lake at night")
    assert (made.model, made.size, made.seconds) == (video.model, video.size, video.seconds)
    assert client.videos.poll(made.id).status == "completed"


def test_an_upload_is_edited(client: openai.OpenAI, footage: bytes, probe: Callable[[bytes], dict[str, Any]]) -> None:
    made = client.videos.edit(prompt="make it night", video=footage, extra_body={"model": "turbo"})
    assert (made.size, made.seconds) == ("1280x720", "2")
    assert client.videos.poll(made.id).status == "completed"
    found = probe(client.videos.download_content(made.id).read())
    assert (found["width"], found["height"]) == (1280, 720)


def test_a_video_is_edited_by_its_id(source: tuple[openai.OpenAI, Video]) -> None:
    client, video = source
    made = client.videos.edit(prompt="make it night", video=openai.omit, extra_body={"video": {"id": video.id}})  # type: ignore[arg-type]
    assert (made.size, made.seconds) == (video.size, video.seconds)
    assert client.videos.poll(made.id).status == "completed"


def test_an_upload_is_extended(client: openai.OpenAI, footage: bytes) -> None:
    made = client.videos.extend(prompt="and on it goes", seconds="1", video=footage)  # type: ignore[arg-type]
    assert made.seconds == "3"
    assert client.videos.poll(made.id).status == "completed"


def test_a_video_is_extended_by_its_id(
    source: tuple[openai.OpenAI, Video], probe: Callable[[bytes], dict[str, Any]]
) -> None:
    client, video = source
    made = client.videos.extend(
        prompt="and on it goes",
        seconds="1",  # type: ignore[arg-type]
        video=openai.omit,  # type: ignore[arg-type]
        extra_body={"video": {"id": video.id}},
    )
    assert made.seconds == "2"
    assert client.videos.poll(made.id).status == "completed"
    assert probe(client.videos.download_content(made.id).read())["nb_read_frames"] == "20"


def test_json_by_hand_says_the_same(source: tuple[openai.OpenAI, Video]) -> None:
    client, video = source
    made = client.post("/videos/edits", cast_to=Video, body={"prompt": "make it night", "video": {"id": video.id}})
    assert made.size == video.size
    created = client.post("/videos", cast_to=Video, body={"prompt": "x", **SMALL, "seconds": 1})
    assert created.seconds == "1"
    for one in (made, created):
        client.videos.delete(one.id)


def test_a_character_is_made_of_a_clip_and_shown_again(client: openai.OpenAI, footage: bytes) -> None:
    made = client.videos.create_character(name="the keeper", video=footage)
    assert made.id is not None
    assert made.name == "the keeper"
    assert client.videos.get_character(made.id).model_dump() == made.model_dump()
    assert finished(client, prompt="a walk", extra_body={**SLOW_FRAMES, "characters": [{"id": made.id}]})
    with pytest.raises(openai.NotFoundError):
        client.videos.get_character("char_nobody")


@pytest.mark.anyio
async def test_the_async_client_does_the_same(live: Live, footage: bytes) -> None:
    key = live.issue()["token"]
    async with openai.AsyncOpenAI(
        base_url=f"{live.url}/v1", api_key=key, max_retries=0, _strict_response_validation=True
    ) as client:
        video = await client.videos.create_and_poll(
            prompt="rain", input_reference=picture(1280, 720), extra_body=SLOW_FRAMES, **SMALL
        )
        assert video.status == "completed"
        assert (await client.videos.poll(video.id)) == await client.videos.retrieve(video.id) == video
        assert [one.id async for one in client.videos.list(limit=1)] == [video.id]
        remixed = await client.videos.remix(video.id, prompt="snow")
        edited = await client.videos.edit(prompt="at night", video=footage)
        extended = await client.videos.extend(prompt="more", seconds="1", video=footage)  # type: ignore[arg-type]
        character = await client.videos.create_character(name="the keeper", video=footage)
        assert character.id is not None
        assert (await client.videos.get_character(character.id)).model_dump() == character.model_dump()
        for one in (remixed, edited, extended):
            assert (await client.videos.delete(one.id)).deleted is True
        clip = await (await client.videos.download_content(video.id)).aread()
        async with client.videos.with_streaming_response.download_content(video.id, variant="thumbnail") as streamed:
            assert streamed.headers["content-type"] == "image/webp"
            assert (await streamed.read())[:4] == b"RIFF"
        assert clip[4:8] == b"ftyp"


def test_webhook_endpoints_are_kept(client: openai.OpenAI) -> None:
    assert sorted(client.webhooks.event_types.list().data) == ["video.completed", "video.failed"]
    made = client.webhooks.create(name="one", url="http://127.0.0.1:9/", event_types=["video.failed"])
    assert made.signing_secret.startswith("whsec_")
    other = client.webhooks.create(name="two", url="http://127.0.0.1:9/", event_types=["video.completed"])
    assert [one.id for one in client.webhooks.list(limit=1)] == [other.id, made.id]
    assert client.webhooks.update(made.id, name="renamed").name == client.webhooks.retrieve(made.id).name == "renamed"
    rotated = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    assert rotated.signing_secret != made.signing_secret
    assert client.webhooks.delete(made.id).deleted is True
    with pytest.raises(openai.NotFoundError):
        client.webhooks.retrieve(made.id)


def test_a_delivery_is_verified_by_the_client_and_by_the_reference_library(client: openai.OpenAI) -> None:
    with receiving() as receiver:
        endpoint = client.webhooks.create(
            name="mine", url=receiver.url(), event_types=["video.completed", "video.failed"]
        )
        tested = client.webhooks.test(endpoint.id, event_type="video.completed")
        assert (tested.success, tested.status_code, tested.webhook_endpoint_id) == (True, 204, endpoint.id)
        video = finished(client, prompt="rain")
        told = eventually(lambda: [call for call in receiver.calls if call.event["data"]["id"] == video.id])
    (call,) = told
    assert Webhook(endpoint.signing_secret).verify(call.body, call.headers) == call.event
    client.webhooks.verify_signature(call.body, call.headers, secret=endpoint.signing_secret)
    event: Any = client.webhooks.unwrap(call.body, call.headers, secret=endpoint.signing_secret)
    assert (event.type, event.data.id) == ("video.completed", video.id)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(call.body + b" ", call.headers, secret=endpoint.signing_secret)


def test_after_revocation_every_method_is_refused(live: Live, footage: bytes) -> None:
    issued = live.issue(cohort="leaked")
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=issued["token"]) as client:
        video = finished(client, prompt="rain")
        character = client.videos.create_character(name="the keeper", video=footage)
        assert character.id is not None
        made, hook = (
            character.id,
            client.webhooks.create(name="x", url="http://127.0.0.1:9/", event_types=["video.failed"]),
        )
        live.control("POST", "/control/revocations", json={"selector": {"cohort": "leaked"}, "reason": "drill"})
        videos, webhooks = client.videos, client.webhooks
        calls: list[Callable[[], object]] = [
            lambda: videos.create(prompt="x"),
            lambda: videos.create(prompt="x", input_reference=picture()),
            lambda: videos.retrieve(video.id),
            lambda: videos.poll(video.id),
            lambda: videos.list(),
            lambda: videos.delete(video.id),
            lambda: videos.remix(video.id, prompt="x"),
            lambda: videos.edit(prompt="x", video=footage),
            lambda: videos.extend(prompt="x", seconds="4", video=footage),
            lambda: videos.create_character(name="x", video=footage),
            lambda: videos.get_character(made),
            lambda: videos.download_content(video.id),
            lambda: videos.download_content(video.id, variant="thumbnail"),
            lambda: webhooks.create(name="x", url="http://127.0.0.1:9/", event_types=["video.failed"]),
            lambda: webhooks.list(),
            lambda: webhooks.retrieve(hook.id),
            lambda: webhooks.update(hook.id, name="y"),
            lambda: webhooks.rotate_secret(hook.id),
            lambda: webhooks.test(hook.id, event_type="video.failed"),
            lambda: webhooks.delete(hook.id),
            lambda: webhooks.event_types.list(),
            lambda: client.models.list(),
        ]
        for call in calls:
            with pytest.raises(openai.AuthenticationError) as refused:
                call()
            assert refused.value.code == "invalid_api_key"
