"""Requests a second on one core: polls and creates, each beside a bare FastAPI on the same server settings.

    python benchmarks/hot_path.py                       # 5 rounds of 4 s
    python benchmarks/hot_path.py --quick               # 2 rounds of 2 s
    python benchmarks/hot_path.py --peers ~/peers       # other mocks beside it, where npm has put them there:
        npm install --prefix ~/peers @dwmkerr/mock-llm @mockoon/cli @stoplight/prism-cli

The gateway checks the token in its database on every request, and a create is committed before it is answered. Server
and load generator (wrk, 32 connections) have a core each; slices of all servers alternate, and each ratio is of
slices from the same round. `GET queued` polls a video at the end of the line that the creates have made. A create comes
as a form, as OpenAI's clients send it, and as JSON, which is what bare FastAPI gets in both rows. Prism and Mockoon run
from the gateway's own OpenAPI document, mock-llm from two rules; none of them keeps a job, and mock-llm leaves a form
unread. mock-llm runs twice: with the shortest answers and open to anybody; and as far as it goes at what the gateway
does, with all the keys of a video, and with its own check of the bearer, which looks into its memory.
"""

from __future__ import annotations

import argparse
import json
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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
MOCK_LLM = """
rules:
  - {path: "/v1/videos/.*", method: GET, response: {status: 200, content: '{"id": "video_1", "status": "queued"}'}}
  - {path: "/v1/videos$", method: POST, response: {status: 200, content: '{"id": "video_{{timestamp}}"}'}}
"""
VIDEO = """{
  "id": "%s", "object": "video", "model": "sora-2", "status": "queued", "progress": 0, "created_at": 1732600000,
  "completed_at": null, "expires_at": null, "prompt": "a cat playing piano", "seconds": "4", "size": "1280x720",
  "remixed_from_video_id": null, "error": null
}"""
MOCK_LLM_WHOLE = f"""
oauth:
  protectedPaths: ["/v1/videos"]
rules:
  - {{path: "/v1/videos/.*", method: GET, response: {{status: 200, content: '{VIDEO % "video_1"}'}}}}
  - {{path: "/v1/videos$", method: POST, response: {{status: 200, content: '{VIDEO % "video_{{timestamp}}"}'}}}}
"""
FIELDS = {"model": "sora-2", "prompt": "a cat playing piano", "seconds": "4", "size": "1280x720"}
TARGETS = {"GET ended": 0.6, "GET queued": 0.6, "POST multipart": 0.4, "POST JSON": 0.4}
P99_MS = 15.0


@dataclass(frozen=True)
class Load:
    """What wrk shall send: to which address, with which script, under which token."""

    url: str
    script: Path | None = None
    token: str = ""


@dataclass
class Contender:
    """A server that runs, and the loads that it is given."""

    name: str
    pid: int
    loads: dict[str, Load] = field(default_factory=dict)


@dataclass(frozen=True)
class Slice:
    """What wrk said: requests a second, 99th percentile in milliseconds, answers that were not 2xx or 3xx; and requests
    a second of the server's own processor time, which a busy machine does not change much."""

    rate: float
    p99_ms: float
    refused: int
    per_cpu_second: float


class Cores:
    """A core for the server and one for the load, where the system can bind a process."""

    def __init__(self) -> None:
        bound = shutil.which("taskset") and (os.cpu_count() or 1) > 1
        self.server = ["taskset", "-c", "0"] if bound else []
        self.client = ["taskset", "-c", "1"] if bound else []


