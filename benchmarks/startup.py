"""From the command to the first good answer of /readyz, beside the same for a bare FastAPI application.

Run: python benchmarks/startup.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from gateway.supervisor import free_port

BARE = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {"status": "ok"}
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
"""


def seconds_to_ready(command: list[str], port: int, data: Path) -> float:
    """Starts `command`, waits for HTTP 200 at /readyz, stops it; seconds from the start to the answer."""
    environment = {**os.environ, "LEAKDRILL_DATA": str(data)}
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                    return time.monotonic() - started
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if process.poll() is not None or time.monotonic() - started > 60:
                    raise SystemExit(f"{command} did not become ready") from None
                time.sleep(0.01)
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds instead of seven")
    rounds = 2 if parser.parse_args().quick else 7
    ups, bares = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):  # the first round warms the file cache and is not counted
            port = free_port()
            up = [sys.executable, "-m", "gateway", "up", "--port", str(port), "--page-port", str(free_port())]
            first = seconds_to_ready(up, port, Path(folder) / str(number))
            port = free_port()
            second = seconds_to_ready([sys.executable, "-c", BARE, str(port)], port, Path(folder))
            if number:
                ups.append(first)
                bares.append(second)
    up_median, bare_median = statistics.median(ups), statistics.median(bares)
    print(f"leakdrill up to /readyz      {up_median:6.2f} s  (median of {rounds}; {min(ups):.2f} to {max(ups):.2f})")
    print(f"bare FastAPI to its answer   {bare_median:6.2f} s  (median of {rounds})")
    print(f"ratio                        {up_median / bare_median:6.2f}")
    print(f"target: 3 s or less          {'met' if up_median <= 3 else 'MISSED'}")


if __name__ == "__main__":
    main()
