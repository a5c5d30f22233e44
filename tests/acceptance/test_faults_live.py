"""Seeded failures and held slots over a socket, as the published `openai` client and httpx meet them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

import live
from leakdrill_pytest import Gateway
from live import eventually

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")

SMALL = {"size": "480x480", "seconds": "1", "fps": "5"}


@pytest.fixture
def client(leakdrill: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=leakdrill.openai_base_url, api_key=leakdrill.issue().token) as made:
        yield made


def struck(gateway: Gateway) -> list[str]:
    return [event["data"]["failure"] for event in gateway.events("fault.struck")]


def finished(client: openai.OpenAI) -> openai.types.Video:
    video = client.videos.create_and_poll(prompt="rain", poll_interval_ms=50, extra_body=SMALL)
    assert video.status == "completed"
    return video


def test_the_client_waits_out_a_rate_limit_and_then_succeeds(leakdrill: Gateway, client: openai.OpenAI) -> None:
    leakdrill.faults.add("rate_limit_exceeded", surface="create", next=1, retry_after=1)
    began = time.monotonic()
    assert client.videos.create(prompt="rain", extra_body=SMALL).status == "queued"
    assert time.monotonic() - began >= 1
    assert struck(leakdrill) == ["rate_limit_exceeded"]


def test_a_used_up_quota_is_not_retried(leakdrill: Gateway, client: openai.OpenAI) -> None:
    leakdrill.faults.add("insufficient_quota")
    with pytest.raises(openai.RateLimitError) as refused:
        client.videos.list()
    assert (refused.value.code, refused.value.type) == ("insufficient_quota", "insufficient_quota")
    assert struck(leakdrill) == ["insufficient_quota"]  # one attempt


def test_an_overload_that_lasts_is_given_up_after_three_attempts(leakdrill: Gateway, client: openai.OpenAI) -> None:
    leakdrill.faults.add("overloaded")
    with pytest.raises(openai.InternalServerError) as refused:
        client.videos.list()
    assert (refused.value.status_code, refused.value.code) == (503, "overloaded")
    assert struck(leakdrill) == ["overloaded"] * 3


def test_moderation_is_a_failed_video_and_no_exception(client: openai.OpenAI) -> None:
    video = client.videos.create(
        prompt="rain", extra_body=SMALL, extra_headers={"leakdrill-fault": "moderation_blocked"}
    )
    ended = client.videos.poll(video.id, poll_interval_ms=50)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.code == "moderation_blocked"


@pytest.mark.parametrize("failure", ["truncated_download", "dropped_download"])
def test_a_broken_download_is_an_error_and_the_next_one_is_whole(
    leakdrill: Gateway, client: openai.OpenAI, failure: str
) -> None:
    video = finished(client)
    whole = client.videos.download_content(video.id).read()
    leakdrill.faults.add(failure)
    with pytest.raises((openai.APIConnectionError, httpx.TransportError, OSError)) as broken:
        client.with_options(max_retries=0).videos.download_content(video.id).read()
    assert "timed out" not in str(broken.value)
    leakdrill.faults.clear()
    assert client.videos.download_content(video.id).read() == whole


@pytest.mark.parametrize(
    ("failure", "error"),
    [("truncated_download", httpx.RemoteProtocolError), ("dropped_download", httpx.ReadError)],
)
def test_how_a_download_breaks_off(
    leakdrill: Gateway, client: openai.OpenAI, failure: str, error: type[httpx.TransportError]
) -> None:
    log_file = leakdrill.data / "logs" / "gateway.log"
    before = len(log_file.read_text())
    video = finished(client)
    headers = {"Authorization": f"Bearer {client.api_key}"}
    with httpx.Client(base_url=leakdrill.openai_base_url, headers=headers, trust_env=False) as http:
        path = f"/videos/{video.id}/content"
        whole = http.get(path).content
        fault = {"leakdrill-fault": f"{failure}; after_bytes=1000"}
        for ranges, length in (({}, len(whole)), ({"Range": "bytes=10-3009"}, 3000)):
            seen: list[bytes] = []
            with http.stream("GET", path, headers={**fault, **ranges}) as answer:
                assert answer.headers["content-length"] == str(length)
                assert answer.headers["leakdrill-fault"] == failure
                with pytest.raises(error):
                    seen.extend(answer.iter_raw())
            start = 10 if ranges else 0
            assert b"".join(seen) == whole[start : start + 1000]
        head = http.head(path, headers=fault)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(whole)))
        assert http.get(path).content == whole
        assert http.get("/videos/video_none/content", headers=fault).json()["error"]["code"] == "not_found"
    log = log_file.read_text()[before:]
    assert "Traceback" not in log
    assert "without completing" not in log


def test_a_slow_download_arrives_late_and_whole_and_ends_with_its_token(leakdrill: Gateway) -> None:
    token = leakdrill.issue()
    with openai.OpenAI(base_url=leakdrill.openai_base_url, api_key=token.token) as client:
        video = finished(client)
    with httpx.Client(base_url=leakdrill.openai_base_url, headers=token.headers, trust_env=False) as http:
        path = f"/videos/{video.id}/content"
        whole = http.get(path).content
        pace = len(whole) * 2  # half a second for all of it
        began = time.monotonic()
        slow = http.get(path, headers={"leakdrill-fault": f"slow_download; bytes_per_second={pace}"})
        assert (slow.content, slow.headers["leakdrill-fault"]) == (whole, "slow_download")
        assert time.monotonic() - began >= 0.45

        fault = {"leakdrill-fault": "slow_download; bytes_per_second=1024"}
        with http.stream("GET", path, headers=fault) as answer:
            parts = answer.iter_raw()
            next(parts)
            leakdrill.revoke(token)
            revoked = time.monotonic()
            # Closed by the fault, or reset by the look at open transfers: whichever comes first.
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                for _ in parts:
                    pass
            assert time.monotonic() - revoked < 0.5


def test_a_late_first_byte_meets_the_clients_timeout(client: openai.OpenAI) -> None:
    video = finished(client)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(max_retries=0).videos.download_content(
            video.id, timeout=0.3, extra_headers={"leakdrill-fault": "slow_first_byte; delay=1.5"}
        )


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of the children it has waited for (proc(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processor time from /proc")
def test_a_held_slot_is_taken_costs_next_to_nothing_and_is_released(leakdrill: Gateway, client: openai.OpenAI) -> None:
    finished(client)  # the placeholder is there
    leakdrill.profile.set("reported-2024", speed=8, seed=2)
    held = client.videos.create(prompt="rain", extra_body=SMALL)  # 31 s in the median, about 4 s at this speed
    waiting = client.videos.create(prompt="rain", extra_body=SMALL)
    eventually(lambda: client.videos.retrieve(held.id).status == "in_progress")
    (worker,) = leakdrill.control("GET", "/control/state")["worker_list"]
    pid = worker["pid"]
    cpu, began = cpu_seconds(pid), time.monotonic()
    progress = []
    while client.videos.retrieve(held.id).status == "in_progress":
        seen = client.videos.retrieve(held.id)
        progress.append(seen.progress)
        assert seen.status == "completed" or client.videos.retrieve(waiting.id).status == "queued" or seen.progress > 90
        time.sleep(0.2)
    took = time.monotonic() - began
    used = cpu_seconds(pid) - cpu
    assert client.videos.retrieve(held.id).status == "completed"
    assert took > 1.25  # 10 s is the least for a second of video
    assert progress == sorted(progress)
    assert used / took < 0.15
    content = client.videos.download_content(held.id).read()
    assert content[4:8] == b"ftyp"
    leakdrill.profile.set("instant")
    eventually(lambda: client.videos.retrieve(waiting.id).status == "completed", within=60)


def test_a_revocation_ends_a_hold_within_the_guards_time(leakdrill: Gateway) -> None:
    token = leakdrill.issue()
    leakdrill.profile.set("reported-2024")
    with openai.OpenAI(base_url=leakdrill.openai_base_url, api_key=token.token) as client:
        video = client.videos.create(prompt="rain", extra_body=SMALL)
        media = leakdrill.data / "media"
        eventually(lambda: list(media.glob(f"{video.id}*.mp4")))  # rendered; only time is left
        assert client.videos.retrieve(video.id).status == "in_progress"
    leakdrill.revoke(token)
    acknowledged = time.monotonic()
    eventually(lambda: not list(media.glob(f"*{video.id}*")), within=5, every=0.005)
    assert time.monotonic() - acknowledged < 0.25
    # The slot is free again for somebody else.
    leakdrill.profile.set("instant")
    with openai.OpenAI(base_url=leakdrill.openai_base_url, api_key=leakdrill.issue().token) as other:
        finished(other)


def test_profiles_and_faults_from_a_shell(leakdrill: Gateway, tmp_path: Path) -> None:
    reach = ("--target", leakdrill.url, "--admin-token", leakdrill.admin_token)

    def said(*arguments: str) -> str:
        done = live.leakdrill(*arguments, *reach, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert said("profile").startswith("instant at speed 1")
    assert "instant again in" in said("profile", "reported-2024", "--speed", "140", "--for", "600")
    assert said("profile").startswith("reported-2024 at speed 140")
    made = said("faults", "add", "overloaded", "--surface", "create", "--next", "2", "--cohort", "alpha")
    assert "overloaded  on create  cohort alpha  next 2" in made
    assert "overloaded" in said("faults", "list").partition("there are:")[0]
    assert said("faults", "clear", made.split()[0]).startswith("taken away: fault_")
    assert said("faults", "clear") == "there was none\n"
    refused = live.leakdrill("faults", "add", "fire", *reach, cwd=tmp_path)
    assert refused.returncode == 2
    assert "there are moderation_blocked" in refused.stderr