@contextmanager
def served(command: list[str], url: str, environment: dict[str, str], cwd: Path | None = None) -> Iterator[int]:
    """A server, from its first answer at `url` on: its process id."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
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


def measure(load: Load, pid: int, seconds: int, cores: Cores) -> Slice:
    """One slice of load."""
    command = [*cores.client, "wrk", "-t1", "-c32", f"-d{seconds}s", "--latency"]
    command += ["-s", str(load.script)] if load.script else []
    command += ["-H", f"Authorization: Bearer {load.token}"] if load.token else []
    before = cpu_seconds(pid)
    text = subprocess.run([*command, load.url], capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(pid) - before
    rate, total = re.search(r"Requests/sec:\s+([\d.]+)", text), re.search(r"(\d+) requests in", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if rate is None or p99 is None or total is None:
        raise SystemExit(f"wrk printed nothing to read:\n{text}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Slice(float(rate[1]), float(p99[1]) * unit, int(refused[1]) if refused else 0, int(total[1]) / used)


def scripts(folder: Path) -> tuple[Path, Path]:
    """wrk's scripts for a create: as JSON and as a form."""
    as_json, as_form = folder / "json.lua", folder / "form.lua"
    as_json.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = '{json.dumps(FIELDS, separators=(',', ':'))}'\n"
    )
    parts = "".join(
        f'--XX\\r\\nContent-Disposition: form-data; name="{name}"\\r\\n\\r\\n{text}\\r\\n'
        for name, text in FIELDS.items()
    )
    as_form.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "multipart/form-data; boundary=XX"\n'
        f"wrk.body = '{parts}--XX--\\r\\n'\n"
    )
    return as_json, as_form


def start_bare(running: ExitStack, cores: Cores, as_json: Path) -> Contender:
    """The floor."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/hello"
    pid = running.enter_context(served([*cores.server, sys.executable, "-c", BARE, str(port)], url, {}))
    gets = dict.fromkeys(("GET ended", "GET queued"), Load(url))
    return Contender(
        "bare FastAPI", pid, {**gets, "POST multipart": Load(url, as_json), "POST JSON": Load(url, as_json)}
    )


def start_gateway(
    running: ExitStack, cores: Cores, folder: Path, as_json: Path, as_form: Path
) -> tuple[Contender, httpx.Client]:
    """The gateway, with a token and a video that has ended, and a client that carries the token."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    environment = {"LEAKDRILL_DATA": str(folder / "data"), "LEAKDRILL_QUEUE_LIMIT": "10000000"}
    command = [*cores.server, sys.executable, "-m", "gateway", "gateway", "--port", str(port)]
    pid = running.enter_context(served(command, f"{base}/readyz", environment))
    http = running.enter_context(httpx.Client(base_url=base, trust_env=False))
    admin = {"Authorization": f"Bearer {(folder / 'data' / 'admin.token').read_text().strip()}"}
    issued = http.post("/control/tokens", json={"principal": "bench", "cohort": "bench"}, headers=admin).json()
    token = issued["token"]
    http.headers["Authorization"] = f"Bearer {token}"
    ended = http.post("/v1/videos", data=FIELDS).json()["id"]
    http.post(f"/v1/videos/{ended}/cancel").raise_for_status()
    loads = {
        "GET ended": Load(f"{base}/v1/videos/{ended}", token=token),
        "POST multipart": Load(f"{base}/v1/videos", as_form, token),
        "POST JSON": Load(f"{base}/v1/videos", as_json, token),
    }
    return Contender("leakdrill", pid, loads), http


