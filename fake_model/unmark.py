"""Finds an earlier forensic mark of the same key on a source, so that it can be taken off before a new one is put on.

Both would say their bits in the same cells, and often neither could be read. The codec keeps 70 to 95 % of a mark, so
that what is left once all of it was taken off is weak, and of the other sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fake_model.footage import Footage
from fake_model.forensic import ForensicMark
from fake_model.forensic_code import grid_of
from fake_model.sources import Source
from fake_model.splice import parameter_sets, quantiser_of
from fake_model.trace import FINE, RATE, Image2, mean_of, read_whole

#: How much of a source is looked at.
_SECONDS = 8


def earlier_mark(source: Source, key: bytes, width: int, height: int, stop: Callable[[], bool]) -> ForensicMark | None:
    """The mark of that key on the frames that `Footage` gives of a source, as strong as it was put on; None if there is
    none, or the source was cropped or mirrored since.

    Args:
        key: of the mark.
        width, height: of the frames.
        stop: asked while waiting; True raises `Interrupted`.
    """
    columns, rows = grid_of(width, height)
    mean, _ = mean_of(_pictures(source, columns * FINE, rows * FINE, stop))
    payload = None if mean is None else read_whole(mean, key)
    if payload is None:
        return None
    own = quantiser_of(parameter_sets(source.path, stop)) if source.codec == "h264" else None
    side = min(source.width, source.height)
    return ForensicMark(payload, key, width, height, qp=26 if own is None else own, made_for=side)


def _pictures(source: Source, width: int, height: int, stop: Callable[[], bool]) -> Iterator[Image2]:
    buffer = np.zeros(width * height * 3 // 2, dtype=np.uint8)
    with Footage(source.path, (width, height), RATE, RATE * _SECONDS, stop) as footage:
        while footage.frame_into(buffer):
            yield buffer[: width * height].reshape(height, width).astype(np.float32)
