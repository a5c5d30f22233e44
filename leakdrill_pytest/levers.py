"""What a test sets while it runs: the replay clock, failures, and how long a render seems to take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

Control = Callable[..., Any]


class Clock:
    """The replay clock, which dates events and shows on pages. It never decides about access: a token's `expires_in`
    is real time."""

    def __init__(self, control: Control) -> None:
        self._control = control

    @property
    def now(self) -> datetime | None:
        """What it shows, to the second; None where none is set."""
        reading = self._reading()
        return None if reading is None else datetime.fromisoformat(reading["time"])

    def set(self, time: datetime | str, *, speed: float = 1.0, running: bool = True) -> None:
        """Shows `time`, which must have an offset ("2024-11-26T08:30:00-05:00"), and runs `speed` times as fast."""
        shown = time.isoformat() if isinstance(time, datetime) else time
        self._control("PUT", "/control/clock", json={"time": shown, "speed": speed, "running": running})

    def advance(self, seconds: float) -> None:
        """Moves it, backwards where negative; speed stays. Raises LookupError where there is none."""
        reading = self._reading()
        if reading is None:
            raise LookupError("there is no replay clock to advance; give it a time with set() first")
        moved = datetime.fromisoformat(reading["time"]) + timedelta(seconds=seconds)
        self.set(moved, speed=reading["speed"], running=reading["running"])

    def speed(self, factor: float) -> None:
        """From now on so many times as fast as real time."""
        self._control("PUT", "/control/clock", json={"speed": factor})

    def pause(self) -> None:
        """It stands."""
        self._control("PUT", "/control/clock", json={"running": False})

    def resume(self) -> None:
        """It runs again."""
        self._control("PUT", "/control/clock", json={"running": True})

    def _reading(self) -> dict[str, Any] | None:
        reading: dict[str, Any] | None = self._control("GET", "/status")["replay_clock"]
        return reading


class Faults:
    """Named failures, as in docs/faults.md."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def add(self, failure: str, **rule: Any) -> dict[str, Any]:
        """Lets it strike from now on: `surface`, `rate`, `next`, `accessor`, `for_seconds` and what the failure takes
        (`retry_after`, `delay_seconds`, …). The rule as it stands."""
        added: dict[str, Any] = self._control("POST", "/control/faults", json={"failure": failure, **rule})
        return added

    def at_work(self) -> list[dict[str, Any]]:
        """The rules, oldest first; `fired` counts how often each has struck."""
        rules: list[dict[str, Any]] = self._control("GET", "/control/faults")["data"]
        return rules

    def clear(self) -> None:
        """Takes all away."""
        self._control("DELETE", "/control/faults")


class Profile:
    """How long a render seems to take, as in docs/faults.md."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def set(self, name: str, *, speed: float = 1.0, seed: int = 1) -> None:
        """`speed` divides every simulated time."""
        self._control("PUT", "/control/profile", json={"name": name, "speed": speed, "seed": seed})

    def show(self) -> dict[str, Any]:
        """The one in force: `name`, `speed`, `seed`; and `available`."""
        shown: dict[str, Any] = self._control("GET", "/control/profile")
        return shown
