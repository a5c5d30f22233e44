"""The published `openai` client, unmodified: only its base URL and key are set."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest

from live import Live, eventually, live_gateway

# The client warns that its vendor's video API is gone; ours is what it talks to here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The Sora API:DeprecationWarning", "ignore:.*deprecated:DeprecationWarning"
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("openai") / "data") as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=live.issue()["token"]) as made:
        yield made


def test_create_poll_download_list_delete_and_404(
    client: openai.OpenAI, tmp_path: Path, need_tool: Callable[[str, str], str]
) -> None:
    ffprobe = need_tool("ffprobe", "apt-get install ffmpeg")
    video = client.videos.create_and_poll(prompt="a dog on a skateboard", seconds="4", size="1280x720")
    assert (video.status, video.progress, video.error) == ("completed", 100, None)

    clip = tmp_path / "clip.mp4"
    client.videos.download_content(video.id).write_to_file(clip)
    probed = subprocess.run(
        [ffprobe, "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(clip)],
        capture_output=True,
        check=True,
    )
    (stream,) = json.loads(probed.stdout)["streams"]
    found = {name: stream[name] for name in ("codec_name", "pix_fmt", "width", "height", "nb_read_frames")}
    assert found == {
        "codec_name": "h264",
        "pix_fmt": "yuv420p",
        "width": 1280,
        "height": 720,
        "nb_read_frames": str(4 * 30),
    }

    assert [one.id for one in client.videos.list()] == [video.id]
    assert client.videos.delete(video.id).deleted is True
    with pytest.raises(openai.NotFoundError) as refused:
        client.videos.retrieve(video.id)
    assert refused.value.code == "not_found"
    assert refused.value.request_id


def test_every_answer_passes_the_clients_strict_validation(live: Live) -> None:
    token = live.issue()["token"]
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=token, _strict_response_validation=True) as strict:
        video = strict.videos.create_and_poll(prompt="rain", seconds="4", size="720x1280", extra_body={"fps": 5})
        assert strict.videos.retrieve(video.id).status == "completed"
        assert [one.id for one in strict.videos.list(limit=1)] == [video.id]
        assert {model.id for model in strict.models.list()} == {"standard", "turbo"}
        strict.videos.delete(video.id)


def test_pages_are_walked_to_the_end(client: openai.OpenAI) -> None:
    made = [client.videos.create(prompt=f"number {number}", extra_body={"fps": 1}).id for number in range(5)]
    assert [one.id for one in client.videos.list(limit=2, order="asc")] == made


def test_a_wrong_key_is_an_authentication_error(live: Live) -> None:
    with (
        openai.OpenAI(base_url=f"{live.url}/v1", api_key="ldk_wrong") as wrong,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        wrong.videos.list()
    assert refused.value.code == "invalid_api_key"


def test_bad_values_are_bad_request_errors_that_name_the_field(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.videos.create(prompt="x", size="1x1")  # type: ignore[arg-type]
    assert refused.value.param == "size"
    assert "1920x1080" in str(refused.value)


async def _polled(live: Live, token: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{live.url}/v1", api_key=token) as client:
        video = await client.videos.create_and_poll(prompt="a lake", extra_body={"fps": 5}, seconds="4")
        return video.status


@pytest.mark.anyio
async def test_the_async_client(live: Live) -> None:
    assert await _polled(live, live.issue()["token"]) == "completed"


def test_after_revocation_the_very_next_call_is_refused_and_its_job_is_gone(
    tmp_path: Path,
) -> None:
    # No worker: the job stays queued until the revocation takes it.
    with live_gateway(tmp_path / "data", workers=0) as live:
        issued = live.issue()
        with openai.OpenAI(base_url=f"{live.url}/v1", api_key=issued["token"]) as client:
            client.videos.create(prompt="a dog on a skateboard")
            assert httpx.get(f"{live.url}/status", trust_env=False).json()["queue"]["waiting"] == 1
            revoked = live.control(
                "POST",
                "/control/revocations",
                json={"selector": {"accessor": issued["accessor"]}, "reason": "drill"},
            )
            assert revoked["jobs"] == {"queued": 1, "running": 0}
            with pytest.raises(openai.AuthenticationError):
                client.videos.list()
        assert httpx.get(f"{live.url}/status", trust_env=False).json()["queue"]["waiting"] == 0


def test_a_poll_helper_that_is_waiting_is_refused_too(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0) as live:
        issued = live.issue()
        with openai.OpenAI(base_url=f"{live.url}/v1", api_key=issued["token"]) as client:
            video = client.videos.create(prompt="x")
            code = (
                "import openai, sys, warnings; warnings.simplefilter('ignore')\n"
                "client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2])\n"
                "try: client.videos.poll(sys.argv[3])\n"
                "except openai.AuthenticationError: sys.exit(41)\n"
            )
            import sys

            polling = subprocess.Popen([sys.executable, "-c", code, f"{live.url}/v1", issued["token"], video.id])
            shown = f"/control/tokens/{issued['accessor']}"
            created = live.control("GET", shown)["created_at"]
            eventually(lambda: (live.control("GET", shown)["last_used_at"] or 0) > created + 0.5)
            live.control(
                "POST",
                "/control/revocations",
                json={"selector": {"accessor": issued["accessor"]}, "reason": "drill"},
            )
            assert polling.wait(30) == 41
