"""The refinement: latents on their way from noise, or from a picture, to the scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fake_model.autoencoder import Autoencoder
from fake_model.denoiser import Denoiser
from fake_model.elements import Plane
from fake_model.reel import Reel, check
from fake_model.scheduler import FlowMatchEulerScheduler, Latents
from fake_model.stills import Preview
from fake_model.watermark import Label


@dataclass(frozen=True)
class Refinement:
    """Steps, each shown for as many frames as there is room for.

    Args:
        scheduler: with its timesteps set.
        autoencoder, denoiser: of the scene.
        reel: takes the frames.
        frames: how many frames the refinement has, at least 1.
        stop: asked after every step.
        counter: show the number of the step.
        preview: is offered the latents of every step.
    """

    scheduler: FlowMatchEulerScheduler
    autoencoder: Autoencoder
    denoiser: Denoiser
    reel: Reel
    frames: int
    stop: Callable[[], bool]
    counter: bool
    preview: Preview

    def run(self, noise: Latents, picture: Plane | None, strength: float) -> Iterator[tuple[int, float]]:
        """Denoise and show; (step index, timestep) after each step.

        Args:
            noise: starting latents.
            picture: a yuv420p frame to start from, or None. It is the first frame shown; its latents, with noise of
                level `strength` mixed in, are what the steps of at most that level begin with (as in SDEdit, Meng et
                al. 2022).
            strength: 0 to 1; without a picture it has no meaning.
        """
        first, latents, frames, steps = 0, noise, self.frames, len(self.scheduler.timesteps)
        if picture is not None:
            first = first_step(self.scheduler, strength)
            level = np.float32(min(strength, self.scheduler.sigmas[first]))
            self.autoencoder.buffer[...] = picture
            latents = self.autoencoder.latents() * (np.float32(1) - level) + noise * level
            self.reel.show()
            frames -= 1
        for index in range(first, steps):
            sigma = self.scheduler.sigmas[index]
            showing = _frames_of_step(index - first, steps - first, frames)
            if showing:
                self.autoencoder.decode(latents, sigma)
                self.reel.show(showing, *self._count(index, steps))
            self.preview.offer(latents)
            check(self.stop)
            latents = self.scheduler.step(self.denoiser(latents, sigma), index, latents)
            yield index, self.scheduler.timesteps[index]

    def _count(self, index: int, steps: int) -> tuple[Label, ...]:
        if not self.counter:
            return ()
        height, width = self.autoencoder.planes.y.shape
        return (step_label(index, steps, width, height),)


def step_label(index: int, steps: int, width: int, height: int) -> Label:
    """`step 12/30` for the upper right corner."""
    return Label(f"step {index + 1}/{steps}", width, height, right=True)


def first_step(scheduler: FlowMatchEulerScheduler, strength: float) -> int:
    """The first step whose noise level is at most `strength`; the last one if none is."""
    sigmas = scheduler.sigmas[:-1]
    return next((index for index, sigma in enumerate(sigmas) if sigma <= strength), len(sigmas) - 1)


def steps_shown(scheduler: FlowMatchEulerScheduler, strength: float, frames: int) -> list[tuple[int, float, int]]:
    """(step index, noise level, frames that show it) of the steps from `strength` on, `frames` in all."""
    first, steps = first_step(scheduler, strength), len(scheduler.timesteps)
    return [
        (index, min(strength, scheduler.sigmas[index]), _frames_of_step(index - first, steps - first, frames))
        for index in range(first, steps)
    ]


def _frames_of_step(index: int, steps: int, frames: int) -> int:
    """How many of `frames` show the latents before step `index`; frame i shows step i * steps // frames."""
    return -(-frames * (index + 1) // steps) - -(-frames * index // steps)
