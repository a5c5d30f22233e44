"""Flow-match Euler arithmetic: which noise levels are visited, and how one step moves the latents.

A latent on the straight path between data x0 and noise is x_sigma = (1 - sigma) * x0 + sigma * noise, so its velocity
is dx/dsigma = noise - x0 = (x_sigma - x0) / sigma (Lipman et al. 2022, "Flow Matching for Generative Modeling"). A
shift above 1 spends more steps at high noise (Esser et al. 2024, "Scaling Rectified Flow Transformers", section 5.3.2).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Latents = npt.NDArray[np.float32]


class FlowMatchEulerScheduler:
    """Owns the timesteps, the sigmas and the Euler step.

    Args:
        shift: resolution shift of the sigmas, > 0; 1 leaves them evenly spaced.
        num_train_timesteps: the scale of `timesteps`; a sigma of 1 is this timestep.
    """

    def __init__(self, shift: float = 1.0, num_train_timesteps: int = 1000) -> None:
        self.shift = shift
        self.num_train_timesteps = num_train_timesteps
        self.sigmas: tuple[float, ...] = ()
        self.timesteps: tuple[float, ...] = ()

    def set_timesteps(self, num_inference_steps: int) -> None:
        """Fill `sigmas` (n + 1 values, from 1 down to 0) and `timesteps` (n values, sigma * num_train_timesteps)."""
        linear = [1.0 - index / num_inference_steps for index in range(num_inference_steps)]
        shifted = [self.shift * sigma / (1.0 + (self.shift - 1.0) * sigma) for sigma in linear]
        self.sigmas = (*shifted, 0.0)
        self.timesteps = tuple(sigma * self.num_train_timesteps for sigma in shifted)

    def step(self, model_output: Latents, step_index: int, sample: Latents) -> Latents:
        """One Euler step along the velocity.

        Args:
            model_output: predicted velocity, the shape of `sample`.
            step_index: 0 <= step_index < num_inference_steps.
            sample: latents at sigmas[step_index].

        Returns:
            Latents at sigmas[step_index + 1], float32.
        """
        difference = np.float32(self.sigmas[step_index + 1] - self.sigmas[step_index])
        moved: Latents = sample + difference * model_output
        return moved
