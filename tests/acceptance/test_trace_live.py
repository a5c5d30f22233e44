"""A clip found in the wild leads back to the job and the token that made it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import pytest

from live import Live, eventually, leakdrill, live_gateway


def ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_gateway(tmp_path_factory.mktemp("trace") / "data") as running:
        yield running


def made(live: Live, path: Path, principal: str, **fields: Any) -> tuple[dict[str, Any], str]:
    """A clip of a new token, downloaded to `path`; the token and the video's id."""
    issued = live.issue(principal)
    headers = {"Authorization": f"Bearer {issued['token']}"}
    body = {"prompt": "a dog on a skateboard at sunset", "size": "854x480", "seconds": 5, **fields}
    with httpx.Client(base_url=live.url, headers=headers, trust_env=False) as http:
        video = http.post("/v1/videos", json=body).raise_for_status().json()["id"]
        eventually(lambda: http.get(f"/v1/videos/{video}").json()["status"] == "completed", within=60)
        path.write_bytes(http.get(f"/v1/videos/{video}/content").raise_for_status().content)
    return issued, video


def traced(live: Live, clip: Path) -> dict[str, Any]:
    answer: dict[str, Any] = live.control("POST", "/control/trace", content=clip.read_bytes(), timeout=60)
    return answer


def test_a_re_encoded_cropped_copy_is_traced_and_a_strangers_is_not(live: Live, tmp_path: Path) -> None:
    clip, copy = tmp_path / "clip.mp4", tmp_path / "copy.mp4"
    issued, video = made(live, clip, "tester-007")
    found = traced(live, clip)
    assert found["verdict"] == "traced"
    assert found["job"] == {
        "video": video,
        "queued_at": found["job"]["queued_at"],
        "accessor": issued["accessor"],
        "principal": "tester-007",
        "cohort": "alpha",
        "state": "active",
    }
    assert 0.5 < found["confidence"] <= 1
    assert issued["token"] not in str(found)

    ffmpeg("-i", str(clip), "-vf", "crop=iw*0.9:ih*0.9:0:0", "-c:v", "libx264", "-crf", "26", str(copy))
    again = traced(live, copy)
    assert (again["verdict"], again["job"]["video"]) == ("traced", video)
    assert again["provenance"]["state"] in ("absent", "unavailable")

    stranger = tmp_path / "stranger.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=854x480:rate=30:duration=5", "-pix_fmt", "yuv420p", str(stranger))
    unknown = traced(live, stranger)
    assert (unknown["verdict"], unknown["reference"], unknown["job"]) == ("unknown", None, None)


def test_another_deployments_clip_is_unknown_here(live: Live, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with live_gateway(tmp_path / "other") as other:
        made(other, clip, "tester-001")
        assert traced(other, clip)["verdict"] == "traced"
    assert traced(live, clip)["verdict"] == "unknown"


def test_the_shell_traces_too_and_the_list_remembers_after_a_reset(tmp_path: Path) -> None:
    data = tmp_path / "data"
    clip = tmp_path / "clip.mp4"
    with live_gateway(data) as live:
        issued, video = made(live, clip, "tester-003")
        live.control("POST", "/control/reset", json={"confirm": "reset"})
        found = traced(live, clip)
        assert (found["verdict"], found["job"]["principal"], found["job"]["state"]) == ("traced", "tester-003", None)
        done = leakdrill("trace", str(clip), "--target", live.url, cwd=tmp_path, LEAKDRILL_DATA=str(data))
        assert done.returncode == 0, done.stderr
        assert video in done.stdout
        assert issued["accessor"] in done.stdout
        (tmp_path / "text.mp4").write_text("no video")
        refused = leakdrill("trace", "text.mp4", "--target", live.url, cwd=tmp_path, LEAKDRILL_DATA=str(data))
        assert refused.returncode == 2
        assert "not a video" in refused.stderr
        empty = httpx.post(
            f"{live.url}/control/trace",
            headers={"Authorization": f"Bearer {live.supervisor.admin_token}"},
            trust_env=False,
        )
        assert (empty.status_code, empty.json()["error"]["param"]) == (400, "body")
