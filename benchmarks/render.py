"""What a render costs, beside what ffmpeg alone costs: medians of interleaved runs.

    python benchmarks/render.py            # 5 rounds
    python benchmarks/render.py --quick    # 1 round, fewer aborts

The floor is ffmpeg encoding its own testsrc2 at ultrafast crf 23 with as many threads. "encode" is the pipeline's own
encoder command fed with the decoded frames of the same clip from a file. Seconds depend on the machine and on its
neighbours; ratios within one run are what to compare.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import imageio_ffmpeg

from fake_model import Interrupted, VideoPipeline
from fake_model.export import ffmpeg_command
from fake_model.scenes import busyness
from fake_model.text_encoder import encode_prompt
from fake_model.variants import variant

PROMPTS = ("a lake below mountains at sunset", "neon city in the rain", "abstract flowing ink", "a dog on a skateboard")
FPS = 30
SIZE = "1920x1080"

_PEAK = """
import json, pathlib, resource, sys
from fake_model import VideoPipeline
VideoPipeline()(sys.argv[1], output=pathlib.Path(sys.argv[2]), size=sys.argv[3], seconds=int(sys.argv[4]), fps=30)
print(json.dumps([resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]))
"""


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def floor(folder: pathlib.Path, seconds: int, threads: int) -> None:
    source = ["-f", "lavfi", "-i", f"testsrc2=s={SIZE}:r={FPS}:d={seconds}", "-pix_fmt", "yuv420p"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-threads", str(threads)]
    ffmpeg(*source, *codec, "-movflags", "+faststart", str(folder / "floor.mp4"))


def render(prompt: str, clip: pathlib.Path, seconds: int, threads: int) -> None:
    VideoPipeline()(prompt, output=clip, size=SIZE, seconds=seconds, fps=FPS, encoder_threads=threads)


def encode_only(prompt: str, raw: pathlib.Path, folder: pathlib.Path, threads: int) -> None:
    width, height = (int(side) for side in SIZE.split("x"))
    qp = variant("standard").qp + busyness(encode_prompt(prompt))
    command = ffmpeg_command(width, height, FPS, qp, threads, folder / "encoded.mp4")
    with raw.open("rb") as frames:
        subprocess.run(command, stdin=frames, check=True)


def peak_megabytes(prompt: str, folder: pathlib.Path, seconds: int) -> tuple[float, float]:
    """Peak resident memory of a fresh Python process and of its ffmpeg, in MiB."""
    command = [sys.executable, "-c", _PEAK, prompt, str(folder / "peak.mp4"), SIZE, str(seconds)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=pathlib.Path(__file__).parents[1])
    python, child = json.loads(done.stdout)
    return python / 1024, child / 1024


def abort_milliseconds(prompt: str, folder: pathlib.Path, dice: random.Random) -> float:
    """From raising the flag at a random moment until the call has ended; the folder holds nothing of it then."""
    flag, outcome = threading.Event(), dict[str, float]()
    target = folder / "abort"
    target.mkdir(exist_ok=True)

    def work() -> None:
        try:
            VideoPipeline()(prompt, output=target / "a.mp4", size=SIZE, seconds=10, fps=FPS, interrupt=flag.is_set)
        except Interrupted:
            outcome["ended"] = time.perf_counter()

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(dice.uniform(0.05, 1.2))
    raised = time.perf_counter()
    flag.set()
    thread.join()
    assert not list(target.iterdir()), "an abort left a file"
    return (outcome["ended"] - raised) * 1000


def measure(prompt: str, rounds: int, seconds: int, threads: int, folder: pathlib.Path) -> None:
    clip, raw = folder / "clip.mp4", folder / "frames.yuv"
    render(prompt, clip, seconds, threads)
    ffmpeg("-i", str(clip), "-f", "rawvideo", "-pix_fmt", "yuv420p", str(raw))
    floors, renders, encodes = [], [], []
    for _ in range(rounds):
        floors.append(timed(lambda: floor(folder, seconds, threads)))
        renders.append(timed(lambda: render(prompt, clip, seconds, threads)))
        encodes.append(timed(lambda: encode_only(prompt, raw, folder, threads)))
    raw.unlink()
    base, own, encoder = (statistics.median(times) for times in (floors, renders, encodes))
    python, child = peak_megabytes(prompt, folder, seconds)
    print(
        f"{prompt:34} {base:7.2f} {own:8.2f} {encoder:8.2f} {own / base:7.2f} {own / encoder:9.2f}"
        f" {clip.stat().st_size / 1e6:8.2f} {python:7.0f} + {child:3.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round and few aborts")
    parser.add_argument("--rounds", type=int, help="rounds per prompt")
    parser.add_argument("--seconds", type=int, default=10, help="length of the clips")
    parser.add_argument("--threads", type=int, default=1, help="encoder threads, for the floor as well")
    parser.add_argument("--prompt", action="append", help="instead of the built-in prompts; may be repeated")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 5)
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = pathlib.Path(name)
        print(f"{SIZE}, {FPS} fps, {options.seconds} s, encoder threads {options.threads}, medians of {rounds}")
        heads = f"{'floor s':>7} {'render s':>8} {'encode s':>8} {'/ floor':>7} {'/ encode':>9} {'MB':>8}"
        print(f"{'prompt':34} {heads}   RSS MiB")
        for prompt in options.prompt or PROMPTS:
            measure(prompt, rounds, options.seconds, options.threads, folder)
        dice = random.Random(1)
        tries = 12 if options.quick else 60
        delays = sorted(abort_milliseconds(PROMPTS[index % len(PROMPTS)], folder, dice) for index in range(tries))
        p99 = delays[min(tries - 1, round(tries * 0.99))]
        print(f"abort: median {statistics.median(delays):.0f} ms, p99 {p99:.0f} ms of {tries}")


if __name__ == "__main__":
    main()
