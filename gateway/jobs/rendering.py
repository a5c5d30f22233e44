"""From a job to its files, a clip and two stills: rendered, or for load tests linked from what was rendered once.

A rendered clip carries the job's reference as a forensic mark and, where the extra `provenance` is installed, a signed
manifest. The cached clip depends on size, seconds, frame rate and model alone: it is real, watermarked and playable,
but shows another prompt, and names no job. What is made from another clip is rendered always. To measure the queue,
nothing is rendered at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fake_model import VideoEditPipeline, VideoExtendPipeline, VideoOutput, VideoPipeline, provenance
from fake_model.errors import EncoderError
from fake_model.export import ensure_ffmpeg
from gateway.errors import OperatorError
from gateway.jobs import outputs
from gateway.settings import Settings
from gateway.store.jobs import Job, RenderRequest, reference_of

CACHED_PROMPT = "a placeholder for load tests: abstract waves"
TITLE = "leakdrill mock clip"
NOTHING = b"leakdrill: nothing was rendered (LEAKDRILL_RENDER=null)\n"

OnStep = Callable[[Any, int, float, dict[str, object]], None]
OnFrame = Callable[[int, int], None]
OnPreview = Callable[[bytes], None]


@dataclass(frozen=True)
class Watch:
    """Who is told how far a render is, and who is asked whether to go on.

    `on_preview` gets a JPEG of the noise as it is refined, at most one each `preview_seconds`.
    """

    on_step: OnStep
    on_frame: OnFrame
    interrupt: Callable[[], bool]
    on_preview: OnPreview | None = None
    preview_seconds: float = 0.0


@dataclass(frozen=True)
class Produced:
    """A finished clip: bytes, and where its motion goes on, None where nobody can tell."""

    size: int
    next_tick: int | None


def ensure_encoder(settings: Settings) -> None:
    """Raises OperatorError where no clip could be made: better at a worker's start than in each of its jobs."""
    if settings.render == "null":
        return
    try:
        ensure_ffmpeg()
    except EncoderError as exc:
        raise OperatorError(
            f"{exc}; install imageio-ffmpeg again, or name a program that runs in IMAGEIO_FFMPEG_EXE"
        ) from exc


class Renderer:
    """Makes clips for a worker. `marks` is the deployment's key of the forensic mark."""

    def __init__(self, settings: Settings, marks: bytes) -> None:
        self._settings = settings
        self._marks = marks
        try:
            self._signer = provenance.Signer.create(settings.data) if provenance.available() else None
        except provenance.ProvenanceError as exc:
            raise OperatorError(str(exc)) from exc

    @property
    def brief(self) -> bool:
        """Whether `produce` takes no longer than handing it to a thread would."""
        return self._settings.render == "null"

    def produce(self, job: Job, output: Path, watch: Watch) -> Produced:
        """Puts the job's clip at `output` and its stills beside it. Raises what the pipeline raises."""
        request = job.request
        if self._settings.render == "null":
            return Produced(self._nothing(output), None)
        if self._settings.render == "cached" and (request.kind == "create" or request.input is None):
            return Produced(_link(self._cached(request, output, watch), output), None)
        mark = (reference_of(job.id), self._marks)
        made = self._render(request, output, watch, forensic=mark, created_at=job.created_at)
        if self._signer is not None:
            self._signer.sign(output, title=TITLE, model=request.variant, seed=request.seed, created_at=job.created_at)
        return Produced(output.stat().st_size, made.next_tick)

    def _nothing(self, output: Path) -> int:
        # A link takes a third of the time of a file.
        made = self._settings.data / "cache" / "nothing"
        try:
            os.link(made, output)
        except FileNotFoundError:
            made.parent.mkdir(exist_ok=True)
            output.write_bytes(NOTHING)
            output.replace(made)
            os.link(made, output)
        except OSError:  # no links, or no more of this file
            return output.write_bytes(NOTHING)
        return len(NOTHING)

    def _cached(self, request: RenderRequest, output: Path, watch: Watch) -> Path:
        name = f"{request.size}-{request.seconds}s-{request.fps}fps-{request.variant}.mp4"
        cached = self._settings.data / "cache" / name
        if not all(outputs.beside(cached, variant).exists() for variant in outputs.SUFFIXES):
            cached.parent.mkdir(exist_ok=True)
            # A name of our own: two workers may make the same clip at once, and either's is as good.
            fresh = cached.with_name(f"{os.getpid()}-{output.name}")
            plain = replace(
                request, kind="create", prompt=CACHED_PROMPT, seed=0, style=None, negative_prompt="",
                guidance_scale=None, base_prompts=(), colours=(), input=None,
            )  # fmt: skip
            # It is of another prompt, so nobody shall see how it comes about.
            self._render(plain, fresh, replace(watch, on_preview=None), forensic=None, created_at=None)
            for variant in reversed(outputs.SUFFIXES):  # the clip last: whoever sees it finds its stills
                outputs.beside(fresh, variant).replace(outputs.beside(cached, variant))
        return cached

    def _render(
        self,
        request: RenderRequest,
        output: Path,
        watch: Watch,
        *,
        forensic: tuple[int, bytes] | None,
        created_at: float | None,
    ) -> VideoOutput:
        # What all three pipelines are told; each call adds its own.
        told: dict[str, Any] = {
            "output": output,
            "size": request.size,
            "fps": request.fps,
            "model": request.variant,
            "style": request.style,
            "seed": request.seed,
            "negative_prompt": request.negative_prompt,
            "num_inference_steps": request.num_inference_steps,
            "guidance_scale": request.guidance_scale,
            "colours": request.colours or None,
            "watermark": self._settings.watermark,
            "encoder_threads": self._settings.encoder_threads,
            "forensic": forensic,
            "exercise": self._settings.exercise_line or None,
            "step_counter": self._settings.step_counter,
            "created_at": created_at,
            "thumbnail": outputs.beside(output, "thumbnail"),
            "spritesheet": outputs.beside(output, "spritesheet"),
            "on_preview": watch.on_preview,
            "preview_seconds": watch.preview_seconds,
            "callback_on_step_end": watch.on_step,
            "on_frame": watch.on_frame,
            "interrupt": watch.interrupt,
        }
        source = None if request.input is None else self._settings.inputs / request.input
        bases = request.base_prompts or None
        if source is None or request.kind == "create":
            return VideoPipeline()(request.prompt, seconds=request.seconds, image=source, base_prompt=bases, **told)
        if request.kind == "extend" and request.added_seconds is not None:
            return VideoExtendPipeline()(
                request.prompt,
                source=source,
                seconds=request.added_seconds,
                base_prompt=bases,
                continue_from=request.continue_from,
                **told,
            )
        if request.strength is not None:
            told["strength"] = request.strength
        return VideoEditPipeline()(request.prompt, source=source, **told)


def _link(cached: Path, output: Path) -> int:
    """A hard link costs nothing and stays when the cache is emptied; a copy where the file system has no links."""
    for variant in outputs.SUFFIXES:
        source, target = outputs.beside(cached, variant), outputs.beside(output, variant)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    return output.stat().st_size