def start_peers(
    running: ExitStack, cores: Cores, peers: Path, folder: Path, document: str, as_json: Path, as_form: Path
) -> list[Contender]:
    """Other mocks, from what npm has put into `peers`."""
    binaries = peers / "node_modules" / ".bin"
    (folder / "openapi.json").write_text(document)
    (folder / "mock-llm.yaml").write_text(MOCK_LLM)
    (folder / "mock-llm-whole.yaml").write_text(MOCK_LLM_WHOLE)
    found = []
    for name, arguments in {
        "mock-llm": ["mock-llm", "--config", "mock-llm.yaml"],
        "mock-llm whole": ["mock-llm", "--config", "mock-llm-whole.yaml"],
        "prism": ["prism", "mock", "openapi.json", "-v", "silent", "-p", "PORT"],
        "mockoon-cli": ["mockoon-cli", "start", "--data", "openapi.json", "--disable-log-to-file", "-p", "PORT"],
    }.items():
        if not (binaries / arguments[0]).exists():
            print(f"not measured: {arguments[0]} is not in {binaries}")
            continue
        port = str(free_port())
        parts = [port if one == "PORT" else one for one in arguments[1:]]
        command = [*cores.server, str(binaries / arguments[0]), *parts]
        base = f"http://127.0.0.1:{port}/v1/videos"
        pid = running.enter_context(served(command, base, {"PORT": port, "HOST": "127.0.0.1"}, folder))
        token = "any"
        if name == "mock-llm whole":
            issued = httpx.post(f"http://127.0.0.1:{port}/oauth/issue", json={"clientId": "bench"}, trust_env=False)
            token = issued.raise_for_status().json()["access_token"]
        get = Load(f"{base}/video_1", token=token)
        posts = {"POST multipart": Load(base, as_form, token), "POST JSON": Load(base, as_json, token)}
        loads = {"GET ended": get, "GET queued": get, **posts}
        found.append(Contender(name, pid, loads))
    return found


def compare(rounds: int, seconds: int, folder: Path, peers: Path | None) -> dict[tuple[str, str], list[Slice]]:
    """Slices by (operation, contender), one a round."""
    cores, (as_json, as_form) = Cores(), scripts(folder)
    found: dict[tuple[str, str], list[Slice]] = {}
    with ExitStack() as running:
        bare = start_bare(running, cores, as_json)
        own, http = start_gateway(running, cores, folder, as_json, as_form)
        contenders = [bare, own]
        if peers is not None:
            document = http.get("/openapi.json").text
            contenders += start_peers(running, cores, peers, folder, document, as_json, as_form)
        for _ in range(rounds):
            queued = http.post("/v1/videos", data=FIELDS).json()["id"]
            own.loads["GET queued"] = Load(f"{http.base_url}/v1/videos/{queued}", token=own.loads["GET ended"].token)
            for operation in TARGETS:
                for one in contenders:
                    found.setdefault((operation, one.name), []).append(
                        measure(one.loads[operation], one.pid, seconds, cores)
                    )
        print(f"{http.get('/status').json()['queue']['waiting']} videos were waiting at the end")
    return found


def report(found: dict[tuple[str, str], list[Slice]]) -> None:
    """Prints medians, and ratios to the bare server of the same round."""
    heads = ("req/s", "x bare", "by CPU", "p99 ms", "refused")
    print(f"{'':15} {'':15}" + "".join(f"{head:>9}" for head in heads))
    for (operation, name), slices in found.items():
        floor = found[operation, "bare FastAPI"]
        ratio = statistics.median(one.rate / bare.rate for one, bare in zip(slices, floor, strict=True))
        by_cpu = statistics.median(
            one.per_cpu_second / bare.per_cpu_second for one, bare in zip(slices, floor, strict=True)
        )
        p99 = statistics.median(one.p99_ms for one in slices)
        refused = sum(one.refused for one in slices)
        line = f"{operation:15} {name:15}{statistics.median(one.rate for one in slices):9.0f}"
        line += f"{ratio:9.2f}{by_cpu:9.2f}{p99:9.1f}{refused:9}"
        if name == "leakdrill":
            met = ratio >= TARGETS[operation] and p99 <= P99_MS and not refused
            line += f"  target {TARGETS[operation]} and {P99_MS:.0f} ms: {'met' if met else 'MISSED'}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s")
    parser.add_argument("--peers", type=Path, help="where npm has installed other mocks")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("not measured: wrk is not on this machine; install it with: apt-get install wrk, or brew install wrk")
        return
    rounds, seconds = (2, 2) if options.quick else (5, 4)
    with tempfile.TemporaryDirectory() as name:
        report(compare(rounds, seconds, Path(name), options.peers.resolve() if options.peers else None))


if __name__ == "__main__":
    main()
