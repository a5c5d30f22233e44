"""From a job to a file: rendered, or for load tests copied from a clip that was rendered once.

The cached clip depends on size, seconds, frame rate and model alone. It is real, watermarked and playable, but shows
another prompt, and it carries no job's reference.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fake_model import VideoPipeline
from gateway.settings import Settings
from gateway.store.jobs import RenderRequest

CACHED_PROMPT = "a placeholder for load tests: abstract waves"

OnStep = Callable[[VideoPipeline, int, float, dict[str, object]], None]
OnFrame = Callable[[int, int], None]


def produce(
    settings: Settings,
    request: RenderRequest,
    output: Path,
    *,
    on_step: OnStep,
    on_frame: OnFrame,
    interrupt: Callable[[], bool],
) -> int:
    """Puts the clip at `output`; its size in bytes. Raises what the pipeline raises."""
    if settings.render == "full":
        return _render(settings, request, output, on_step=on_step, on_frame=on_frame, interrupt=interrupt)
    cached = settings.data / "cache" / f"{request.size}-{request.seconds}s-{request.fps}fps-{request.variant}.mp4"
    if not cached.exists():
        cached.parent.mkdir(exist_ok=True)
        # A name of our own: two workers may make the same clip at once, and either's is as good.
        fresh = cached.with_name(f"{os.getpid()}-{output.name}")
        plain = replace(request, prompt=CACHED_PROMPT, seed=0, style=None, negative_prompt="", guidance_scale=None)
        _render(settings, plain, fresh, on_step=on_step, on_frame=on_frame, interrupt=interrupt)
        fresh.replace(cached)
    return _link(cached, output)


def _render(
    settings: Settings,
    request: RenderRequest,
    output: Path,
    *,
    on_step: OnStep,
    on_frame: OnFrame,
    interrupt: Callable[[], bool],
) -> int:
    clip = VideoPipeline()(
        request.prompt,
        output=output,
        size=request.size,
        seconds=request.seconds,
        fps=request.fps,
        model=request.variant,
        style=request.style,
        seed=request.seed,
        negative_prompt=request.negative_prompt,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        watermark=settings.watermark,
        encoder_threads=settings.encoder_threads,
        callback_on_step_end=on_step,
        on_frame=on_frame,
        interrupt=interrupt,
    )
    return clip.bytes


def _link(cached: Path, output: Path) -> int:
    """A hard link costs nothing and stays when the cache is emptied; a copy where the file system has no links."""
    try:
        os.link(cached, output)
    except OSError:
        shutil.copyfile(cached, output)
    return output.stat().st_size
