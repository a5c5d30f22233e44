"""Workers as processes: killed, revoked, drained."""

import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import openai
import pytest

from live import Live, eventually, live_gateway

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")

LONG = {"prompt": "a city at night in the rain", "size": "1920x1080", "seconds": "12", "fps": "60"}


def headers_of(live: Live) -> dict[str, str]:
    return {"Authorization": f"Bearer {live.issue()['token']}"}


def create(live: Live, headers: dict[str, str], **fields: str) -> str:
    answer = httpx.post(f"{live.url}/v1/videos", headers=headers, json={**LONG, **fields}, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["id"])


def shown(live: Live, headers: dict[str, str], video: str) -> httpx.Response:
    answer = httpx.get(f"{live.url}/v1/videos/{video}", headers=headers, trust_env=False)
    answer.raise_for_status()
    return answer


def rendering(live: Live, headers: dict[str, str], video: str) -> bool:
    body = shown(live, headers, video).json()
    assert body["status"] in ("queued", "in_progress")
    return bool(body["progress"] > 0 and live.encoders())


def test_a_worker_killed_mid_render_loses_nothing_and_its_client_sees_no_error(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=1) as live:
        headers = headers_of(live)
        with openai.OpenAI(
            base_url=f"{live.url}/v1", api_key=headers["Authorization"].removeprefix("Bearer "), max_retries=0
        ) as client:
            video = client.videos.create(prompt=LONG["prompt"], size="1920x1080", seconds="12", extra_body={"fps": 30})  # type: ignore[arg-type]
            eventually(lambda: rendering(live, headers, video.id))
            os.kill(live.worker_pids()[0], signal.SIGKILL)
            killed_at = time.monotonic()
            live.supervisor.children[-1].process.wait()
            live.supervisor.tend()  # starts another in its place

            def taken_over() -> bool:
                return any(
                    event["kind"] == "job.reclaimed"
                    for event in live.control("GET", "/control/events", params={"kind": "job.reclaimed"})["data"]
                )

            eventually(taken_over, within=15.0)
            done = client.videos.poll(video.id)
            assert done.status == "completed"
            assert time.monotonic() - killed_at < 60
            content = client.videos.download_content(video.id).read()
        files = sorted(path.name for path in (tmp_path / "data" / "media").glob("[!.]*"))
        assert files == [f"{video.id}.2.{kind}" for kind in ("jpg", "mp4", "webp")]
        assert len(content) == (tmp_path / "data" / "media" / files[1]).stat().st_size


def test_a_revocation_stops_a_running_render_and_leaves_no_file(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=1) as live:
        headers = headers_of(live)
        video = create(live, headers)
        eventually(lambda: rendering(live, headers, video))
        revoked = live.control(
            "POST", "/control/revocations", json={"selector": {"cohort": "alpha"}, "reason": "drill"}
        )
        assert revoked["jobs"] == {"queued": 0, "running": 1}
        eventually(lambda: not live.encoders(), within=5.0)
        eventually(lambda: not list((tmp_path / "data" / "media").glob("[!.]*")), within=5.0)
        # The slot is free again at once: a bystander's job is rendered.
        other = {"Authorization": f"Bearer {live.issue('partner-1', 'partner')['token']}"}
        small = create(live, other, size="480x480", seconds="1", fps="5")
        eventually(lambda: shown(live, other, small).json()["status"] == "completed")


def test_a_cancelled_render_stops_too(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=1) as live:
        headers = headers_of(live)
        video = create(live, headers)
        eventually(lambda: rendering(live, headers, video))
        httpx.post(f"{live.url}/v1/videos/{video}/cancel", headers=headers, trust_env=False).raise_for_status()
        eventually(lambda: not live.encoders(), within=5.0)
        assert shown(live, headers, video).json()["error"]["code"] == "cancelled"


def test_one_signal_drains_and_two_give_the_job_back(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=1) as live:
        headers = headers_of(live)
        finishing = create(live, headers, seconds="2", fps="30")
        waiting = create(live, headers, seconds="2")
        worker = live.supervisor.children[-1].process
        eventually(lambda: rendering(live, headers, finishing))
        worker.terminate()
        assert worker.wait(60) == 0
        assert shown(live, headers, finishing).json()["status"] == "completed"
        assert shown(live, headers, waiting).json()["status"] == "queued"

        live.supervisor.tend()
        worker = live.supervisor.children[-1].process
        eventually(lambda: rendering(live, headers, waiting))
        worker.terminate()
        eventually(lambda: _gone_or_told(live, headers, waiting, worker))
        assert worker.wait(30) == 0
        assert shown(live, headers, waiting).json()["status"] == "queued"


def _gone_or_told(live: Live, headers: dict[str, str], video: str, worker: "subprocess.Popen[bytes]") -> bool:
    """Sends the second signal until the job is back in the line."""
    if worker.poll() is None:
        worker.terminate()
    return bool(shown(live, headers, video).json()["status"] == "queued")


def test_everything_ends_with_the_supervisor_even_when_that_is_killed(tmp_path: Path) -> None:
    import sys

    from gateway.supervisor import free_port

    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEAKDRILL_")}
    port = str(free_port())
    up = subprocess.Popen(
        [sys.executable, "-m", "gateway", "up", "--no-page", "--workers", "1", "--port", port],
        env={**kept, "LEAKDRILL_DATA": str(tmp_path / "data")},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
    )

    def answers() -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{port}/status", trust_env=False).json()["workers"] == 1)
        except httpx.TransportError:
            return False

    eventually(answers, within=40.0)
    up.kill()
    up.wait()

    def silent() -> bool:
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        except httpx.TransportError:
            return True
        return False

    eventually(silent, within=15.0)


def test_the_event_stream_tells_news_as_it_happens(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=0) as live:
        headers = {"Authorization": f"Bearer {live.supervisor.admin_token}"}
        with httpx.stream(
            "GET", f"{live.url}/control/events/stream?kind=token.", headers=headers, timeout=20, trust_env=False
        ) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            issued = live.issue()
            lines = stream.iter_lines()
            first = [next(lines) for _ in range(3)]
        assert first[0].startswith("id: ")
        assert first[1] == "event: token.issued"
        assert issued["accessor"] in first[2]
        assert issued["token"] not in first[2]


def test_cached_renders_repeat_one_clip_a_size_and_length(tmp_path: Path) -> None:
    with live_gateway(tmp_path / "data", workers=1, render="cached") as live:
        headers = headers_of(live)

        def content(**fields: str) -> bytes:
            video = create(live, headers, fps="5", **fields)
            eventually(lambda: shown(live, headers, video).json()["status"] == "completed")
            answer = httpx.get(f"{live.url}/v1/videos/{video}/content", headers=headers, trust_env=False)
            return answer.raise_for_status().content

        small = {"size": "480x480", "seconds": "1"}
        first = content(**small, prompt="a dog")
        assert content(**small, prompt="a cat") == first
        assert content(size="480x480", seconds="2") != first
        assert len(list((tmp_path / "data" / "cache").glob("*.mp4"))) == 2
