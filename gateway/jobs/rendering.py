"""From a job to a file: rendered, or for load tests copied from a clip that was rendered once.

A rendered clip carries the job's reference as a forensic mark and, where the extra `provenance` is installed, a signed
manifest. The cached clip depends on size, seconds, frame rate and model alone: it is real, watermarked and playable,
but shows another prompt, and names no job.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fake_model import VideoPipeline, provenance
from gateway.errors import OperatorError
from gateway.settings import Settings
from gateway.store.jobs import Job, RenderRequest, reference_of

CACHED_PROMPT = "a placeholder for load tests: abstract waves"
TITLE = "leakdrill mock clip"

OnStep = Callable[[VideoPipeline, int, float, dict[str, object]], None]
OnFrame = Callable[[int, int], None]


@dataclass(frozen=True)
class Watch:
    """Who is told how far a render is, and who is asked whether to go on."""

    on_step: OnStep
    on_frame: OnFrame
    interrupt: Callable[[], bool]


class Renderer:
    """Makes clips for a worker. `marks` is the deployment's key of the forensic mark."""

    def __init__(self, settings: Settings, marks: bytes) -> None:
        self._settings = settings
        self._marks = marks
        try:
            self._signer = provenance.Signer.create(settings.data) if provenance.available() else None
        except provenance.ProvenanceError as exc:
            raise OperatorError(str(exc)) from exc

    def produce(self, job: Job, output: Path, watch: Watch) -> int:
        """Puts the job's clip at `output`; its size in bytes. Raises what the pipeline raises."""
        if self._settings.render == "cached":
            return _link(self._cached(job.request, output, watch), output)
        request = job.request
        mark = (reference_of(job.id), self._marks)
        self._render(request, output, watch, forensic=mark, created_at=job.created_at)
        if self._signer is not None:
            self._signer.sign(output, title=TITLE, model=request.variant, seed=request.seed, created_at=job.created_at)
        return output.stat().st_size

    def _cached(self, request: RenderRequest, output: Path, watch: Watch) -> Path:
        name = f"{request.size}-{request.seconds}s-{request.fps}fps-{request.variant}.mp4"
        cached = self._settings.data / "cache" / name
        if not cached.exists():
            cached.parent.mkdir(exist_ok=True)
            # A name of our own: two workers may make the same clip at once, and either's is as good.
            fresh = cached.with_name(f"{os.getpid()}-{output.name}")
            plain = replace(request, prompt=CACHED_PROMPT, seed=0, style=None, negative_prompt="", guidance_scale=None)
            self._render(plain, fresh, watch, forensic=None, created_at=None)
            fresh.replace(cached)
        return cached

    def _render(
        self,
        request: RenderRequest,
        output: Path,
        watch: Watch,
        *,
        forensic: tuple[int, bytes] | None,
        created_at: float | None,
    ) -> None:
        VideoPipeline()(
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
            watermark=self._settings.watermark,
            encoder_threads=self._settings.encoder_threads,
            forensic=forensic,
            exercise=self._settings.exercise_line or None,
            step_counter=self._settings.step_counter,
            created_at=created_at,
            callback_on_step_end=watch.on_step,
            on_frame=watch.on_frame,
            interrupt=watch.interrupt,
        )


def _link(cached: Path, output: Path) -> int:
    """A hard link costs nothing and stays when the cache is emptied; a copy where the file system has no links."""
    try:
        os.link(cached, output)
    except OSError:
        shutil.copyfile(cached, output)
    return output.stat().st_size
