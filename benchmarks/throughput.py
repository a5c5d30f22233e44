"""What a queue of renders gains from a second worker process, and whether a process grows over many clips.

    python benchmarks/throughput.py            # 200 small clips for the memory
    python benchmarks/throughput.py --quick    # 20

Each worker is a process of its own that makes the same number of clips, one encoder thread each. Two workers are
compared with one by clips per second, twice: as the system schedules them, and each with its encoder on a core of its
own. A worker alone on two cores draws on one while its encoder works on the other, so the first comparison starts from
most of the machine; the second says what another core adds.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

_WORKER = """
import json, os, pathlib, sys
from fake_model import VideoPipeline
folder, clips, size, seconds, fps = pathlib.Path(sys.argv[1]), *sys.argv[2:4], *map(int, sys.argv[4:6])
if sys.argv[6] != "any":
    os.sched_setaffinity(0, {int(sys.argv[6])})  # the encoder inherits it
PROMPTS = ("a lake below mountains at sunset", "neon city in the rain", "abstract ink", "a dog on a skateboard")

def resident():
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return 0
    return int(next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")).split()[1])

sizes = []
for clip in range(int(clips)):
    name = folder / f"{os.getpid()}.mp4"
    VideoPipeline()(PROMPTS[clip % 4], output=name, size=size, seconds=seconds, fps=fps, seed=clip)
    sizes.append(resident())
print(json.dumps(sizes))
"""


def start(
    folder: pathlib.Path, clips: int, size: str, seconds: int, fps: int, core: int | None = None
) -> subprocess.Popen[bytes]:
    place = "any" if core is None else str(core)
    command = [sys.executable, "-c", _WORKER, str(folder), str(clips), size, str(seconds), str(fps), place]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=pathlib.Path(__file__).parents[1])


def clips_per_second(cores: list[int | None], clips: int, folder: pathlib.Path) -> float:
    """One worker for each entry: the core it is bound to, or None for any."""
    begun = time.perf_counter()
    running = [start(folder, clips, "1280x720", 4, 30, core) for core in cores]
    for worker in running:
        worker.communicate()
        assert worker.returncode == 0, "a worker failed"
    return len(cores) * clips / (time.perf_counter() - begun)


def compare(name: str, cores: Sequence[int | None], rounds: int, folder: pathlib.Path) -> None:
    """Two workers on `cores` beside one on the first of them."""
    ratios, placed = [], list(cores)
    for _ in range(rounds):
        one, two = clips_per_second(placed[:1], 4, folder), clips_per_second(placed, 4, folder)
        ratios.append(two / one)
        print(f"720p, 4 s, {name}: one worker {one:.2f} clips/s, two workers {two:.2f} clips/s", flush=True)
    print(f"{name}: two workers / one: median {statistics.median(ratios):.2f} of {rounds}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, 20 small clips")
    parser.add_argument("--rounds", type=int, help="rounds of one against two workers")
    parser.add_argument("--clips", type=int, help="small clips for the memory")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    clips = options.clips or (20 if options.quick else 200)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        compare("any core", [None, None], rounds, folder)
        if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
            first, second = sorted(os.sched_getaffinity(0))[:2]
            compare("a core each", [first, second], rounds, folder)
        else:
            print("a core each: this system cannot bind a process to a core, or has only one")
        worker = start(folder, clips, "480x480", 1, 6)
        sizes = json.loads(worker.communicate()[0])
        early, late = sizes[min(len(sizes) - 1, max(4, clips // 10))], statistics.median(sizes[-4:])
        print(f"resident memory over {clips} clips of 480x480: {early / 1024:.1f} to {late / 1024:.1f} MiB")


if __name__ == "__main__":
    main()
