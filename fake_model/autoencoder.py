"""Between latents and frames.

A latent cell stands for a square of the frame: 4 pixels where the shorter side is 720 or more, 2 below. Finer noise
would look no better on a projector and cost the encoder dearly. Values are (plane - 128) / 64, so that unit noise spans
a wide grey range. While latents are noisy the frame is their enlargement plus the scene's fine detail, faded in; at
sigma 0 it is the scene itself, to the bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fake_model.elements import Element, Plane, Planes
from fake_model.noise import gaussian, mix
from fake_model.scheduler import Latents

_SCALE = 64
_CHROMA_NOISE = np.float32(0.62)


class Autoencoder:
    """Encodes a scene's first frame to latents and decodes latents, or the moving scene, into the one frame buffer.

    Args:
        width, height: frame size in pixels.
        elements: the scene, back to front.

    Attributes:
        buffer: flat uint8 array of width * height * 3 / 2 bytes; every frame is drawn into it.
        planes: views of `buffer`.
    """

    def __init__(self, width: int, height: int, elements: list[Element]) -> None:
        self.vae_scale_factor_spatial = 4 if min(width, height) >= 720 else 2
        self.buffer: Plane = np.zeros(width * height * 3 // 2, dtype=np.uint8)
        self.planes = Planes.over(self.buffer, width, height)
        self._elements = elements
        grain = self.vae_scale_factor_spatial
        self.latent_shape = (3, -(-height // grain), -(-width // grain))
        self._details: tuple[npt.NDArray[np.int16], ...] = ()

    def render(self, tick: int) -> None:
        """Draw the scene at a frame of its motion, 0 for the frame that the refinement ends in."""
        for element in self._elements:
            element.draw(self.planes, tick)

    def encode(self) -> Latents:
        """Latents of the frame in the buffer, float32 of shape `latent_shape`; keeps its fine detail for `decode`."""
        means, details = [], []
        for plane, grain in self._grains():
            mean = _block_mean(plane, grain)
            rough = mean.repeat(grain, axis=0).repeat(grain, axis=1)[: plane.shape[0], : plane.shape[1]]
            details.append(plane.astype(np.int16) - rough)
            means.append(mean)
        self._details = tuple(details)
        latents: Latents = (np.stack(means).astype(np.float32) - np.float32(128)) * np.float32(1 / _SCALE)
        return latents

    def noise(self, seed: int) -> Latents:
        """Starting latents, about N(0, 1) for luma and weaker for chroma, float32 of shape `latent_shape`."""
        _, rows, columns = self.latent_shape
        stack = np.stack([gaussian(mix(seed, 31, part), rows, columns) for part in range(3)])
        stack[1:] *= _CHROMA_NOISE
        return stack

    def decode(self, latents: Latents, sigma: float) -> None:
        """Draw latents of noise level sigma in 0..1 into the buffer."""
        gain = max(0, round((0.5 - sigma) * 512)) if sigma > 0 else 256
        levels = np.clip(np.floor(latents * np.float32(_SCALE) + np.float32(128.5)), 16, 235).astype(np.int16)
        for part, (plane, grain) in enumerate(self._grains()):
            rough = levels[part].repeat(grain, axis=1)[:, : plane.shape[1]]
            if not gain:
                _spread(plane, rough.astype(np.uint8), grain)
                continue
            fine = self._details[part] * np.int16(gain >> 1)
            fine >>= np.int16(7)
            _add_spread(fine, rough, grain)
            np.clip(fine, 0, 255, out=fine)
            plane[...] = fine

    def _grains(self) -> tuple[tuple[Plane, int], ...]:
        grain = self.vae_scale_factor_spatial
        return (self.planes.y, grain), (self.planes.u, grain // 2), (self.planes.v, grain // 2)


def _block_mean(plane: Plane, grain: int) -> npt.NDArray[np.int16]:
    """Rounded means of grain x grain squares; edges are repeated to fill the last ones."""
    if grain == 1:
        return plane.astype(np.int16)
    rows, columns = plane.shape
    padded = np.pad(plane, ((0, -rows % grain), (0, -columns % grain)), mode="edge")
    total = np.zeros((padded.shape[0] // grain, padded.shape[1] // grain), dtype=np.int32)
    for down in range(grain):
        for across in range(grain):
            total += padded[down::grain, across::grain]
    return ((total + grain * grain // 2) // (grain * grain)).astype(np.int16)


def _spread(plane: Plane, rows: Plane, grain: int) -> None:
    """Write each row `grain` times."""
    for offset in range(grain):
        part = plane[offset::grain]
        part[...] = rows[: part.shape[0]]


def _add_spread(plane: npt.NDArray[np.int16], rows: npt.NDArray[np.int16], grain: int) -> None:
    for offset in range(grain):
        part = plane[offset::grain]
        part += rows[: part.shape[0]]
