"""Lines of the event list in plain words: once for the room, and once, without names and reasons, for a projector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from frontend.wording import headline

Data = Mapping[str, Any]


def told(kind: str, data: Data) -> tuple[str, str] | None:
    """The words for the room and for the projector; None for what is counted and not told."""
    tell = _TOLD.get(kind)
    if tell is None:
        return None
    words = tell(data)
    return words if isinstance(words, tuple) else (words, words)


def many(number: int, one: str, more: str | None = None) -> str:
    """1 token, 2 tokens."""
    return f"{number} {one if number == 1 else more or f'{one}s'}"


def selected(selector: Data) -> str:
    """Whose access is meant."""
    if selector.get("all"):
        return "everybody"
    name, value = next(iter(selector.items()), ("nobody", ""))
    if name == "accessor":
        return f"token {short(str(value))}"
    return f"{name.replace('_', ' ')} {value}"


def short(accessor: str) -> str:
    """A token's accessor as the room shows it."""
    return accessor if len(accessor) <= 12 else f"{accessor[:12]}…"


def _phase(data: Data) -> str:
    return f"Phase: {headline(str(data.get('to')))}"


def _clock(data: Data) -> str:
    if data.get("time") is None:
        return "Replay clock taken away"
    pace = f"runs ×{float(data.get('speed', 1)):g}" if data.get("running") else "paused"
    return f"Replay clock at {str(data['time'])[11:16]}, {pace}"


def _broadcast(data: Data) -> str:
    return f"Broadcast: {data['text']}" if data.get("text") else "Broadcast line taken away"


def _revoked(data: Data) -> tuple[str, str]:
    outcomes, jobs = data.get("outcomes") or {}, data.get("jobs") or {}
    ended = many(int(outcomes.get("revoked", 0)), "token")
    public = f"Revoked {ended}; stopped {jobs.get('queued', 0)} waiting, {jobs.get('running', 0)} running"
    if data.get("housekeeping"):
        public = f"Housekeeping, no move of the exercise: {ended} ended"
    already = f", {outcomes['already']} already were" if outcomes.get("already") else ""
    return f"{public}{already} ({selected(data.get('selector') or {})}: {data.get('reason', '')})", public


def _restoring(data: Data) -> tuple[str, str]:
    public = "Restoring access"
    return f"{public} of {selected(data.get('selector') or {})}: {data.get('reason', '')}", public


def _because(words: str) -> Callable[[Data], tuple[str, str]]:
    return lambda data: (f"{words}: {data.get('because') or 'no reason given'}", words)


def _told_replica(data: Data) -> str:
    defects = ", ".join(map(str, data.get("defects") or ())) or "no defect"
    return f"Gateway {data.get('replica')}: {data.get('consistency', 'strict')}, {defects}"


def _reset(data: Data) -> str:
    gone = f"{many(int(data.get('tokens', 0)), 'token')} and {many(int(data.get('jobs', 0)), 'video')}"
    return f"Reset to a clean room; {gone} went"


def _printed(data: Data) -> str:
    return f"Tokens of {many(len(data.get('seats') or ()), 'seat')} printed"


def _fired(data: Data) -> tuple[str, str]:
    public = f"Inject {data.get('inject')}"
    how = "fired by the clock" if data.get("by_clock") else "fired" if data.get("broadcast") else "told by hand"
    return f"{public} {how}", public


def _inject(words: str) -> Callable[[Data], str]:
    return lambda data: f"Inject {data.get('inject')} {words}"


_TOLD: dict[str, Callable[[Data], str | tuple[str, str]]] = {
    "phase.changed": _phase,
    "clock.set": _clock,
    "broadcast.set": _broadcast,
    "inject.fired": _fired,
    "inject.held": _inject("is held"),
    "inject.skipped": _inject("is skipped"),
    "inject.waiting": _inject("waits again"),
    "inject.by_clock": lambda data: f"Injects are fired {'by the clock' if data.get('on') else 'by hand'}",
    "revocation.applied": _revoked,
    "restoration.started": _restoring,
    "restoration.done": lambda _: "Everything that could come back is back",
    "restoration.halted": _because("Restoring was halted"),
    "restoration.stopped": lambda _: "Restoring was stopped",
    "mint.frozen": lambda _: "No more tokens are issued",
    "mint.thawed": lambda _: "Tokens are issued again",
    "profile.set": lambda data: f"Latency profile: {data.get('name')}",
    "fault.set": lambda data: f"Seeded failure on: {data.get('failure')}",
    "fault.removed": lambda data: f"Seeded failure off: {data.get('failure')}",
    "fault.expired": lambda data: f"Seeded failure ran out: {data.get('failure')}",
    "replica.told": _told_replica,
    "class.opened": lambda data: f"Class opened with {many(int(data.get('seats', 0)), 'seat')}",
    "class.handed_out": _printed,
    "class.seat_reset": lambda data: f"Seat {data.get('seat')} freed for another start",
    "class.ended": lambda _: "Class ended; its code is stale",
    "disclosure.matched": lambda _: "A leaked token was reported",
    "gateway.started": lambda _: "Gateway started",
    "records.aged": lambda _: "Old records were taken away",
    "database.migrated": lambda _: "Database brought to this version",
    "reset": _reset,
}
