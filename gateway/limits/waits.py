"""How long somebody must wait, as it is said."""

from __future__ import annotations

import math

# Rounding of a wall clock's float: who waits exactly as told must not be refused for it.
SLACK_SECONDS = 1e-5


def whole_milliseconds(seconds: float) -> int:
    """Rounded up, but not for a hundredth of a millisecond, which is a float's own doing."""
    return math.ceil(round(max(0.0, seconds) * 1000, 2))


def duration(seconds: float) -> str:
    """As OpenAI writes it: `120ms`, `1s`, `1m2.5s`; rounded up to the millisecond."""
    milliseconds = whole_milliseconds(seconds)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    tail = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{tail}" if minutes else tail
