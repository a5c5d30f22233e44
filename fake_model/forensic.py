"""The forensic mark: 64 bits in the luma of every frame, too weak to be seen, found again by who has the key.

Spread spectrum in the sense of Cox, Kilian, Leighton and Shamoon (1997, "Secure Spread Spectrum Watermarking for
Multimedia"): a pseudo-random pattern much weaker than the picture, known to the detector. The pattern stands still
while the scene moves, so that the average over frames brings it out, whatever frames are left. Cells are given as
shares of the frame, so a scaled clip keeps them. See forensic_code.py for what the cells say and trace.py for finding
them.

Only integers are used: the same payload, key and size give the same pattern everywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fake_model.errors import InvalidInput
from fake_model.forensic_code import PAYLOAD_BITS, Signs, check_key, chips, grid_of

#: Strength of the mark in 1/16 levels of luma: at the top of the frame, where skies are, and at the bottom.
STRENGTH_TOP, STRENGTH_BOTTOM = 16, 28
#: Shares of the height between which the strength rises, in 1/256.
_RISE_FROM, _RISE_TO = 88, 152
#: The quantiser and the shorter side, in pixels, that this strength is made for. A coarser quantiser drowns a weak mark
#: and hides a stronger one; a smaller frame has fewer pixels to a cell.
_QP, _SIDE = 26, 1080
#: The share of a cell, in 1/256, over which its sign fades into the next one's.
_FADE = 128

Plane = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int32]


class ForensicMark:
    """The mark of one clip.

    Args:
        payload: what to say, 0 to 2**64 - 1.
        key: the secret of the deployment, at least 16 bytes.
        width, height: frame size in pixels, at least 128 each.
        qp: the constant quantiser that the clip will be encoded with; the mark is as strong as that one needs.
        made_for: the shorter side, in pixels, that the strength is for; None for that of the frame.

    Attributes:
        pattern: int8 of shape (height, width), what is added to a frame, in levels: -2 to 2 at qp 26 and
            1080p, -4 to 4 at most.

    Raises:
        InvalidInput: an argument is outside the above.
    """

    def __init__(
        self, payload: int, key: bytes, width: int, height: int, *, qp: int = _QP, made_for: int | None = None
    ) -> None:
        if not isinstance(payload, int) or isinstance(payload, bool) or not 0 <= payload < 1 << PAYLOAD_BITS:
            raise InvalidInput("payload", f"a whole number from 0 to 2**{PAYLOAD_BITS} - 1")
        check_key(key)
        if min(width, height) < 128:
            raise InvalidInput("width and height", "at least 128 pixels each")
        gain = _gain(made_for or min(width, height), qp)
        self.pattern = _pattern(chips(payload, key, *grid_of(width, height)), width, height, gain)
        self._reach = -(-STRENGTH_BOTTOM * gain // 256)
        # As unsigned bytes a wrapping addition adds negative numbers too, in one pass over the plane.
        self._add: Plane = self.pattern.view(np.uint8)

    def put(self, luma: Plane) -> None:
        """Add the mark to a frame in place.

        Args:
            luma: uint8 of shape (height, width). Levels within the pattern's reach of 0 and 255, which limited range
                video does not show, are first drawn in, so that no pixel wraps around.
        """
        np.clip(luma, self._reach, 255 - self._reach, out=luma)
        np.add(luma, self._add, out=luma)

    def take_off(self, luma: Plane) -> None:
        """Subtract the mark from a frame that carries it, in place; as for `put`."""
        np.clip(luma, self._reach, 255 - self._reach, out=luma)
        np.subtract(luma, self._add, out=luma)


def _gain(side: int, qp: int) -> int:
    """Factor on the strength in 1/16: one more for each step of the quantiser and each 100 pixels that are missing."""
    return 16 + max(0, min(qp - _QP, 10)) + max(0, min((_SIDE - side) // 100, 6))


def _pattern(signs: Signs, width: int, height: int, gain: int) -> npt.NDArray[np.int8]:
    """Signs of shape (rows, columns) enlarged to the frame with soft borders, scaled and dithered to whole levels."""
    rows, columns = signs.shape
    upper, lower, weight = _axis(height, rows)
    wide = signs.astype(np.int32)
    tall: Numbers = wide[upper] * weight[:, None] + wide[lower] * (64 - weight)[:, None]
    tall *= (_strength(height) * gain >> 4)[:, None]
    left, right, weight = _axis(width, columns)
    # In 1/65536 levels: strengths are in 1/16, both weights in 1/64.
    full: Numbers = tall[:, left] * weight + tall[:, right] * (64 - weight)
    # Ordered dither (Bayer 1973) keeps fractions of a level in the mean; 65536 / 64 thresholds, each in its middle.
    full += np.tile(_bayer() * 1024 + 512, (-(-height // 8), -(-width // 8)))[:height, :width]
    # Indexing columns leaves the axes swapped in memory; adding such an array would take twenty times as long.
    return np.ascontiguousarray(full >> 16, dtype=np.int8)


def _axis(length: int, cells: int) -> tuple[Numbers, Numbers, Numbers]:
    """For each pixel the two cells it is mixed from and the first one's weight, 0..64."""
    # The pixel's centre in 1/256 cells.
    place = (2 * np.arange(length, dtype=np.int32) + 1) * (cells * 128) // length
    cell = place >> 8
    inside = (place & 255) - 128
    neighbour = np.clip(cell + np.sign(inside), 0, cells - 1).astype(np.int32)
    # 0 in the cell's plateau, 256 at its border; there both cells weigh the same. The first half of a smoothstep.
    ramp = np.clip((np.abs(inside) - (128 - _FADE // 2)) * 512 // _FADE, 0, 256)
    return cell, neighbour, 64 - (ramp * ramp * (768 - ramp) >> 20)


def _strength(height: int) -> Numbers:
    """Strength per row in 1/16 levels."""
    share = np.arange(height, dtype=np.int32) * 256 // height
    part = np.clip(share - _RISE_FROM, 0, _RISE_TO - _RISE_FROM)
    return STRENGTH_TOP + part * (STRENGTH_BOTTOM - STRENGTH_TOP) // (_RISE_TO - _RISE_FROM)


def _bayer() -> Numbers:
    """Thresholds 0..63 in an order that spreads any of them evenly, shape (8, 8)."""
    matrix = np.zeros((1, 1), dtype=np.int32)
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return matrix
