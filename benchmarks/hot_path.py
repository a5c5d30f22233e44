"""Requests a second on one core: a poll and a multipart create, each beside a bare FastAPI on the same server settings.

    python benchmarks/hot_path.py            # 5 rounds of 4 s
    python benchmarks/hot_path.py --quick    # 2 rounds of 2 s

The gateway checks the token in its database on every request, and a create is committed before it is answered. Server
and load generator (wrk, 32 connections) have a core each; slices of the two servers alternate, and each ratio is of
neighbouring slices. `GET queued` polls a video at the end of the line that the creates have made.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.supervisor import free_port

BARE = """
import sys, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

class Hello(BaseModel):
    model: str
    prompt: str
    seconds: str
    size: str

app = FastAPI()

@app.get("/hello")
async def get_hello():
    return {"hello": "world"}

@app.post("/hello")
async def post_hello(body: Hello):
    return {"hello": body.model}

uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error", server_header=False)
"""
FIELDS = {"model": "sora-2", "prompt": "a cat playing piano", "seconds": "4", "size": "1280x720"}
JSON_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"model":"sora-2","prompt":"a cat playing piano","seconds":"4","size":"1280x720"}'
"""
TARGETS = {"GET ended": 0.6, "GET queued": 0.6, "POST multipart": 0.4}
P99_MS = 15.0


@dataclass(frozen=True)
class Slice:
    """What wrk said: requests a second, 99th percentile in milliseconds, answers that were not 2xx or 3xx; and requests
    a second of the server's own processor time, which a busy machine does not change much."""

    rate: float
    p99_ms: float
    refused: int
    per_cpu_second: float


@contextmanager
def served(command: list[str], url: str, environment: dict[str, str], core: str | None) -> Iterator[int]:
    """A server on one core, from its first good answer at `url` on: its process id."""
    pinned = [*(["taskset", "-c", core] if core else []), *command]
    process = subprocess.Popen(pinned, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(url, trust_env=False).status_code < 500:
                    break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command} did not start") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used; not a number where the system does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return math.nan
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def measure(
    url: str, pid: int, seconds: int, *, script: Path | None = None, token: str = "", core: str | None = None
) -> Slice:
    """One slice of load."""
    command = [*(["taskset", "-c", core] if core else []), "wrk", "-t1", "-c32", f"-d{seconds}s", "--latency"]
    command += ["-s", str(script)] if script else []
    command += ["-H", f"Authorization: Bearer {token}"] if token else []
    before = cpu_seconds(pid)
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    used = cpu_seconds(pid) - before
    total = re.search(r"(\d+) requests in", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if rate is None or p99 is None or total is None:
        raise SystemExit(f"wrk printed nothing to read:\n{text}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Slice(float(rate[1]), float(p99[1]) * unit, int(refused[1]) if refused else 0, int(total[1]) / used)


def multipart_lua() -> str:
    parts = [
        f'--XX\\r\\nContent-Disposition: form-data; name="{name}"\\r\\n\\r\\n{text}\\r\\n'
        for name, text in FIELDS.items()
    ]
    body = "".join(parts) + "--XX--\\r\\n"
    return (
        'wrk.method = "POST"\n'
        'wrk.headers["Content-Type"] = "multipart/form-data; boundary=XX"\n'
        f"wrk.body = '{body}'\n"
    )


def compare(rounds: int, seconds: int, folder: Path) -> dict[str, list[tuple[Slice, Slice]]]:
    """Pairs of (ours, bare) for each operation."""
    server, client = ("0", "1") if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else (None, None)
    json_script, form_script = folder / "json.lua", folder / "form.lua"
    json_script.write_text(JSON_LUA)
    form_script.write_text(multipart_lua())
    bare, ours = free_port(), free_port()
    bare_url, base = f"http://127.0.0.1:{bare}/hello", f"http://127.0.0.1:{ours}"
    environment = {"LEAKDRILL_DATA": str(folder / "data"), "LEAKDRILL_QUEUE_LIMIT": "10000000"}
    gateway = [sys.executable, "-m", "gateway", "gateway", "--port", str(ours)]
    found: dict[str, list[tuple[Slice, Slice]]] = {name: [] for name in TARGETS}
    with (
        served([sys.executable, "-c", BARE, str(bare)], bare_url, {}, server) as bare_pid,
        served(gateway, f"{base}/readyz", environment, server) as own_pid,
        httpx.Client(base_url=base, trust_env=False) as http,
    ):
        admin = {"Authorization": f"Bearer {(folder / 'data' / 'admin.token').read_text().strip()}"}
        token = http.post("/control/tokens", json={"principal": "bench", "cohort": "bench"}, headers=admin).json()[
            "token"
        ]
        bearer = {"Authorization": f"Bearer {token}"}
        ended = http.post("/v1/videos", data=FIELDS, headers=bearer).json()["id"]
        http.post(f"/v1/videos/{ended}/cancel", headers=bearer).raise_for_status()
        for _ in range(rounds):
            queued = http.post("/v1/videos", data=FIELDS, headers=bearer).json()["id"]
            for name, video in (("GET ended", ended), ("GET queued", queued)):
                floor = measure(bare_url, bare_pid, seconds, core=client)
                found[name].append(
                    (measure(f"{base}/v1/videos/{video}", own_pid, seconds, token=token, core=client), floor)
                )
            floor = measure(bare_url, bare_pid, seconds, script=json_script, core=client)
            own = measure(f"{base}/v1/videos", own_pid, seconds, script=form_script, token=token, core=client)
            found["POST multipart"].append((own, floor))
        waiting = http.get("/status").json()["queue"]["waiting"]
    print(f"{waiting} videos were waiting at the end")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s")
    quick = parser.parse_args().quick
    if shutil.which("wrk") is None:
        print("not measured: wrk is not on this machine; install it with: apt-get install wrk, or brew install wrk")
        return
    with tempfile.TemporaryDirectory() as name:
        found = compare(2 if quick else 5, 2 if quick else 4, Path(name))
    print(
        f"{'':16} {'ours/s':>8} {'bare/s':>8} {'ratio':>6} {'by CPU':>7} {'target':>7} {'p99 ms':>7} {'bare':>6} {'refused':>8}"
    )
    for name, pairs in found.items():
        rate, floor = (statistics.median(pair[side].rate for pair in pairs) for side in (0, 1))
        ratio = statistics.median(own.rate / bare.rate for own, bare in pairs)
        by_cpu = statistics.median(own.per_cpu_second / bare.per_cpu_second for own, bare in pairs)
        p99, bare_p99 = (statistics.median(pair[side].p99_ms for pair in pairs) for side in (0, 1))
        refused = sum(own.refused for own, _ in pairs)
        verdict = "met" if ratio >= TARGETS[name] and p99 <= P99_MS and not refused else "MISSED"
        figures = f"{rate:8.0f} {floor:8.0f} {ratio:6.2f} {by_cpu:7.2f} {TARGETS[name]:7.1f} {p99:7.1f} {bare_p99:6.1f} {refused:8}"
        print(f"{name:16} {figures}  {verdict}")


if __name__ == "__main__":
    main()
