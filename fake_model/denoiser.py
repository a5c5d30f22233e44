"""The stand-in for a network: knows the scene, and answers with the velocity that leads there.

A trained denoiser answers at high noise with something like the mean of all clips the prompt could mean, which is
blurred, and finds detail late. This one does the same on purpose: its estimate of the clean latents is the scene
reduced in proportion to sigma. No learning is involved.
"""

from __future__ import annotations

import numpy as np

from fake_model.scheduler import Latents

#: (lowest sigma, edge in latent cells of the blocks that the estimate is reduced to)
_LEVELS = ((0.86, 32), (0.72, 16), (0.55, 8), (0.38, 4), (0.22, 2), (0.0, 1))


class Denoiser:
    """Pulls latents toward one scene.

    Args:
        target: the scene's latents, float32 of shape (3, rows, columns).
    """

    def __init__(self, target: Latents) -> None:
        self._estimates = {block: _reduced(target, block) for _, block in _LEVELS}

    def __call__(self, sample: Latents, sigma: float) -> Latents:
        """Velocity at `sample`, whose noise level is sigma in (0, 1]; the shape of `sample`."""
        velocity: Latents = (sample - self.estimate(sigma)) / np.float32(sigma)
        return velocity

    def estimate(self, sigma: float) -> Latents:
        """The clean latents as guessed at noise level sigma: blurred while sigma is high."""
        block = next(size for least, size in _LEVELS if sigma >= least)
        return self._estimates[block]


def _reduced(target: Latents, block: int) -> Latents:
    """Means over blocks, enlarged again linearly; edges are repeated to fill the last block."""
    if block == 1:
        return target
    _, rows, columns = target.shape
    padded = np.pad(target, ((0, 0), (0, -rows % block), (0, -columns % block)), mode="edge")
    down = padded.shape[1] // block, padded.shape[2] // block
    # Latents are multiples of 1/64 here, so that integer sums make the mean independent of the order of summation.
    whole = np.round(padded * np.float32(64)).astype(np.int64)
    means = whole.reshape(3, down[0], block, down[1], block).sum(axis=(2, 4)).astype(np.float32)
    means *= np.float32(1.0 / (64 * block * block))
    tall = _enlarged(means, block, rows, 1)
    return _enlarged(tall, block, columns, 2)


def _enlarged(values: Latents, block: int, length: int, axis: int) -> Latents:
    position = np.clip((np.arange(length) + 0.5) / block - 0.5, 0, values.shape[axis] - 1)
    lower = position.astype(np.intp)
    upper = np.minimum(lower + 1, values.shape[axis] - 1)
    shape = [1, 1, 1]
    shape[axis] = length
    part = (position - lower).astype(np.float32).reshape(shape)
    first = np.take(values, lower, axis=axis)
    enlarged: Latents = first + (np.take(values, upper, axis=axis) - first) * part
    return enlarged
