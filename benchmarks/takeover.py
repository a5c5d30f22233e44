"""A worker killed with SIGKILL in the middle of a render: from the kill to another worker's claim, and to the clip.

The floor is the lease: nobody may take the job before it has run out.

Run: python benchmarks/takeover.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_port

VIDEO = {"prompt": "a city at night in the rain", "size": "1920x1080", "seconds": 10}


def one_round(supervisor: Supervisor, http: httpx.Client) -> tuple[float, float]:
    """Seconds from the kill to the new claim, and from the kill to the finished clip."""
    video = http.post("/v1/videos", json=VIDEO).raise_for_status().json()["id"]
    while http.get(f"/v1/videos/{video}").json()["progress"] == 0:
        time.sleep(0.02)
    admin = {"Authorization": f"Bearer {supervisor.admin_token}"}
    events = http.get("/control/events", params={"kind": "job.started", "limit": 1000}, headers=admin).json()["data"]
    worker = next(event["actor"] for event in events if event["job"] == video)
    pid = int(worker.split("-")[-2])
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    taken = None
    while True:
        supervisor.tend()
        shown = http.get(f"/v1/videos/{video}").raise_for_status().json()
        if taken is None:
            found = http.get("/control/events", params={"kind": "job.reclaimed", "limit": 1000}, headers=admin).json()
            if any(event["job"] == video for event in found["data"]):
                taken = time.monotonic() - killed
        if shown["status"] == "completed" and taken is not None:
            return taken, time.monotonic() - killed
        if shown["status"] == "failed":
            sys.exit(f"the job failed: {shown['error']}")
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round instead of five")
    rounds = 1 if parser.parse_args().quick else 5
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), port=free_port())
        with Supervisor(settings) as supervisor:
            supervisor.start(workers=2, page=False)
            admin = {"Authorization": f"Bearer {supervisor.admin_token}"}
            body = {"principal": "bench", "cohort": "bench"}
            with httpx.Client(base_url=supervisor.gateway_url, trust_env=False) as http:
                issued = http.post("/control/tokens", json=body, headers=admin).raise_for_status().json()
                http.headers["Authorization"] = f"Bearer {issued['token']}"
                pairs = [one_round(supervisor, http) for _ in range(rounds)]
    taken = statistics.median(pair[0] for pair in pairs)
    done = statistics.median(pair[1] for pair in pairs)
    print(f"kill -9 to the next claim    {taken:6.2f} s  (median of {rounds})")
    print(f"the lease, its floor         {settings.lease_seconds:6.2f} s  ratio {taken / settings.lease_seconds:.2f}")
    print(f"kill -9 to the finished clip {done:6.2f} s")
    print(f"target: 15 s or less         {'met' if max(pair[1] for pair in pairs) <= 15 else 'MISSED'}")


if __name__ == "__main__":
    main()
