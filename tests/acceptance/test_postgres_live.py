"""Gateway and worker as processes on PostgreSQL, whose server goes away and comes back."""

import os
import signal
from pathlib import Path
from typing import Any

import httpx

from live import Live, eventually, leakdrill, live_gateway
from postgres import Server

LONG = {"prompt": "a city at night in the rain", "size": "1920x1080", "seconds": "4", "fps": "30"}
SMALL = {"prompt": "a dog on a skateboard", "size": "720x1280", "seconds": "4"}


def call(live: Live, method: str, path: str, headers: dict[str, str], **options: Any) -> httpx.Response:
    return httpx.request(method, live.url + path, headers=headers, trust_env=False, timeout=30, **options)


def rendered(live: Live, headers: dict[str, str]) -> str:
    """The id of a new video, once it is there to be downloaded."""
    created = call(live, "POST", "/v1/videos", headers, json=SMALL)
    assert created.status_code == 200, created.text
    video: str = created.json()["id"]
    wait_for(live, headers, video)
    return video


def wait_for(live: Live, headers: dict[str, str], video: str) -> None:
    """Returns once the video is completed."""
    eventually(
        lambda: call(live, "GET", f"/v1/videos/{video}", headers).json()["status"] == "completed", within=90, every=0.1
    )


def test_a_server_that_goes_away_is_told_as_503_and_used_again(tmp_path: Path, postgres_server: Server) -> None:
    url = postgres_server.url
    with live_gateway(tmp_path / "data", workers=1, database_url=url, lease_seconds=2) as live:
        owner = {"Authorization": f"Bearer {live.issue()['token']}"}
        first = rendered(live, owner)
        assert call(live, "GET", f"/v1/videos/{first}/content", owner).content[4:8] == b"ftyp"
        waiting = call(live, "POST", "/v1/videos", owner, json=SMALL).json()["id"]
        pids = live.worker_pids()

        postgres_server.stop()
        for method, path in (("GET", f"/v1/videos/{first}"), ("POST", "/v1/videos"), ("GET", "/v1/videos")):
            refused = call(live, method, path, owner, json=SMALL if method == "POST" else None)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
            assert refused.headers["retry-after"] == "1"
        ready = call(live, "GET", "/readyz", {})
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert call(live, "GET", "/healthz", {}).status_code == 200

        postgres_server.start()
        eventually(lambda: call(live, "GET", "/readyz", {}).status_code == 200)
        wait_for(live, owner, waiting)
        rendered(live, owner)
        assert live.worker_pids() == pids

        live.control("POST", "/control/revocations", json={"selector": {"cohort": "alpha"}, "reason": "drill"})
        answers = [call(live, "GET", f"/v1/videos/{first}{end}", owner).status_code for end in ("", "/content")]
        assert answers == [401, 401]
        whole = leakdrill("audit", "verify", cwd=tmp_path, LEAKDRILL_DATABASE_URL=url)
        assert whole.returncode == 0, whole.stdout + whole.stderr
    assert not (tmp_path / "data" / "leakdrill.db").exists()


def test_a_killed_workers_job_begins_anew_and_a_revocation_wakes_the_guard(
    tmp_path: Path, postgres_server: Server
) -> None:
    # So seldom does the guard look by itself that only a notification can have woken it.
    with live_gateway(tmp_path / "data", workers=2, database_url=postgres_server.url, guard_seconds=300) as live:
        owner = {"Authorization": f"Bearer {live.issue()['token']}"}
        video = call(live, "POST", "/v1/videos", owner, json=LONG).json()["id"]

        def told(kind: str) -> Any:
            return live.control("GET", "/control/events", params={"kind": kind})["data"]

        eventually(lambda: live.encoders() and told("job.progressed"))
        (started,) = told("job.started")
        os.kill(int(started["actor"].split("-")[-2]), signal.SIGKILL)
        (again,) = eventually(lambda: told("job.reclaimed"), within=30)
        assert (again["job"], again["data"]["from"]) == (video, started["actor"])
        eventually(live.encoders)
        live.control("POST", "/control/revocations", json={"selector": {"cohort": "alpha"}, "reason": "drill"})
        eventually(lambda: not live.encoders(), within=60)
        assert call(live, "GET", f"/v1/videos/{video}", owner).status_code == 401
