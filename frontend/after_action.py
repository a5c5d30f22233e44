"""The exercise since the last reset, as a page to print: what happened when, on both clocks, and who did it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from frontend.checklist import checklist
from frontend.incident import Incident
from frontend.injects import Inject, said, state_of
from frontend.story import Mark, Moment, Phase, Story
from frontend.telling import many
from frontend.timeline import counted
from frontend.watch import Reading
from frontend.wording import headline

# Somebody may have put a token into a reason or a line; paper goes further than a page.
_SECRET = re.compile(r"\bld[ka]_\w+")
MOST_LINES = 400


@dataclass(frozen=True)
class Exposure:
    """From the moment at which the page was open to everyone to the one at which it no longer was; `until` None while
    it is. `cut` says that a revocation ended it."""

    since: Moment
    until: Moment | None
    cut: bool


def report(reading: Reading, plan: Sequence[Inject], incident: Incident) -> dict[str, Any]:
    """Everything in words and cells, so that the script only puts it in place. No token, no name of a student's seat,
    and no private note: the server never has one."""
    story = reading.story
    found = {
        "printed": f"{datetime.now():%d %b %Y, %H:%M} room time",
        "old": f"The gateway is away; this is as of {datetime.fromtimestamp(reading.read_at):%H:%M:%S}."
        if reading.away
        else "",
        "times": _times(story, incident),
        "figures": _figures(reading),
        "exposures": [_exposure(one, story) for one in exposures(story)],
        "phases": [[*_clocks(one.when, story), headline(one.name), one.actor] for one in story.phases],
        "revocations": [
            [
                *_clocks(cut.when, story),
                cut.actor,
                cut.whose,
                cut.reason,
                str(cut.tokens),
                f"{cut.waiting} waiting, {cut.running} running",
            ]
            for cut in story.cuts
        ],
        "checklist": [] if reading.effect is None else checklist(reading.effect),
        "injects": [[one.id, one.when, one.text, one.expect, _stood(one, story)] for one in plan if _used(story)],
        "broadcasts": _lines(story, "broadcast.set"),
        "log": _log(story),
        "left_out": _left_out(story),
    }
    told: dict[str, Any] = _without_secrets(found)
    return told


def exposures(story: Story) -> list[Exposure]:
    """The windows in which the page was open to everyone, in their order."""
    found: list[Exposure] = []
    opened: Phase | None = None
    for phase in story.phases:
        if phase.name == "exposed" and opened is None:
            opened = phase
        elif phase.name != "exposed" and opened is not None:
            found.append(Exposure(opened.when, phase.when, phase.cut))
            opened = None
    return [*found, Exposure(opened.when, None, cut=False)] if opened is not None else found


def _times(story: Story, incident: Incident) -> list[list[str]]:
    first, last = story.marks[0].when if story.marks else None, story.marks[-1].when if story.marks else None
    rows = [["First line of the log", *_clocks(first, story)], ["Last line of the log", *_clocks(last, story)]]
    if any(one.when.replay is not None and incident.on_day_of(one.when.replay) for one in story.marks):
        rows += [["November 2024", f"{incident.published_words}; {incident.ended_words}", ""]]
    return rows


def _figures(reading: Reading) -> list[str]:
    story = reading.story
    whole = Counter(story.totals)
    whole.update(story.before)
    lines = [f"{counted(whole)}, since the beginning of the exercise."]
    if story.anew_at is not None:
        lines.append(f"Since the replay clock was set back for the last time: {counted(story.totals)}.")
    if story.cuts:
        lines.append(f"{many(story.refused_since, 'request')} refused since the last revocation.")
    if reading.effect is not None:
        spared, hit = int(reading.effect["bystanders"]), int(reading.effect["bystanders_touched"])
        lines.append(f"Bystanders of that revocation: {many(spared, 'token')} stayed good, {hit} were hit.")
    if reading.unread:
        lines.append(f"{reading.unread} lines of the event list are still to be read; load this page again.")
    return lines


def _exposure(one: Exposure, story: Story) -> list[str]:
    since = _clocks(one.since, story)
    if one.until is None:
        return [*since, "still open", "", "", ""]
    how = "by a revocation" if one.cut else "without a revocation"
    replayed = ""
    if one.since.replay is not None and one.until.replay is not None and one.since.morning == one.until.morning:
        replayed = _length(one.until.replay - one.since.replay)
    return [
        *since,
        *_clocks(one.until, story),
        _length(one.until.at - one.since.at),
        f"{replayed}; ended {how}".lstrip("; "),
    ]


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _used(story: Story) -> bool:
    """Whether the plan was played at all: a morning without a replay clock and without an inject has none."""
    return bool(story.injects) or story.last_replay is not None


def _stood(inject: Inject, story: Story) -> str:
    if state_of(inject, story) == "waiting":
        return "not fired"
    return said(story.injects.get(inject.id), story.offset)


def _lines(story: Story, kind: str) -> list[list[str]]:
    return [[*_clocks(one.when, story), one.actor, one.words] for one in story.marks if one.kind == kind]


def _log(story: Story) -> list[list[str]]:
    return [_line(one, story) for one in list(story.marks)[-MOST_LINES:]]


def _line(mark: Mark, story: Story) -> list[str]:
    return [*_clocks(mark.when, story), mark.actor, mark.words]


def _left_out(story: Story) -> str:
    missing = story.told - min(len(story.marks), MOST_LINES)
    return f"{many(missing, 'line')} before these are in the export alone." if missing else ""


def _clocks(when: Moment | None, story: Story) -> list[str]:
    """Replay time and room time; empty where there is none."""
    if when is None:
        return ["", ""]
    replayed = ""
    if when.replay is not None:
        replayed = datetime.fromtimestamp(when.replay + story.offset, UTC).strftime("%H:%M")
    return [replayed, datetime.fromtimestamp(when.at).strftime("%H:%M:%S")]


def _without_secrets(found: Any) -> Any:
    if isinstance(found, str):
        return _SECRET.sub("(a token)", found)
    if isinstance(found, list):
        return [_without_secrets(one) for one in found]
    if isinstance(found, dict):
        return {name: _without_secrets(one) for name, one in found.items()}
    return found
