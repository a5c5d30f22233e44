"""The picture that a clip starts from: opened with suspicion, turned into a yuv420p frame."""

from __future__ import annotations

import pathlib
import struct
import warnings

import numpy as np
from PIL import Image

from fake_model.elements import Plane
from fake_model.errors import InvalidInput

MAX_FILE_BYTES = 20_000_000
MAX_SCANS = 200
_FORMATS = ("PNG", "JPEG", "WEBP")


def first_picture(image: Image.Image | pathlib.Path, width: int, height: int) -> Plane:
    """The frame of a picture, flat uint8 of width * height * 3 / 2 bytes, BT.709 limited range.

    Args:
        image: a picture of exactly width x height, or the path of one, PNG, JPEG or WebP. Of several frames the first
            counts; what is transparent becomes black.

    Raises:
        InvalidInput: naming `image`: no such file, another format or size, damaged, or cut short.
    """
    return _frame(opened_picture(image, width, height))


def opened_picture(image: Image.Image | pathlib.Path, width: int, height: int) -> Image.Image:
    """The picture as RGB, in memory; arguments and errors as for `first_picture`.

    Its size is compared, and the scans of a JPEG are counted, before a pixel is decoded.
    """
    if isinstance(image, Image.Image):
        return _decoded(image, width, height)
    if not isinstance(image, pathlib.Path):
        raise InvalidInput("image", "a PIL image, a pathlib.Path of one, or None")
    try:
        if image.exists() and not image.is_file():
            raise InvalidInput("image", "the path of a file, and not of a folder or a device")
        if image.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput("image", f"a file of at most {MAX_FILE_BYTES // 1_000_000} MB")
        # Every scan of a progressive JPEG is a pass over the whole picture, and an empty one takes a few bytes.
        content = image.read_bytes()
        if content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > MAX_SCANS:
            raise InvalidInput("image", f"a picture of at most {MAX_SCANS} scans")
        with warnings.catch_warnings():
            # The size is compared before a pixel is decoded, so a bomb's warning would be noise.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(image, formats=_FORMATS) as opened:
                return _decoded(opened, width, height)
    except Image.DecompressionBombError as exc:
        raise InvalidInput("image", f"a picture of exactly {width}x{height} pixels, not a far larger one") from exc
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as exc:
        if isinstance(exc, InvalidInput):
            raise
        raise InvalidInput("image", f"a complete PNG, JPEG or WebP file that can be read ({exc})") from exc


def picture_size(path: pathlib.Path) -> tuple[int, int]:
    """Width and height in pixels, as the head of a PNG, JPEG or WebP says; no pixel is decoded.

    Raises:
        InvalidInput: naming `image`: another format, or a head that cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as opened:
                return opened.size
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError, struct.error) as exc:
        raise InvalidInput("image", f"a complete PNG, JPEG or WebP file that can be read ({exc})") from exc


def _decoded(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size != (width, height):
        raise InvalidInput("image", f"a picture of exactly {width}x{height} pixels, not {image.width}x{image.height}")
    try:
        image.load()
        if "A" in image.getbands() or "transparency" in image.info:
            whole = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole).convert("RGB")
        return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as exc:
        raise InvalidInput("image", f"a complete picture that can be decoded ({exc})") from exc


def _frame(image: Image.Image) -> Plane:
    red, green, blue = np.moveaxis(np.asarray(image, dtype=np.float32), 2, 0)
    luma = np.float32(0.2126) * red + np.float32(0.7152) * green + np.float32(0.0722) * blue
    planes = [luma * np.float32(219 / 255) + 16]
    for colour, reach in ((blue, 1.8556), (red, 1.5748)):
        difference = (colour - luma) * np.float32(224 / 255 / reach) + 128
        planes.append(
            (difference[::2, ::2] + difference[1::2, ::2] + difference[::2, 1::2] + difference[1::2, 1::2]) / 4
        )
    return np.concatenate([np.clip(plane + 0.5, 16, 240).astype(np.uint8).ravel() for plane in planes])
