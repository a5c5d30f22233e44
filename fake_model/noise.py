"""Chance from integers only.

Every random choice is a hash of small integers, so a clip is the same on every numpy, CPU and process. numpy's
generators do not promise their streams across versions, and Python's `hash` differs per process. Floating point is used
for interpolation, with additions and products alone, which IEEE 754 fixes to the bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]

MASK = 0xFFFFFFFF


def seed_of(text: str) -> int:
    """A 32-bit number for a text; the same in every process."""
    return int.from_bytes(hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")


def mix(*parts: int) -> int:
    """Join integers into one 32-bit number (multiply-xorshift rounds, Wellons' "lowbias32" constants)."""
    value = 0x9E3779B9
    for part in parts:
        value = (value ^ (part & MASK)) & MASK
        value = ((value ^ (value >> 16)) * 0x7FEB352D) & MASK
        value = ((value ^ (value >> 15)) * 0x846CA68B) & MASK
        value = (value ^ (value >> 16)) & MASK
    return value


def hash32(values: Words) -> Words:
    """The rounds of `mix` over an array; returns a new uint32 array of the same shape."""
    out = values ^ (values >> np.uint32(16))
    out *= np.uint32(0x7FEB352D)
    out ^= out >> np.uint32(15)
    out *= np.uint32(0x846CA68B)
    out ^= out >> np.uint32(16)
    return out


def hash_grid(seed: int, height: int, width: int) -> Words:
    """A (height, width) grid of independent 32-bit numbers; a cell's value does not depend on the grid's size."""
    rows = hash32(np.arange(height, dtype=np.uint32) + np.uint32(mix(seed, 1)))
    columns = np.arange(width, dtype=np.uint32) * np.uint32(0x9E3779B1)
    return hash32(rows[:, None] + columns[None, :])


def gaussian(seed: int, height: int, width: int) -> Floats:
    """Approximately N(0, 1) as the sum of four uniform bytes (Irwin-Hall), float32 of shape (height, width)."""
    words = hash_grid(seed, height, width)
    total = (words & np.uint32(255)).astype(np.int32)
    for shift in (8, 16, 24):
        total += ((words >> np.uint32(shift)) & np.uint32(255)).astype(np.int32)
    centred = (total - 510).astype(np.float32)
    scaled: Floats = centred * np.float32(1.0 / 147.8)
    return scaled


def _axis(length: int, cell: float) -> tuple[npt.NDArray[np.intp], Floats]:
    position = np.arange(length, dtype=np.float64) / max(cell, 1.0)
    index = position.astype(np.intp)
    part = position - index
    return index, (part * part * (3.0 - 2.0 * part)).astype(np.float32)


@dataclass(frozen=True)
class _Octave:
    """One lattice of noise, already spread over the columns.

    Args:
        upper: (lattice rows, width) values.
        step: (lattice rows, width) differences to the next lattice row.
        part: (height,) how far a row is on its way there, smoothed.
        starts: first pixel row of each lattice row, and the height at the end.
    """

    upper: Floats
    step: Floats
    part: Floats
    starts: list[int]


def _octave(seed: int, height: int, width: int, cell_y: float, cell_x: float, weight: float) -> _Octave:
    rows, part = _axis(height, cell_y)
    columns, column_part = _axis(width, cell_x)
    last = int(rows[-1])
    grid = (hash_grid(seed, last + 2, int(columns[-1]) + 2) >> np.uint32(16)).astype(np.float32)
    grid *= np.float32(1.0 / 65535.0)
    left = np.take(grid, columns, axis=1)
    across = np.take(grid, columns + 1, axis=1)
    across -= left
    across *= column_part
    across += left
    across *= np.float32(weight)
    starts = np.searchsorted(rows, np.arange(last + 2)).tolist()
    return _Octave(across[:-1], across[1:] - across[:-1], part[:, None], starts)


#: Rows that are summed at a time: few enough to stay in a core's cache, which is four times as fast as whole planes.
_BAND = 16


def _summed(octaves: list[_Octave], height: int, width: int, norm: float) -> Floats:
    """The octaves' sum over `norm`, float32 of shape (height, width)."""
    total = np.zeros((height, width), dtype=np.float32)
    scratch = np.empty((_BAND, width), dtype=np.float32)
    places = [0] * len(octaves)
    for first in range(0, height, _BAND):
        last = min(first + _BAND, height)
        for turn, octave in enumerate(octaves):
            row = first
            while row < last:
                while octave.starts[places[turn] + 1] <= row:
                    places[turn] += 1
                place = places[turn]
                end = min(last, octave.starts[place + 1])
                layer = scratch[: end - row]
                np.multiply(octave.step[place], octave.part[row:end], out=layer)
                layer += octave.upper[place]
                total[row:end] += layer
                row = end
        total[first:last] *= np.float32(1.0 / norm)
    return total


def value_noise(seed: int, height: int, width: int, cell_y: float, cell_x: float) -> Floats:
    """Smooth noise in 0..1, float32 of shape (height, width); cells are in pixels, at least 1."""
    return _summed([_octave(seed, height, width, cell_y, cell_x, 1.0)], height, width, 1.0)


def fbm(seed: int, height: int, width: int, cell_y: float, cell_x: float, octaves: int) -> Floats:
    """Fractal sum of `value_noise`, each octave half as large and half as strong; 0..1, shape (height, width)."""
    layers = []
    weight, norm = 1.0, 0.0
    for octave in range(octaves):
        layers.append(_octave(mix(seed, octave), height, width, cell_y, cell_x, weight))
        norm += weight
        weight, cell_y, cell_x = weight / 2, cell_y / 2, cell_x / 2
        if max(cell_y, cell_x) < 2:
            break
    return _summed(layers, height, width, norm)


def ridge(seed: int, width: int, cell: float, octaves: int = 6, sharpness: float = 0.5) -> Floats:
    """A skyline in 0..1, float32 of shape (width,); sharpness 0 gives hills, 1 gives peaks."""
    total = np.zeros(width, dtype=np.float32)
    weight, norm = 1.0, 0.0
    for octave in range(octaves):
        line = value_noise(mix(seed, 77, octave), 1, width, 1, cell)[0]
        peak = np.float32(1) - np.abs(line * np.float32(2) - np.float32(1))
        total += (line + (peak - line) * np.float32(sharpness)) * np.float32(weight)
        norm += weight
        weight, cell = weight * 0.48, cell / 2
        if cell < 2:
            break
    total *= np.float32(1.0 / norm)
    return total


class Dice:
    """A counter behind `mix`, for placing things one by one; hashed in blocks, because scenes roll it often."""

    _BLOCK = 512

    def __init__(self, seed: int) -> None:
        self._seed = mix(seed)
        self._count = 0
        self._block: list[int] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        place = self._count % self._BLOCK
        if place == 0:
            numbers = np.arange(self._count + 1, self._count + 1 + self._BLOCK, dtype=np.uint32)
            self._block = hash32(numbers ^ np.uint32(self._seed)).tolist()
        self._count += 1
        return self._block[place] / 4294967296.0

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def whole(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return low + int(self.unit() * (high - low + 1))
