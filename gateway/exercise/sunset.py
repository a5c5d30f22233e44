"""The planned end of the API: announced in headers, practised in brown-outs, then final.

Its times are read on the replay clock while there is one, and else on the machine's. Whoever is told has shown a good
token before: a revoked one is refused as ever. Headers: Deprecation (RFC 9745), Sunset (RFC 8594) and Link.

The schedule lies in the store, where every gateway reads it, at most four times a second. While there is none, a
request pays one comparison.
"""

from __future__ import annotations

import json
import math
from collections.abc import MutableMapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from typing import Any

from gateway.clock import ReplayClock
from gateway.errors import ANSWER_HEADERS, BrownOut, Gone, InvalidRequest
from gateway.events import EventKind
from gateway.store import Connection, Store, events, exercise

READ_SECONDS = 0.25
MOST_CALLERS = 10_000
MOST_BROWN_OUTS = 50

Scope = MutableMapping[str, Any]


class Stage(StrEnum):
    """How far the end is."""

    NONE = "none"
    PLANNED = "planned"
    ANNOUNCED = "announced"
    BROWN_OUT = "brown_out"
    ENDED = "ended"


@dataclass(frozen=True)
class Planned:
    """A brown-out from `at` until before `until`, Unix seconds; `status` is 503 or 410."""

    at: float
    until: float
    status: int


@dataclass(frozen=True)
class Schedule:
    """Unix seconds. `link` is where the headers send a reader, None for nowhere."""

    announced_at: float
    ends_at: float
    brown_outs: tuple[Planned, ...] = ()
    link: str | None = None

    def stage(self, at: float) -> tuple[Stage, Planned | None]:
        """How far it is at `at`, and the brown-out of that moment."""
        if at >= self.ends_at:
            return Stage.ENDED, None
        if at < self.announced_at:
            return Stage.PLANNED, None
        present = next((one for one in self.brown_outs if one.at <= at < one.until), None)
        return (Stage.BROWN_OUT if present else Stage.ANNOUNCED), present

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What an answer bears from the announcement on."""
        ends = format_datetime(datetime.fromtimestamp(self.ends_at, UTC), usegmt=True)
        found = [(b"deprecation", f"@{math.floor(self.announced_at)}".encode()), (b"sunset", ends.encode())]
        if self.link is not None:
            found.append((b"link", f'<{self.link}>; rel="deprecation", <{self.link}>; rel="sunset"'.encode()))
        return found


@dataclass(frozen=True)
class Calls:
    """What one token asked for since the announcement, by stage; `last_at` is Unix seconds of the machine's clock."""

    accessor: str
    announced: int = 0
    brown_out: int = 0
    ended: int = 0
    last_at: float = 0.0


@dataclass(frozen=True)
class Standing:
    """The schedule, how far it is, and the time it is read at, Unix seconds."""

    schedule: Schedule | None
    stage: Stage
    time: float


class SunsetDesk:
    """One gateway's view of the schedule, and who has called it since the announcement."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._schedule: Schedule | None = None
        self._clock: ReplayClock | None = None
        self._read_at = -math.inf
        self._stale_at = -math.inf
        self._callers: dict[str, Calls] = {}

    def armed(self, now: float) -> bool:
        """Whether `meet` has anything to look at: a schedule, or news that may have come since it last read."""
        return self._schedule is not None or not self._read_at <= now < self._stale_at

    async def meet(self, scope: Scope, accessor: str, now: float) -> None:
        """Tells a request how far the end is; raises Gone or BrownOut where it is not served."""
        if not self._read_at <= now < self._stale_at:
            await self._read(now)
        schedule = self._schedule
        if schedule is None:
            return
        time = self._time(now)
        stage, brown_out = schedule.stage(time)
        if stage is Stage.PLANNED:
            return
        self._note(accessor, stage, now)
        scope.setdefault(ANSWER_HEADERS, []).extend(schedule.headers())
        if stage is Stage.ENDED or (brown_out is not None and brown_out.status == Gone.status):
            raise Gone(_words(schedule, stage), headers={"x-should-retry": "false"})
        if brown_out is not None:
            speed = self._clock.speed if self._clock and self._clock.running else 1.0
            wait = str(max(1, math.ceil((brown_out.until - time) / speed)))
            raise BrownOut(_words(schedule, stage), headers={"Retry-After": wait})

    async def show(self, now: float) -> Standing:
        """How it stands, read anew."""
        await self._read(now)
        time = self._time(now)
        return Standing(self._schedule, self._schedule.stage(time)[0] if self._schedule else Stage.NONE, time)

    def callers(self) -> list[Calls]:
        """Who has called this gateway since the announcement, those with most calls after the end first."""
        return sorted(
            self._callers.values(), key=lambda one: (-one.ended, -one.brown_out, -one.announced, one.accessor)
        )

    async def put(self, schedule: Schedule, *, now: float, actor: str) -> None:
        """Plans the end; raises InvalidRequest where its times do not follow each other."""
        _check(schedule)
        data = asdict(schedule)

        def work(tx: Connection) -> None:
            exercise.set_sunset(tx, json.dumps(data))
            events.append(tx, EventKind.SUNSET_SET, at=now, actor=actor, data=data)

        await self._store.write(work)
        self.clear()

    async def remove(self, *, now: float, actor: str) -> None:
        """The API goes on; where no end was planned this does nothing."""

        def work(tx: Connection) -> None:
            if exercise.sunset(tx)[0] is not None:
                exercise.set_sunset(tx, None)
                events.append(tx, EventKind.SUNSET_REMOVED, at=now, actor=actor, data={})

        await self._store.write(work)
        self.clear()

    def clear(self) -> None:
        """Forgets who has called, and reads the schedule anew before the next request."""
        self._stale_at = -math.inf
        self._callers.clear()

    def _time(self, now: float) -> float:
        return now if self._clock is None else self._clock.at(now)

    def _note(self, accessor: str, stage: Stage, now: float) -> None:
        before = self._callers.get(accessor)
        if before is None:
            if len(self._callers) >= MOST_CALLERS:
                return
            before = Calls(accessor)
        name = str(stage)
        self._callers[accessor] = replace(before, **{name: getattr(before, name) + 1}, last_at=now)

    async def _read(self, now: float) -> None:
        text, self._clock = await self._store.read(exercise.sunset)
        self._schedule = None if text is None else _parsed(json.loads(text))
        self._read_at, self._stale_at = now, now + READ_SECONDS


def _parsed(fields: dict[str, Any]) -> Schedule:
    return Schedule(**{**fields, "brown_outs": tuple(Planned(**one) for one in fields["brown_outs"])})


def _check(schedule: Schedule) -> None:
    times: Sequence[float] = [
        schedule.announced_at,
        *(edge for one in schedule.brown_outs for edge in (one.at, one.until)),
        schedule.ends_at,
    ]
    if list(times) != sorted(times) or any(one.at >= one.until for one in schedule.brown_outs):
        raise InvalidRequest(
            "announced_at, the brown-outs in their order, and ends_at must follow each other, without overlap.",
            param="ends_at",
        )
    if schedule.announced_at >= schedule.ends_at:
        raise InvalidRequest("announced_at must come before ends_at.", param="announced_at")


def _words(schedule: Schedule, stage: Stage) -> str:
    day = datetime.fromtimestamp(schedule.ends_at, UTC).date().isoformat()
    more = f" See {schedule.link}." if schedule.link else ""
    if stage is Stage.ENDED:
        return f"This API has ended on {day}. There is nothing to try again.{more}"
    return f"This API ends on {day}, and is switched off for a while to make that known.{more}"
