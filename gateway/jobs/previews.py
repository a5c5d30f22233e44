"""The noise as it becomes a picture, for who watches a render: small frames of the denoising steps, as they were.

A render offers its frames and goes on. Twice a second a thread of its own puts the newest one that belongs to the step
which is shown in place, whole, under the attempt's name; so a frame is never ahead of the progress that is told, also
where simulated time goes slower than the render. The frames of one attempt are gone when its render is over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

log = logging.getLogger("leakdrill.worker")

SHOW_SECONDS = 0.5
MAKE_SECONDS = 0.4  # between two frames that a render makes: nearly every look finds a new one
LONG_HOLD_SECONDS = 5.0  # of simulated time, from which on a render's frames are all kept, to be shown at its pace


class Previews:
    """One attempt's frames, and at most one file: `path`. `hold_seconds` is how long the attempt takes at least."""

    def __init__(self, path: Path, hold_seconds: float) -> None:
        every_step = hold_seconds >= LONG_HOLD_SECONDS
        self.make_seconds = 0.0 if every_step else MAKE_SECONDS
        self._path = path
        self._offered: deque[tuple[int, bytes]] = deque(maxlen=None if every_step else 1)
        self._writing = threading.Lock()  # never taken by the render, which must not wait for a disk
        self._written = False
        self.used = False  # whether there was a frame at all
        self._over = False

    def offer(self, step: int, frame: bytes) -> None:
        """A JPEG of the latents after `step` steps. Called by the render's thread."""
        self.used = True
        self._offered.append((step, frame))

    def due(self, step: int) -> bool:
        """Whether `show` would find something."""
        try:
            return self._offered[0][0] <= step
        except IndexError:
            return False

    def show(self, step: int) -> None:
        """Puts the newest frame that is not beyond `step` in place. Raises OSError; to be called in a thread."""
        with self._writing:
            frame = None if self._over else self._newest(step)
            if frame is None:
                return
            self._written = True
            self._part.write_bytes(frame)
            self._part.replace(self._path)

    def end(self) -> None:
        """Takes away what is there; nothing is shown afterwards. Raises OSError; to be called in a thread."""
        with self._writing:
            self._over = True
            self._offered.clear()
            if self._written:
                self._part.unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)

    @property
    def _part(self) -> Path:
        return self._path.with_name(f".{self._path.name}.part")

    def _newest(self, step: int) -> bytes | None:
        frame = None
        while self.due(step):
            frame = self._offered.popleft()[1]
        return frame


async def keep_showing(shown: Callable[[], Iterable[tuple[Previews, int]]]) -> None:
    """Shows the frames of all attempts, each with the step that it is at, until cancelled."""
    while True:
        await asyncio.sleep(SHOW_SECONDS)
        due = [(previews, step) for previews, step in shown() if previews.due(step)]
        if due:
            await asyncio.to_thread(_show_all, due)


def _show_all(due: list[tuple[Previews, int]]) -> None:
    for previews, step in due:
        try:
            previews.show(step)
        except OSError as exc:
            # A clip is worth its render without them.
            log.warning("action=preview_not_written reason=%s", exc)


async def end(previews: Previews) -> None:
    """The end of an attempt's frames."""
    try:
        await asyncio.to_thread(previews.end)
    except OSError as exc:
        log.warning("action=preview_not_removed reason=%s", exc)
