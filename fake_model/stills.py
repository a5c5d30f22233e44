"""Pictures that come from the same pass as the clip: thumbnail, spritesheet, and previews of the latents."""

from __future__ import annotations

import contextlib
import io
import pathlib
import time
import uuid
from collections.abc import Callable
from types import TracebackType

import numpy as np
from PIL import Image

from fake_model.elements import Planes
from fake_model.errors import EncoderError
from fake_model.scheduler import Latents
from fake_model.watermark import Watermark

THUMBNAIL_WIDTH = 480
TILE_WIDTH = 240
TILES = 5
PREVIEW_WIDTH = 320


class Stills:
    """Collects what a thumbnail and a spritesheet need, and puts both in place once the clip is.

    Leaving the context without `publish` leaves nothing behind.

    Args:
        thumbnail: path of a WebP, 480 pixels wide, or None.
        spritesheet: path of a JPEG of five frames side by side, 240 pixels wide each, or None.
        num_frames: frames of the clip.
    """

    def __init__(self, thumbnail: pathlib.Path | None, spritesheet: pathlib.Path | None, num_frames: int) -> None:
        self._thumbnail, self._spritesheet = thumbnail, spritesheet
        # Past the refinement, whatever the length.
        self._portrait = num_frames * 3 // 4
        self._places = [num_frames * tile // TILES for tile in range(TILES)] if spritesheet is not None else []
        self._picture: Image.Image | None = None
        self._tiles: dict[int, Image.Image] = {}
        self._partials: list[tuple[pathlib.Path, pathlib.Path]] = []

    def __enter__(self) -> Stills:
        return self

    def wanted(self, frames: range) -> list[int]:
        """Those of `frames` that a still is made of."""
        places = {*self._places, *([self._portrait] if self._thumbnail is not None else [])}
        return sorted(place for place in places if place in frames)

    def take(self, planes: Planes, frames: range) -> None:
        """Look at the finished frame that is shown as `frames`."""
        if self._thumbnail is not None and self._portrait in frames:
            self._picture = picture(planes, THUMBNAIL_WIDTH)
        for place in self._places:
            if place in frames:
                self._tiles[place] = picture(planes, TILE_WIDTH)

    def write(self) -> None:
        """Write both to temporary names.

        Raises:
            EncoderError: one of them could not be written; the message names the argument.
        """
        if self._thumbnail is not None and self._picture is not None:
            self._save("thumbnail", self._picture, self._thumbnail, "WEBP")
        if self._spritesheet is not None:
            tiles = [self._tiles[place] for place in self._places]
            sheet = Image.new("RGB", (TILE_WIDTH * len(tiles), tiles[0].height))
            for place, tile in enumerate(tiles):
                sheet.paste(tile, (place * TILE_WIDTH, 0))
            self._save("spritesheet", sheet, self._spritesheet, "JPEG")

    def publish(self) -> None:
        """Give the written pictures their names; errors as for `write`."""
        for partial, final in self._partials:
            try:
                partial.replace(final)
            except OSError as exc:
                raise EncoderError(f"{final.name}: the finished picture could not be put in place: {exc}") from exc

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for partial, _ in self._partials:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def _save(self, argument: str, still: Image.Image, final: pathlib.Path, kind: str) -> None:
        partial = final.with_name(f".{final.name[:80]}.{uuid.uuid4().hex[:12]}.part")
        self._partials.append((partial, final))
        try:
            still.save(partial, format=kind, quality=82)
        except OSError as exc:
            raise EncoderError(f"{argument}: the picture could not be written: {exc}") from exc


class Preview:
    """Offers small JPEGs of latents, with the visible mark, to who wants them.

    Args:
        listener: given the bytes of a JPEG; None for nobody.
        text: words of the mark.
        width, height: frame size in pixels.
        seconds: that pass between two of them at least.
    """

    def __init__(
        self, listener: Callable[[bytes], None] | None, text: str, width: int, height: int, seconds: float
    ) -> None:
        self._listener, self._last, self._seconds = listener, float("-inf"), seconds
        self._width, self._height = PREVIEW_WIDTH, max(2, round(PREVIEW_WIDTH * height / width) // 2 * 2)
        self._mark = None if listener is None else Watermark(text, self._width, self._height)

    def offer(self, latents: Latents) -> None:
        """Latents of shape (3, rows, columns) after a step."""
        now = time.monotonic()
        if self._listener is None or self._mark is None or now - self._last < self._seconds:
            return
        self._last = now
        levels = np.clip(latents * np.float32(64) + np.float32(128), 16, 235).astype(np.uint8)
        half = self._width // 2, self._height // 2
        sizes = ((self._width, self._height), half, half)
        # Cells are picked, not mixed: a mean of neighbours would show less noise than there is, and take its time.
        parts = (
            Image.fromarray(part).resize(size, Image.Resampling.NEAREST)
            for part, size in zip(levels, sizes, strict=True)
        )
        planes = Planes(*(np.array(part) for part in parts))
        self._mark.put(planes)
        stream = io.BytesIO()
        # Nobody sees on noise what a higher quality would keep of it, for twice the bytes.
        picture(planes, self._width).save(stream, format="JPEG", quality=30)
        self._listener(stream.getvalue())


def picture(planes: Planes, width: int) -> Image.Image:
    """A frame as RGB of that width; the height follows. BT.709 limited range, as the clip is tagged."""
    rows, columns = planes.y.shape
    size = (width, max(1, round(width * rows / columns)))
    # Reducing comes first: converting a whole frame would cost more than drawing it.
    y, u, v = (np.asarray(Image.fromarray(plane).resize(size), dtype=np.float32) for plane in planes)
    luma, blue, red = (y - 16) * np.float32(255 / 219), (u - 128) * np.float32(255 / 224), (v - 128)
    red *= np.float32(255 / 224)
    rgb = np.stack([luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue], axis=2)
    return Image.fromarray(np.clip(rgb + np.float32(0.5), 0, 255).astype(np.uint8))
