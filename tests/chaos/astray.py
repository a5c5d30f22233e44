"""A gateway or a worker whose clock somebody sets: `python astray.py FILE gateway`, or `worker`.

FILE holds the seconds by which it is wrong; what is written there takes effect at once.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gateway import settings
from gateway.serve import run_gateway, run_worker


class Astray:
    """A `Clock` that is wrong by what its file says."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> float:
        return time.time() + float(self._file.read_text())


def main() -> None:
    clock = Astray(Path(sys.argv[1]))
    if sys.argv[2] == "gateway":
        run_gateway(settings.load(), clock)
    else:
        run_worker(settings.load(), 2, clock)


if __name__ == "__main__":
    main()
