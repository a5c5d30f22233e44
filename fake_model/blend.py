"""Cross-fades between whole frames."""

from __future__ import annotations

import numpy as np

from fake_model.elements import Plane

#: Bytes mixed at a time, so that they stay in the core's cache between passes.
_BAND = 1 << 18


def mix_into(frame: Plane, other: Plane, amount: int) -> None:
    """Mix another frame into one, in place.

    Args:
        frame, other: flat uint8 of equal length.
        amount: 0 leaves `frame` as it is, 256 makes it `other`.
    """
    if amount <= 0:
        return
    if amount >= 256:
        frame[...] = other
        return
    keep, add, half = np.uint16(256 - amount), np.uint16(amount), np.uint16(128)
    for first in range(0, frame.size, _BAND):
        part = frame[first : first + _BAND]
        total = part * keep
        total += other[first : first + _BAND] * add
        total += half
        total >>= np.uint16(8)
        part[...] = total
