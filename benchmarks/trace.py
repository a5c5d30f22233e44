"""How well the forensic mark is read again, what it costs and how strong it is.

    python benchmarks/trace.py            # all clips, attacks and keys: about 20 minutes of one core
    python benchmarks/trace.py --quick    # two small clips, five attacks: about a minute

Clips are rendered with the mark, attacked with ffmpeg and traced under the right key and under wrong ones; clips
without a mark are traced under many keys. Every (clip, attack, key) is one decision, and a payload that was not put
there is a wrong attribution. The exit code is 1 if there is any.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import imageio_ffmpeg
import numpy as np

from fake_model import VideoPipeline
from fake_model.forensic import ForensicMark
from fake_model.scenes import busyness
from fake_model.text_encoder import encode_prompt
from fake_model.trace import average, find
from fake_model.variants import variant

FPS = 30


@dataclass(frozen=True)
class Clip:
    """What to render; the payload is made from it."""

    prompt: str
    size: str
    seconds: int
    model: str = "standard"

    @property
    def sides(self) -> tuple[int, int]:
        width, height = self.size.split("x")
        return int(width), int(height)

    @property
    def qp(self) -> int:
        return variant(self.model).qp + busyness(encode_prompt(self.prompt))

    @property
    def payload(self) -> int:
        return int.from_bytes(hashlib.sha256(repr(self).encode()).digest()[:8], "big")


CLIPS = (
    Clip("a lake below mountains at sunset", "1920x1080", 10),
    Clip("neon city in the rain", "1920x1080", 5),
    Clip("a dog on a skateboard", "1280x720", 10),
    Clip("abstract flowing ink", "1280x720", 5),
    Clip("fast neon city in the rain", "1280x720", 5, "turbo"),
    Clip("a fox in a snowy forest at night", "854x480", 10),
    Clip("a train in the desert at dawn", "854x480", 5),
    Clip("a rocket in space", "720x1280", 5),
    Clip("a rainy neon city", "480x480", 5),
)
UNMARKED = (
    Clip("a lighthouse by the sea at dusk", "1280x720", 5),
    Clip("birds over a forest in the morning", "854x480", 10),
    Clip("abstract geometric pattern", "480x854", 5),
)


@dataclass(frozen=True)
class Attack:
    """A re-encode at x264's veryfast: filters, constant rate factor, and what part of the clip."""

    filters: str = "null"
    crf: int = 23
    part: tuple[str, ...] = ()


def _short_side(pixels: int) -> str:
    return f"scale='if(gt(iw,ih),-2,min(iw,{pixels}))':'if(gt(iw,ih),min(ih,{pixels}),-2)'"


_CORNER = "crop=trunc(iw*0.45)*2:trunc(ih*0.45)*2:0:0"
ATTACKS: dict[str, Attack | None] = {
    "as delivered": None,
    "crf 28": Attack(crf=28),
    "720p": Attack(_short_side(720)),
    "480p, crf 23": Attack(_short_side(480)),
    "crop 10 %, corner": Attack(_CORNER),
    "crop 10 %, centre": Attack("crop=trunc(iw*0.45)*2:trunc(ih*0.45)*2"),
    "24 fps": Attack("fps=24"),
    "first 5 s": Attack(part=("-t", "5")),
    "crf 35": Attack(crf=35),
    "480p, crf 28": Attack(_short_side(480), crf=28),
    "360p, crf 28": Attack(_short_side(360), crf=28),
    "brightness, contrast": Attack("eq=brightness=0.06:contrast=1.2"),
    "15 fps": Attack("fps=15"),
    "last 3 s": Attack(part=("-sseof", "-3")),
    "crop, 720p, 24 fps, crf 28": Attack(f"{_CORNER},{_short_side(720)},fps=24", crf=28),
    "crop 18 %, centre": Attack("crop=trunc(iw*0.41)*2:trunc(ih*0.41)*2"),
    "10 % off the left only": Attack("crop=trunc(iw*0.45)*2:ih:iw-ow:0"),
    "mirror": Attack("hflip"),
    "rotated by 1 degree": Attack("rotate=PI/180"),
    "first 2 s (the noise)": Attack(part=("-t", "2")),
    "last second": Attack(part=("-sseof", "-1")),
    "blur, 5 pixels": Attack("gblur=sigma=5"),
}
UNMARKED_ATTACKS = ("as delivered", "480p, crf 23", "crop 10 %, corner", "first 2 s (the noise)")


@dataclass
class Tally:
    """Decisions of one row of the table."""

    trials: int = 0
    recovered: int = 0
    decisions: int = 0
    wrong: int = 0
    lowest: float = math.inf
    failures: list[str] = field(default_factory=list)


def render(clip: Clip, key: bytes | None, output: pathlib.Path) -> None:
    """Make the clip with the pipeline, marked under a key or not at all."""
    VideoPipeline()(
        clip.prompt,
        output=output,
        size=clip.size,
        seconds=clip.seconds,
        fps=FPS,
        model=clip.model,
        forensic=None if key is None else (clip.payload, key),
    )


