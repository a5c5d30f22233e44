"""A reading as the pages of the control room get it: words and numbers, so that the script has nothing to decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from frontend.checklist import checklist
from frontend.classroom import public_class, room_class
from frontend.incident import Incident
from frontend.story import Mark
from frontend.telling import many
from frontend.timeline import since_when, timeline
from frontend.watch import Reading
from frontend.wording import banner

MOST_LOG_LINES = 40


def nothing_known() -> dict[str, Any]:
    """The state while the gateway has not answered once."""
    said = banner(None, access=True)
    return {"phase": said.phase, "headline": said.headline, "detail": said.detail, "old": False}


def public_view(reading: Reading, incident: Incident) -> dict[str, Any]:
    """What a projector may show: no name, no token, no reason, no prompt."""
    return {
        **_figures(reading),
        "timeline": _timeline(reading, incident, public=True),
        "class": public_class(reading.roster),
    }


def room_view(reading: Reading, incident: Incident) -> dict[str, Any]:
    """What every instructor sees besides: who did what, and what a reset would take."""
    marks = list(reading.story.marks)[-MOST_LOG_LINES:]
    tokens = reading.state.get("tokens") or {}
    return {
        **_figures(reading),
        "timeline": _timeline(reading, incident, public=False),
        "class": room_class(reading.roster),
        "speed": reading.status.replay_speed,
        "running": reading.status.replay_running,
        "has_clock": reading.status.replay_time is not None,
        "tokens": ", ".join(f"{number} {state}" for state, number in tokens.items() if number) or "none",
        "lost": _lost(reading),
        "log": [_line(mark, reading.story.offset) for mark in reversed(marks)],
    }


def _figures(reading: Reading) -> dict[str, Any]:
    said = banner(None if reading.away else reading.status, access=True)
    last, totals = banner(reading.status, access=True), reading.story.totals
    return {
        "phase": said.phase,
        "headline": said.headline,
        "detail": said.detail,
        "old": reading.away,
        "old_words": f"Figures from {datetime.fromtimestamp(reading.read_at):%H:%M:%S}" if reading.away else "",
        "clock": last.clock or "No replay clock",
        "waiting": reading.status.waiting,
        "running_jobs": reading.status.running,
        "queue": last.queue,
        "broadcast": last.broadcast,
        "errs": _errs(reading, last.errs),
        "counts": {name: totals[name] for name in ("accepted", "finished", "refused")},
        "since": since_when(reading.story),
        "unread": f"{reading.unread} lines of the event list are still to be read." if reading.unread else "",
        "checklist": [] if reading.effect is None else checklist(reading.effect),
        "bystanders": _bystanders(reading),
    }


def _errs(reading: Reading, words: str) -> str:
    """What is wrong on purpose; seeded failures and slow renders included."""
    faults, profile = reading.state.get("faults") or [], reading.state.get("profile")
    more = [f"seeded failures: {', '.join(map(str, faults))}"] if faults else []
    more += [f"latency profile: {profile}"] if profile else []
    return "; ".join([words, *more] if words else [f"On purpose: {'; '.join(more)}"] if more else [])


def _bystanders(reading: Reading) -> str:
    if reading.effect is None:
        return ""
    spared, hit = int(reading.effect["bystanders"]), int(reading.effect["bystanders_touched"])
    return f"{many(spared, 'token')} outside the selection stayed good; {hit} outside it were hit."


def _timeline(reading: Reading, incident: Incident, *, public: bool) -> dict[str, Any] | None:
    shown = reading.status.replay_time
    replay_now = datetime.fromisoformat(shown).timestamp() if shown else None
    now = float(reading.state.get("server_time") or reading.read_at)
    return timeline(reading.story, incident, now=now, replay_now=replay_now, public=public)


def _lost(reading: Reading) -> str:
    tokens = sum(map(int, (reading.state.get("tokens") or {}).values()))
    jobs = sum(map(int, (reading.state.get("jobs") or {}).values()))
    return (
        f"{many(tokens, 'token')}, {many(jobs, 'video')} with their clips, every revocation and setting, the replay "
        "clock and the broadcast line go, for good. The event list stays; export it first if the timeline is wanted."
    )


def _line(mark: Mark, offset: int) -> dict[str, Any]:
    replayed = ""
    if mark.when.replay is not None:
        replayed = datetime.fromtimestamp(mark.when.replay + offset, UTC).strftime("%H:%M")
    return {
        "seq": mark.seq,
        "room": datetime.fromtimestamp(mark.when.at).strftime("%H:%M:%S"),
        "replay": replayed,
        "actor": mark.actor,
        "words": mark.words,
    }
