"""What the API takes: models, sizes, seconds, styles. The model has the same values; a test holds them together."""

from __future__ import annotations

from math import log

SIZES = (
    "854x480",
    "480x854",
    "480x480",
    "1280x720",
    "720x1280",
    "720x720",
    "1920x1080",
    "1080x1920",
    "1080x1080",
    "1024x1792",
    "1792x1024",
    "1024x1024",
)
# What uploads of other sizes become: OpenAI's four, which its clients can name, and a square.
UPLOAD_SIZES = ("1280x720", "720x1280", "1792x1024", "1024x1792", "720x720")
# Every length up to 12, and the longer two of OpenAI's.
SECONDS, SECONDS_TEXT = (*range(1, 13), 16, 20), "1 to 12, 16 or 20"
MIN_MORE_SECONDS, MAX_MORE_SECONDS = 1, 20  # of one extension
MIN_FPS, MAX_FPS = 1, 60
MORE_SECONDS, FPS = (MIN_MORE_SECONDS, MAX_MORE_SECONDS), (MIN_FPS, MAX_FPS)
MAX_FRAMES = SECONDS[-1] * MAX_FPS
MAX_SIDE = 1920
MAX_PROMPT = 32_000
SEED_BITS = 32
MAX_SEED = 2**SEED_BITS - 1
MAX_STEPS = 100
MAX_GUIDANCE = 20

MODELS = ("standard", "turbo")
# Names that existing client scripts send, and which of ours answers to them.
ALIASES = {
    "sora-2": "standard",
    "sora-2-2025-10-06": "standard",
    "sora-2-2025-12-08": "standard",
    "sora-2-pro": "standard",
    "sora-2-pro-2025-10-06": "standard",
}
STYLES = (
    "saltglass",
    "emberfold",
    "mosslight",
    "quartz-noon",
    "night-ink",
    "paperwing",
    "static-bloom",
    "tin-lantern",
)

# How a shape is asked for where it is not in pixels.
RESOLUTIONS = {"480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
RATIOS = ("16:9", "9:16", "1:1")
DEFAULT_RESOLUTION, DEFAULT_RATIO = "720p", "16:9"

# Where models are named by who publishes them.
PUBLISHER = "leakdrill"

DEFAULT_MODEL = "standard"
DEFAULT_SIZE = "1280x720"
DEFAULT_SECONDS = 4
DEFAULT_FPS = 30


def nearest_size(width: int, height: int) -> str:
    """The size that an uploaded clip is worked on in: its own if it is one of ours, else the one of its shape."""
    own = f"{width}x{height}"
    if own in SIZES:
        return own

    def distance(size: str) -> float:
        wide, high = (int(part) for part in size.split("x"))
        return abs(log(wide / high * height / width))

    return min(UPLOAD_SIZES, key=distance)


def model_behind(name: str) -> str:
    """The variant that renders for a model name."""
    return ALIASES.get(name, name)


def size_of(resolution: str | None, ratio: str | None) -> str | None:
    """The size of a resolution and an aspect ratio, the usual one for one that is None; None where both are."""
    if resolution is None and ratio is None:
        return None
    long, short = RESOLUTIONS[resolution or DEFAULT_RESOLUTION]
    return {"16:9": f"{long}x{short}", "9:16": f"{short}x{long}", "1:1": f"{short}x{short}"}[ratio or DEFAULT_RATIO]


def shape_of(size: str) -> tuple[str, str]:
    """The resolution and the aspect ratio that come nearest to a size."""
    width, height = (int(part) for part in size.split("x"))
    ratio = "1:1" if width == height else "16:9" if width > height else "9:16"
    resolution = min(RESOLUTIONS, key=lambda name: abs(RESOLUTIONS[name][1] - min(width, height)))
    return resolution, ratio


def published(variant: str) -> str:
    """A model's name with its publisher's."""
    return f"{PUBLISHER}/{variant}"


def all_published() -> str:
    """The names of all models, for a text."""
    return ", ".join(map(published, MODELS))


def is_published(name: str) -> bool:
    """Whether a name with a publisher's is that of a model."""
    publisher, _, variant = name.partition("/")
    return publisher == PUBLISHER and variant in MODELS