def attacked(source: pathlib.Path, attack: Attack | None, output: pathlib.Path) -> pathlib.Path:
    if attack is None:
        return source
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *attack.part, "-i", str(source)]
    command += ["-vf", attack.filters, "-c:v", "libx264", "-preset", "veryfast", "-crf", str(attack.crf)]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-threads", "1", str(output)], check=True)
    return output


def key_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def run(
    clips: tuple[Clip, ...], names: tuple[str, ...], keys: list[bytes], marked: bool, folder: pathlib.Path
) -> tuple[dict[str, Tally], list[float], list[float]]:
    """Tallies per attack, seconds per trace, and the highest score under each wrong key."""
    tallies = {name: Tally() for name in names}
    seconds, chance = [], []
    for clip in clips:
        source = folder / "clip.mp4"
        own = key_of("own " + clip.prompt)
        render(clip, own if marked else None, source)
        for name in names:
            tally = tallies[name]
            path = attacked(source, ATTACKS[name], folder / "attacked.mp4")
            start = time.perf_counter()
            picture = average(path)
            first = find(picture, own)
            seconds.append(time.perf_counter() - start)
            expected = clip.payload if marked else None
            tally.trials += 1
            tally.decisions += 1
            tally.recovered += first.payload == expected
            tally.wrong += first.payload not in (None, expected)
            tally.lowest = min(tally.lowest, first.score)
            if first.payload != expected:
                tally.failures.append(f"{clip.prompt}, {clip.size}, {clip.seconds} s, score {first.score:.1f}")
            for key in keys:
                found = find(picture, key)
                tally.decisions += 1
                tally.wrong += found.payload is not None
                chance.append(found.score)
            if not marked:
                chance.append(first.score)
        print(f"# {clip.prompt}, {clip.size}: done", file=sys.stderr, flush=True)
    return tallies, seconds, chance


def timed(work: Callable[[], object], times: int) -> float:
    """Milliseconds of one call: the median of `times`."""
    spans = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        spans.append(time.perf_counter() - start)
    return statistics.median(spans) * 1000


def costs(clip: Clip) -> None:
    """Print what marking a frame of a clip takes, beside copying its luma and beside drawing it."""
    width, height = clip.sides
    made = timed(lambda: ForensicMark(clip.payload, key_of("cost"), width, height), 5)
    mark = ForensicMark(clip.payload, key_of("cost"), width, height)
    luma = np.full((height, width), 128, dtype=np.uint8)
    other = luma.copy()
    put = timed(lambda: mark.put(luma), 200)
    copied = timed(lambda: np.copyto(luma, other), 200)
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "clip.mp4")
        whole = timed(lambda: render(clip, None, output), 3) / (clip.seconds * FPS)
    print(f"\n{clip.size}: mark of a frame {put:.3f} ms, copy of its luma {copied:.3f} ms, render with encoding")
    print(f"{whole:.2f} ms a frame: the mark is {put / whole:.1%} of it; the pattern takes {made:.0f} ms once a clip")


def strengths(clips: tuple[Clip, ...]) -> None:
    print("\nPSNR of the mark:")
    for size, qp in sorted({(clip.size, clip.qp) for clip in clips}):
        width, height = (int(side) for side in size.split("x"))
        pattern = ForensicMark(0, key_of("strength"), width, height, qp=qp).pattern.astype(np.float64)
        print(f"- {size} at qp {qp}: {10 * math.log10(255**2 / np.mean(pattern**2)):.1f} dB")


def show(title: str, tallies: dict[str, Tally]) -> None:
    print(f"\n| {title} | recovered / trials | lowest score | decisions | wrong |\n|---|---|---|---|---|")
    for name, tally in tallies.items():
        ratio = f"{tally.recovered} / {tally.trials}"
        print(f"| {name} | {ratio} | {tally.lowest:.1f} | {tally.decisions} | {tally.wrong} |")
    for name, tally in tallies.items():
        for failure in tally.failures:
            print(f"- {name}: {failure}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small clips, five attacks, few keys")
    quick = parser.parse_args().quick
    clips, unmarked = (CLIPS[7:], UNMARKED[2:]) if quick else (CLIPS, UNMARKED)
    names = tuple(ATTACKS)[:5] if quick else tuple(ATTACKS)
    wrong_keys = [key_of(f"wrong {number}") for number in range(2 if quick else 7)]
    many_keys = [key_of(f"other {number}") for number in range(4 if quick else 40)]
    with tempfile.TemporaryDirectory() as folder:
        marked, seconds, chance = run(clips, names, wrong_keys, True, pathlib.Path(folder))
        plain, more, chance_plain = run(unmarked, UNMARKED_ATTACKS, many_keys, False, pathlib.Path(folder))
    show("marked clip", marked)
    show("clip without a mark (recovered: unknown)", plain)
    tallies = [*marked.values(), *plain.values()]
    wrong, decisions = sum(tally.wrong for tally in tallies), sum(tally.decisions for tally in tallies)
    print(f"\nwrong attributions: {wrong} of {decisions} decisions")
    print(f"highest score under a wrong key or without a mark: {max(chance + chance_plain):.2f}")
    print(f"seconds per trace: median {statistics.median(seconds + more):.2f}, most {max(seconds + more):.2f}")
    costs(Clip(CLIPS[0].prompt, "854x480" if quick else "1920x1080", 5))
    strengths(clips)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
