"""What is known of each surface after a revocation: it refused, it still works, or nobody has tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from frontend.telling import many

REFUSED, WORKS, UNCHECKED, ENDED = "refused", "still works", "not checked", "ended"

# The room's lines, and which of the gateway's surfaces each is made of: by name, or by how the name begins.
REQUESTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("New order", ("submit", "upload", "idempotent replay", "remix", "edit", "extend")),
    ("Asking about a video", ("poll", "list")),
    ("Clip by token", ("download", "range", "HEAD", "304", "thumbnail", "spritesheet")),
    ("Clip by signed link", ("signed link", "new signed link")),
    ("Clip by share link", ("share link", "new share")),
    ("Event stream", ("stream",)),
    ("Minting child tokens", ("mint",)),
    ("Webhook delivery", ("webhook delivery",)),
)


@dataclass(frozen=True)
class Line:
    """A line of the checklist: the surface, its state in one or two words, and what that rests on."""

    surface: str
    state: str
    words: str


def checklist(effect: Mapping[str, Any]) -> list[dict[str, str]]:
    """The lines, from the effect of `GET /control/revocations/{id}`."""
    seen: Sequence[Mapping[str, Any]] = effect["time_to_dead"]
    stopped, spared = effect["jobs_stopped"], effect["jobs_spared"]
    lines = [
        _jobs("Waiting jobs", int(stopped["queued"]), int(spared["waiting"]), "waiting"),
        _jobs("Running jobs", int(stopped["running"]), int(spared["running"]), "running"),
        *(_requests(name, [row for row in seen if _belongs(str(row["surface"]), parts)]) for name, parts in REQUESTS),
        Line("Clip already loaded", UNCHECKED, "what a browser has loaded cannot be called back, nor looked at"),
    ]
    return [asdict(line) for line in lines]


def _belongs(surface: str, parts: tuple[str, ...]) -> bool:
    return any(surface == part or surface.startswith(f"{part}, ") for part in parts)


def _jobs(name: str, stopped: int, spared: int, kind: str) -> Line:
    if spared:
        return Line(name, WORKS, f"{spared} still {kind}, as the revocation allowed; {stopped} stopped")
    if stopped:
        return Line(name, ENDED, f"{stopped} stopped with the revocation")
    return Line(name, UNCHECKED, f"none was {kind}")


def _requests(name: str, rows: list[Mapping[str, Any]]) -> Line:
    refusals, late = sum(int(row["refusals"]) for row in rows), sum(int(row["late_accepts"]) for row in rows)
    through = sorted({str(row["replica"]) for row in rows if _still_works(row)})
    if through:
        where = f" at {', '.join(through)}"
        return Line(name, WORKS, f"{many(late, 'request')} accepted after the revocation{where}, {refusals} refused")
    if refusals:
        # Accepted late and refused since: the cut came, but not at once.
        delays = [float(row["seconds"]) for row in rows if row["late_accepts"]]
        slow = f"; {late} accepted before, up to {max(delays):.1f} s after the revocation" if delays else ""
        return Line(name, REFUSED, f"{many(refusals, 'request')} refused{slow}")
    return Line(name, UNCHECKED, "nobody has tried since")


def _still_works(row: Mapping[str, Any]) -> bool:
    """Whether the last that is known of a surface at a gateway is that it let somebody in."""
    if not row["late_accepts"]:
        return False
    refused_at = row["first_refusal_at"]
    return refused_at is None or float(row["last_accepted_at"]) > float(refused_at)
