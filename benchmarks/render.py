"""What a render costs, beside what ffmpeg alone costs: medians of interleaved runs.

    python benchmarks/render.py            # 5 rounds
    python benchmarks/render.py --quick    # 1 round, fewer aborts
    python benchmarks/render.py --previews # what previews cost, and nothing else

The floor is ffmpeg encoding its own testsrc2 at ultrafast crf 23 with as many threads. "encode" is the pipeline's own
encoder command fed with the decoded frames of the same clip from a file. Renders carry the visible and the forensic
mark; "marks" is the share of the render spent on putting both on every frame. The last line is what a script commonly
does instead: sines in floating point RGB through imageio_ffmpeg's writer with its defaults, timed on fewer frames and
scaled up. Seconds depend on the machine and on its neighbours; ratios within one run are what to compare.

"previews" are pairs of renders with and without frames for those who watch, by processor time: at a worker's pace, and
with one of each step, as where simulated time is longer than the render. Aborts are of renders with previews.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import imageio_ffmpeg
import numpy as np

from fake_model import Interrupted, VideoPipeline
from fake_model.elements import Planes
from fake_model.export import EncoderSettings, ffmpeg_command
from fake_model.forensic import ForensicMark
from fake_model.scenes import busyness
from fake_model.text_encoder import encode_prompt
from fake_model.variants import variant
from fake_model.watermark import Watermark
from gateway.jobs.previews import MAKE_SECONDS

FORENSIC = (0x5EED_CAFE_0123_4567, b"a key for this benchmark")
PROMPTS = ("a lake below mountains at sunset", "neon city in the rain", "abstract flowing ink", "a dog on a skateboard")
FPS = 30
SIZES = ("1920x1080", "1280x720", "854x480")
USUAL_FRAMES = 24

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


@dataclass(frozen=True)
class Case:
    """What all measurements of one row share."""

    prompt: str
    size: str
    model: str
    seconds: int
    threads: int
    folder: pathlib.Path

    @property
    def shape(self) -> tuple[int, int]:
        width, height = (int(side) for side in self.size.split("x"))
        return width, height


def floor(case: Case) -> None:
    source = ["-f", "lavfi", "-i", f"testsrc2=s={case.size}:r={FPS}:d={case.seconds}", "-pix_fmt", "yuv420p"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-threads", str(case.threads)]
    ffmpeg(*source, *codec, "-movflags", "+faststart", str(case.folder / "floor.mp4"))


def processor_seconds(work: Callable[[], object]) -> float:
    """Of this process and of the encoder that it has waited for."""

    def used() -> float:
        found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in found)

    before = used()
    work()
    return used() - before


def render(case: Case, on_preview: Callable[[bytes], None] | None = None, preview_seconds: float = 0.0) -> None:
    VideoPipeline()(
        case.prompt,
        output=case.folder / "clip.mp4",
        size=case.size,
        seconds=case.seconds,
        fps=FPS,
        model=case.model,
        forensic=FORENSIC,
        encoder_threads=case.threads,
        on_preview=on_preview,
        preview_seconds=preview_seconds,
    )


def encode_only(case: Case) -> None:
    qp = variant(case.model).qp + busyness(encode_prompt(case.prompt))
    command = ffmpeg_command(EncoderSettings(*case.shape, FPS, qp, case.threads), case.folder / "encoded.mp4")
    with (case.folder / "frames.yuv").open("rb") as frames:
        subprocess.run(command, stdin=frames, check=True)


def marks_seconds(case: Case) -> float:
    """Time to put both marks on every frame of the clip."""
    width, height = case.shape
    forensic, visible = ForensicMark(*FORENSIC, width, height), Watermark("synthetic · leakdrill mock", width, height)
    planes = Planes.over(np.full(width * height * 3 // 2, 110, dtype=np.uint8), width, height)

    def put() -> None:
        forensic.put(planes.y)
        visible.put(planes)

    return statistics.median(timed(put) for _ in range(30)) * case.seconds * FPS


def usual_seconds(folder: pathlib.Path, seconds: int) -> float:
    """The same clip as a script commonly makes it, scaled up from `USUAL_FRAMES` frames."""
    width, height = 1920, 1080
    y, x = np.mgrid[0:height, 0:width]

    def work() -> None:
        writer = imageio_ffmpeg.write_frames(folder / "usual.mp4", (width, height), fps=FPS)
        writer.send(None)
        for frame in range(USUAL_FRAMES):
            parts = [np.sin(x / 97.0 + frame / 9 + part) * np.cos(y / 61.0 - frame / 7) for part in range(3)]
            writer.send(np.ascontiguousarray(((np.stack(parts, axis=2) + 1) * 127.5).astype(np.uint8)))
        writer.close()

    return timed(work) * seconds * FPS / USUAL_FRAMES


def peak_megabytes(prompt: str, folder: pathlib.Path, seconds: int) -> tuple[float, float]:
    """Peak resident memory of a fresh Python process and of its ffmpeg, in MiB."""
    command = [sys.executable, "-c", _PEAK, prompt, str(folder / "peak.mp4"), SIZES[0], str(seconds)]
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
            VideoPipeline()(
                prompt, output=target / "a.mp4", size=SIZES[0], seconds=10, fps=FPS, interrupt=flag.is_set,
                on_preview=lambda frame: None, preview_seconds=0.0,
            )  # fmt: skip
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


def measure(case: Case, rounds: int) -> float:
    """Print a row; the render's median in seconds."""
    render(case)
    raw = case.folder / "frames.yuv"
    ffmpeg("-i", str(case.folder / "clip.mp4"), "-f", "rawvideo", "-pix_fmt", "yuv420p", str(raw))
    floors, renders, encodes = [], [], []
    for _ in range(rounds):
        floors.append(timed(lambda: floor(case)))
        renders.append(timed(lambda: render(case)))
        encodes.append(timed(lambda: encode_only(case)))
    raw.unlink()
    base, own, encoder = (statistics.median(times) for times in (floors, renders, encodes))
    print(
        f"{case.prompt:34} {case.model:8} {case.size:9} {base:7.2f} {own:8.2f} {encoder:8.2f} {own / base:7.2f}"
        f" {own / encoder:8.2f} {marks_seconds(case) / own:6.1%}"
        f" {(case.folder / 'clip.mp4').stat().st_size / 1e6:6.2f}",
        flush=True,
    )
    return own


