"""What a terminal shows while a drill runs: one live screen, or plain lines where there is no terminal."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from drills.progress import DrillEvent

PHASE_STYLE = {"normal": "bold", "exposed": "bold yellow", "revoked": "bold red"}
KEPT_LINES = 12


class DrillScreen:
    """Give `on_event` to the drill, inside the context manager."""

    def __init__(self, title: str, addresses: dict[str, str], console: Console | None = None) -> None:
        self._title = title
        self._addresses = addresses
        self._console = console or Console()
        self._lines: deque[Text] = deque(maxlen=KEPT_LINES)
        self._latest: DrillEvent | None = None
        self._live = Live(self._screen(), console=self._console, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.update(self._screen())
            self._live.stop()

    def on_event(self, event: DrillEvent) -> None:
        """Takes the newest counts, and a line where the event is more than counts."""
        self._latest = event
        if event.kind != "queue":
            self._lines.append(self._line(event))
            if not self._console.is_terminal:
                self._console.print(self._line(event), soft_wrap=True)
        if self._console.is_terminal:
            self._live.update(self._screen())

    @staticmethod
    def _line(event: DrillEvent) -> Text:
        moment = event.replay_time.strftime("%H:%M") if event.replay_time else "  -  "
        line = Text(f"{moment}  ", style="dim")
        line.append(f"{event.inject or event.kind:<12}", style="cyan")
        line.append(event.text)
        return line

    def _screen(self) -> RenderableType:
        counts = Table.grid(padding=(0, 2))
        for _ in range(2):
            counts.add_column(style="dim")
            counts.add_column(min_width=24)
        event = self._latest
        if event is not None:
            phase = Text(event.phase.upper(), style=PHASE_STYLE.get(event.phase, "bold"))
            moment = event.replay_time.strftime("%H:%M ET") if event.replay_time else "not started"
            counts.add_row("phase", phase, "replay clock", moment)
            counts.add_row("asked", str(event.arrived), "waiting", _shown(event.waiting))
            counts.add_row("accepted", str(event.accepted), "rendering", _shown(event.running))
            counts.add_row("refused", str(event.refused), "real seconds", f"{event.elapsed:.0f}")
        for name, address in self._addresses.items():
            counts.add_row(name, address)
        body = Group(counts, Text(), *self._lines)
        return Panel(body, title=f"EXERCISE · {self._title}", border_style="blue")


def _shown(count: int | None) -> str:
    return "-" if count is None else str(count)
