"""The injects of the replayed morning: the plan, from its scenario; what became of each, from the event list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from frontend.client import Gateway
from frontend.guard import Refused, text
from frontend.incident import Incident
from frontend.sessions import Session
from frontend.story import InjectMove, Moment, Story
from frontend.watch import Reading

SCENARIO_FILE = Path(__file__).resolve().parents[1] / "seeds" / "scenarios" / "november-2024.yaml"
WAITING, HELD, SKIPPED, FIRED = "waiting", "held", "skipped", "fired"
# What is done with an inject, and where it then stands.
MOVES = {"fire": FIRED, "hand": FIRED, "hold": HELD, "skip": SKIPPED, "wait": WAITING}

Fields = dict[str, Any]
Told = dict[str, Any]


@dataclass(frozen=True)
class Inject:
    """One line of the plan. `due` is replay time, Unix seconds; `when` says the same, with how well it is founded."""

    id: str
    due: float
    when: str
    to: str
    text: str
    expect: str


def load_injects(file: Path = SCENARIO_FILE) -> list[Inject]:
    """Reads the plan, in its order."""
    scenario = yaml.safe_load(file.read_text(encoding="utf-8"))
    start = datetime.fromisoformat(scenario["clock"]["start"])
    return [_inject(line, start) for line in scenario["msel"]]


def _inject(line: dict[str, Any], start: datetime) -> Inject:
    # A time of day as it is, or minutes after the start.
    at = line["at"]
    if isinstance(at, str):
        hour, minute = map(int, at.split(":"))
        time = start.replace(hour=hour, minute=minute)
    else:
        time = start + timedelta(minutes=at)
    expect, within = line["expect"], line["expect"].get("within_minutes")
    return Inject(
        id=str(line["id"]),
        due=time.timestamp(),
        when=f"about {time:%H:%M} ({line['time_status']})",
        to=", ".join(line["to"]),
        text=str(line["text"]),
        expect=str(expect["action"]) + (f", within {within} min" if within else ""),
    )


class InjectDeeds:
    """Moves injects as the session's instructor. The gateway keeps where each stands, so that all instructors see the
    same, and of two who fire one at once, one does. Every method raises GatewayError and Refused."""

    def __init__(self, gateway: Gateway, plan: Sequence[Inject]) -> None:
        self._gateway = gateway
        self._plan = {inject.id: inject for inject in plan}

    def all(self) -> dict[str, Callable[[Session, Fields], Awaitable[Told]]]:
        """By name, which is the last part of the address."""
        return {"inject": self.move, "inject-clock": self.set_by_clock}

    async def move(self, session: Session, fields: Fields) -> Told:
        """Fires an inject on every page, notes that it was told by hand, holds it, skips it, or has it wait again."""
        inject = self._plan.get(text(fields, "id", most=40))
        if inject is None:
            raise Refused(404, f"There is no such inject; there are {', '.join(self._plan)}.")
        do = text(fields, "do", most=20)
        if do not in MOVES:
            raise Refused(400, f"do must be one of {', '.join(MOVES)}.")
        body: Fields = {"state": MOVES[do]}
        if do == "fire":
            body["line"] = inject.text
        await self._put(session, inject.id, body)
        words = {
            "fire": "Its text is on every page.",
            "hand": "It is noted as told by hand; no page shows it.",
            "hold": "It is held: the clock does not fire it.",
            "skip": "It is skipped.",
            "wait": "It waits.",
        }
        return {"words": f"{inject.id}: {words[do]}"}

    async def set_by_clock(self, session: Session, fields: Fields) -> Told:
        """Whether injects are fired by themselves at their replay time."""
        on = fields.get("on")
        if not isinstance(on, bool):
            raise Refused(400, "on must be true or false.")
        await self._gateway.operate("PUT", "/control/injects", session.token, session.name, json={"by_clock": on})
        return {"words": "Injects are fired by the clock now." if on else "Injects are fired by hand now."}

    async def fire_by_clock(self, session: Session, inject: Inject) -> None:
        """Fires one whose time has come; the gateway refuses where it does not wait any more."""
        await self._put(session, inject.id, {"state": FIRED, "line": inject.text, "by_clock": True})

    async def _put(self, session: Session, id: str, body: Fields) -> None:
        await self._gateway.operate("PUT", f"/control/injects/{id}", session.token, session.name, json=body)


def due(plan: Sequence[Inject], reading: Reading, incident: Incident) -> list[Inject]:
    """Those that wait although their replay time has come, in the order of the plan. None on another day."""
    shown = reading.status.replay_time
    now = datetime.fromisoformat(shown).timestamp() if shown else None
    if now is None or not incident.on_day_of(now):
        return []
    return [one for one in plan if one.due <= now and state_of(one, reading.story) == WAITING]


def state_of(inject: Inject, story: Story) -> str:
    """Where it stands."""
    moved = story.injects.get(inject.id)
    return WAITING if moved is None else moved.state


def shown(plan: Sequence[Inject], reading: Reading, incident: Incident) -> dict[str, Any]:
    """The plan as the private page gets it: each with its state, in words too."""
    late = {one.id for one in due(plan, reading, incident)}
    return {
        "by_clock": reading.story.by_clock,
        "away": reading.away,
        "due": len(late),
        "injects": [
            {
                **{name: getattr(one, name) for name in ("id", "when", "to", "text", "expect")},
                "state": state_of(one, reading.story),
                "due": one.id in late,
                "words": "due now" if one.id in late else said(reading.story.injects.get(one.id), reading.story.offset),
            }
            for one in plan
        ],
    }


def said(moved: InjectMove | None, offset: int) -> str:
    """Where an inject stands, since when, and by whose hand."""
    if moved is None or moved.state == WAITING:
        return WAITING
    how = moved.state
    if moved.state == FIRED:
        how = "fired by the clock" if moved.by_clock else "fired" if moved.broadcast else "told by hand"
    return f"{how} at {both_times(moved.when, offset)}, {moved.actor}"


def both_times(when: Moment, offset: int) -> str:
    """A moment on both clocks. `offset` is the replayed place's, in seconds."""
    room = f"{datetime.fromtimestamp(when.at):%H:%M:%S} room time"
    if when.replay is None:
        return room
    return f"{datetime.fromtimestamp(when.replay + offset, UTC):%H:%M} replay time, {room}"