def measure_previews(case: Case, rounds: int) -> None:
    """Print a row: what previews add, as the median of the pairs' ratios, and what they are."""
    render(case)
    said = []
    for pace in (MAKE_SECONDS, 0.0):
        frames: list[bytes] = []
        with_frames = partial(render, case, frames.append, pace)
        ratios = []
        for _ in range(rounds):
            without = processor_seconds(partial(render, case))
            frames.clear()
            ratios.append(processor_seconds(with_frames) / without)
        mean = statistics.mean(map(len, frames)) / 1000
        said.append(f"{statistics.median(ratios) - 1:+7.1%} {len(frames):6} {mean:5.1f}")
    print(f"{case.prompt:34} {case.model:8} {case.size:9} {' '.join(said)}", flush=True)


def measure_aborts(tries: int, folder: pathlib.Path) -> None:
    dice = random.Random(1)
    delays = sorted(abort_milliseconds(PROMPTS[index % len(PROMPTS)], folder, dice) for index in range(tries))
    p99 = delays[min(tries - 1, round(tries * 0.99))]
    print(f"abort: median {statistics.median(delays):.0f} ms, p99 {p99:.0f} ms of {tries}")


def measure_all(cases: list[Case], rounds: int, options: argparse.Namespace) -> None:
    """Print the rows, memory, and what is usual."""
    folder, prompt = cases[0].folder, cases[0].prompt
    heads = f"{'floor s':>7} {'render s':>8} {'encode s':>8} {'/ floor':>7} {'/ encode':>8} {'marks':>6} {'MB':>6}"
    print(f"{'prompt':34} {'model':8} {'size':9} {heads}")
    owns = [measure(case, rounds) for case in cases]
    python, child = peak_megabytes(prompt, folder, options.seconds)
    print(f"peak memory at {SIZES[0]}: Python {python:.0f} MiB, ffmpeg {child:.0f} MiB")
    usual = usual_seconds(folder, options.seconds)
    scaled = f"scaled from {USUAL_FRAMES} frames"
    print(f"float RGB through imageio_ffmpeg's defaults: {usual:.1f} s ({scaled}), {usual / owns[0]:.1f} renders")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round and few aborts")
    parser.add_argument("--previews", action="store_true", help="only what previews cost")
    parser.add_argument("--rounds", type=int, help="rounds per row")
    parser.add_argument("--seconds", type=int, default=10, help="length of the clips")
    parser.add_argument("--threads", type=int, default=1, help="encoder threads, for the floor as well")
    parser.add_argument("--prompt", action="append", help="instead of the built-in prompts; may be repeated")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 5)
    prompts = options.prompt or PROMPTS
    rows = [(prompt, SIZES[0], "standard") for prompt in prompts]
    rows += [(prompts[0], size, "standard") for size in SIZES[1:]]
    rows += [(prompt, SIZES[0], "turbo") for prompt in prompts[:2]]
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = pathlib.Path(name)
        print(f"{FPS} fps, {options.seconds} s, encoder threads {options.threads}, medians of {rounds}, both marks")
        cases = [Case(*row, options.seconds, options.threads, folder) for row in rows]
        if not options.previews:
            measure_all(cases, rounds, options)
        print(f"{'previews':53} {'paced':>7} {'frames':>6} {'kB':>5} {'all':>7} {'frames':>6} {'kB':>5}")
        for case in cases:
            measure_previews(case, rounds)
        measure_aborts(12 if options.quick else 60, folder)


if __name__ == "__main__":
    main()
