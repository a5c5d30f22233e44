"""Between latents and frames.

A latent cell stands for a square of the frame: 4 pixels where the shorter side is 720 or more, 2 below. Finer noise
would look no better on a projector and cost the encoder dearly. Values are (plane - 128) / 64, so that unit noise spans
a wide grey range. While latents are noisy the frame is their enlargement plus the scene's fine detail, faded in; at
sigma 0 it is the scene itself, to the bit.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fake_model.elements import Element, Plane, Planes, trim_hidden
from fake_model.noise import gaussian, mix
from fake_model.scheduler import Latents

Cells = TypeVar("Cells", npt.NDArray[np.uint8], npt.NDArray[np.int16])

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
        trim_hidden(elements, height)
        self._elements = elements
        grain = self.vae_scale_factor_spatial
        self.latent_shape = (3, -(-height // grain), -(-width // grain))
        self._details: tuple[npt.NDArray[np.int16], ...] = ()

    def render(self, tick: int) -> None:
        """Draw the scene at a frame of its motion, 0 for the frame that the refinement ends in."""
        for element in self._elements:
            element.draw(self.planes, tick)

    def encode(self) -> Latents:
        """Latents of the scene's frame in the buffer; keeps its fine detail for `decode`."""
        means, details = self._means(), []
        for (plane, grain), mean in zip(self._grains(), means, strict=True):
            rough = _widened(mean, grain)[:, : plane.shape[1]]
            detail = plane.astype(np.int16)
            for offset in range(grain):
                rows = detail[offset::grain]
                rows -= rough[: rows.shape[0]]
            details.append(detail)
        self._details = tuple(details)
        return _latents(means)

    def latents(self) -> Latents:
        """Latents of whatever is in the buffer, float32 of shape `latent_shape`."""
        return _latents(self._means())

    def _means(self) -> list[npt.NDArray[np.int16]]:
        return [_block_mean(plane, grain) for plane, grain in self._grains()]

    def noise(self, seed: int) -> Latents:
        """Starting latents, about N(0, 1) for luma and weaker for chroma, float32 of shape `latent_shape`."""
        _, rows, columns = self.latent_shape
        stack = np.stack([gaussian(mix(seed, 31, part), rows, columns) for part in range(3)])
        stack[1:] *= _CHROMA_NOISE
        return stack

    def decode(self, latents: Latents, sigma: float) -> None:
        """Draw latents of noise level sigma in 0..1 into the buffer."""
        gain = max(0, round((0.5 - sigma) * 512)) if sigma > 0 else 256
        levels = latents * np.float32(_SCALE)
        levels += np.float32(128.5)
        whole = np.clip(levels, 16, 235, out=levels).astype(np.uint8)
        for part, (plane, grain) in enumerate(self._grains()):
            if gain:
                _spread_with(plane, whole[part].astype(np.int16), grain, self._details[part], np.int16(gain >> 1))
            else:
                rough = _widened(whole[part], grain)[:, : plane.shape[1]]
                for offset in range(grain):
                    rows = plane[offset::grain]
                    rows[...] = rough[: rows.shape[0]]

    def _grains(self) -> tuple[tuple[Plane, int], ...]:
        grain = self.vae_scale_factor_spatial
        return (self.planes.y, grain), (self.planes.u, grain // 2), (self.planes.v, grain // 2)


def _latents(means: list[npt.NDArray[np.int16]]) -> Latents:
    latents: Latents = (np.stack(means).astype(np.float32) - np.float32(128)) * np.float32(1 / _SCALE)
    return latents


def _block_mean(plane: Plane, grain: int) -> npt.NDArray[np.int16]:
    """Rounded means of grain x grain squares; edges are repeated to fill the last ones."""
    if grain == 1:
        return plane.astype(np.int16)
    rows, columns = plane.shape
    padded = np.pad(plane, ((0, -rows % grain), (0, -columns % grain)), mode="edge")
    # Down first: whole rows add up many at a time, columns one by one.
    down = padded[::grain].astype(np.uint16)
    for offset in range(1, grain):
        down += padded[offset::grain]
    total = down[:, ::grain].copy()
    for offset in range(1, grain):
        total += down[:, offset::grain]
    return ((total + np.uint16(grain * grain // 2)) // np.uint16(grain * grain)).astype(np.int16)


def _widened(cells: Cells, grain: int) -> Cells:
    """Each cell `grain` times in its row: (rows, columns * grain) of the same type, which has no negative values."""
    if grain == 1:
        return cells
    # Multiplying by 1, 0x101, 0x1010101 copies a number into all parts of a wider one; np.repeat copies one by one.
    width = cells.dtype.itemsize
    ones = sum(1 << (8 * width * place) for place in range(grain))
    wide = cells.astype(f"<u{width * grain}")
    wide *= wide.dtype.type(ones)
    return wide.view(cells.dtype)


#: Cell rows decoded at a time, so that they stay in the core's cache between passes.
_BAND = 8


def _spread_with(
    plane: Plane, cells: npt.NDArray[np.int16], grain: int, details: npt.NDArray[np.int16], gain: np.int16
) -> None:
    """Draw cells enlarged, plus the details at gain / 128."""
    rough = _widened(cells, grain)[:, : plane.shape[1]]
    for first in range(0, cells.shape[0], _BAND):
        area = slice(first * grain, (first + _BAND) * grain)
        fine = details[area] * gain
        fine >>= np.int16(7)
        for offset in range(grain):
            rows = fine[offset::grain]
            rows += rough[first : first + rows.shape[0]]
        np.clip(fine, 0, 255, out=fine)
        plane[area] = fine
