"""The visible mark: a drop in a ring and a line of text, burnt into every frame.

Rendered once with the font that Pillow carries, so no font file is needed, and blended into its own rectangle of the
planes, after everything else, so no path leaves it out.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fake_model.elements import Planes, Stamp

#: Share of the height kept free below the mark, for a player's control strip.
CLEARANCE = 0.12
_OVERSAMPLE = 4
#: Correlation from which on a mark counts as present; on a clip of this package it is above 0.85.
_SEEN = 0.7


class Watermark:
    """The mark for one frame size.

    Args:
        text: words of the mark.
        width, height: frame size in pixels.

    Attributes:
        top, left, bottom, right: its rectangle in pixels, even; bottom and right are exclusive.
    """

    def __init__(self, text: str, width: int, height: int) -> None:
        plate, ink = _draw(text, width, height)
        rows, columns = plate.shape
        alpha = np.maximum(plate.astype(np.int32) * 165 // 255, ink.astype(np.int32) * 244 // 255)
        share = ink.astype(np.int32)
        luma = 20 + (235 - 20) * share // 255
        self._stamp = Stamp(alpha, (luma, 128, 128))
        margin = max(8, min(width, height) // 40)
        self.bottom = int(height * (1 - CLEARANCE)) // 2 * 2
        self.right = (width - margin) // 2 * 2
        self.top, self.left = self.bottom - rows, self.right - columns

    def put(self, planes: Planes) -> None:
        """Burn the mark into a frame."""
        self._stamp.put(planes, self.top, self.left)

    def seen(self, planes: Planes) -> bool:
        """Whether this mark is on a decoded frame of the same size."""
        own = Planes(*(np.full_like(plane, 110) for plane in planes))
        self.put(own)
        area = (slice(self.top, self.bottom), slice(self.left, self.right))
        here, there = (part.y[area].astype(np.float64).ravel() for part in (planes, own))
        here, there = here - here.mean(), there - there.mean()
        power = float(here @ here) * float(there @ there)
        return power > 0 and float(here @ there) / power**0.5 > _SEEN


class Label:
    """A line of text on a plate in an upper corner.

    Args:
        text: the line.
        width, height: frame size in pixels.
        right: in the right corner instead of the left.
    """

    def __init__(self, text: str, width: int, height: int, *, right: bool) -> None:
        # Half the width at most, so that two labels never meet.
        plate, ink = _draw(text, width, height, mark=False, room=width * 0.46)
        alpha = np.maximum(plate.astype(np.int32) * 165 // 255, ink.astype(np.int32) * 244 // 255)
        share = ink.astype(np.int32)
        self._stamp = Stamp(alpha, (20 + (235 - 20) * share // 255, 128, 128))
        margin = max(8, min(width, height) // 40) // 2 * 2
        self._top, self._left = margin, width - margin - plate.shape[1] if right else margin

    def put(self, planes: Planes) -> None:
        """Burn the label into a frame."""
        self._stamp.put(planes, self._top, self._left // 2 * 2)


def _draw(
    text: str, width: int, height: int, *, mark: bool = True, room: float | None = None
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], ...]:
    """Coverage 0..255 of the plate and of the ink on it, both of one even shape."""
    size = max(15, round(min(width, height) * 0.031))
    room = width * 0.92 if room is None else room
    while True:
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(text)
        pad = max(4, size * 2 // 5)
        ring = size * 5 // 4
        columns = (int(right - left) + (ring + pad * 3 if mark else pad * 2) + 1) // 2 * 2
        if columns <= room or size <= 6:
            break
        size -= 1
    rows = (ring + pad * 2 + 1) // 2 * 2
    columns = min(columns, width // 2 * 2 - 16)
    scale = _OVERSAMPLE
    plate = Image.new("L", (columns * scale, rows * scale))
    ImageDraw.Draw(plate).rounded_rectangle(
        (0, 0, columns * scale - 1, rows * scale - 1), radius=rows * scale // 3, fill=255
    )
    ink = Image.new("L", plate.size)
    if mark:
        _draw_mark(ImageDraw.Draw(ink), pad * scale, (rows - ring) * scale // 2, ring * scale)
    small = ink.reduce(scale)
    baseline = (rows - int(bottom - top)) / 2 - top
    ImageDraw.Draw(small).text((pad * 2 + ring - left if mark else pad - left, baseline), text, fill=255, font=font)
    return np.asarray(plate.reduce(scale)), np.asarray(small)


def _draw_mark(pen: ImageDraw.ImageDraw, left: int, top: int, size: int) -> None:
    """A drop inside an open ring: something valuable that is getting out."""
    stroke = max(2, size // 11)
    pen.arc((left, top, left + size, top + size), 125, 415, fill=255, width=stroke)
    centre, radius = left + size / 2, size * 0.17
    low = top + size * 0.60
    pen.ellipse((centre - radius, low - radius, centre + radius, low + radius), fill=255)
    pen.polygon(
        [
            (centre, top + size * 0.20),
            (centre + radius * 0.96, low - radius * 0.3),
            (centre - radius * 0.96, low - radius * 0.3),
        ],
        fill=255,
    )
