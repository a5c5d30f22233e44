"""What the control room shows, read once for everybody who watches with the same admin token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from frontend.client import STRANGE, Gateway, GatewayError, Status
from frontend.story import Story, go_on

EVENTS_PAGE = 1000
# Of a list that grew meanwhile so many pages are read at a time; the rest follows at the next look.
MOST_PAGES = 10


@dataclass(frozen=True)
class Reading:
    """The room at a moment. `away` says that the gateway does not answer, since `read_at`, Unix seconds; what is here
    is what it said last. `roster` is the class with its seats. `unread` lines of the event list are still to be
    read."""

    state: Mapping[str, Any]
    status: Status
    story: Story
    effect: Mapping[str, Any] | None
    roster: Mapping[str, Any]
    read_at: float
    away: bool
    unread: int


class Watch:
    """Asks the gateway at most twice a second, and for the effect of a revocation and the roster at most once, however
    many ask."""

    def __init__(
        self,
        gateway: Gateway,
        token: str,
        *,
        max_age: float = 0.5,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._gateway = gateway
        self._token = token
        self._max_age = max_age
        self._monotonic = monotonic
        self._wall = wall
        self._lock = asyncio.Lock()
        self._story: Story | None = None
        self._reading: Reading | None = None
        self._asked_at: float | None = None
        self._effect: Mapping[str, Any] | None = None
        self._effect_of: str | None = None
        self._effect_at = 0.0
        self._roster: Mapping[str, Any] = {}
        self._roster_of: int | None = None
        self._roster_at = 0.0

    async def reading(self) -> Reading | None:
        """The room as it is; None where the gateway has never answered.

        Raises GatewayError where it refuses the admin token.
        """
        async with self._lock:
            if self._asked_at is None or self._monotonic() - self._asked_at >= self._max_age:
                try:
                    self._reading = await self._look()
                except GatewayError as error:
                    if error.status in (401, 403):
                        raise
                    self._reading = _left(self._reading)
                self._asked_at = self._monotonic()
            return self._reading

    def stale(self) -> None:
        """Something was done: the next reading looks again."""
        self._asked_at = None
        self._roster_of = None

    async def _look(self) -> Reading:
        try:
            return await self._read()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GatewayError(STRANGE, "Something answered that is not the gateway.") from error

    async def _read(self) -> Reading:
        state = await self._get("/control/state", patience=2)
        status, last = Status.of(state), int(state["last_event"])
        story = await self._follow(last)
        return Reading(
            state=state,
            status=status,
            story=story,
            effect=await self._effect_now(story.revocation),
            roster=await self._roster_now(last),
            read_at=self._wall(),
            away=False,
            unread=max(0, last - story.seq),
        )

    async def _follow(self, last: int) -> Story:
        # A list that is shorter than what was read is another database's.
        story = self._story
        if story is None or last < story.seq:
            story = await self._beginning()
        for _ in range(MOST_PAGES):
            if story.seq >= last:
                break
            page = await self._get(f"/control/events?after={story.seq}&limit={EVENTS_PAGE}")
            story = go_on(story, page["data"])
            self._story = story
            if not page["has_more"]:
                break
        self._story = story
        return story

    async def _beginning(self) -> Story:
        """A story that begins at the last reset; without one, at the beginning of the list."""
        after, more = 0, True
        while more:
            page = await self._get(f"/control/events?kind=reset&after={after}&limit={EVENTS_PAGE}")
            after, more = max([after, *(int(event["seq"]) for event in page["data"])]), bool(page["has_more"])
        began = max(0, after - 1)
        return Story(began=began, seq=began)

    async def _effect_now(self, revocation: str | None) -> Mapping[str, Any] | None:
        if revocation is None:
            return None
        if self._effect_of != revocation or self._old(self._effect_at):
            try:
                self._effect = (await self._get(f"/control/revocations/{revocation}"))["effect"]
            except GatewayError as error:
                if error.status != 404:
                    raise
                # A reset came between the list and this question.
                self._effect = None
            self._effect_of, self._effect_at = revocation, self._monotonic()
        return self._effect

    async def _roster_now(self, last: int) -> Mapping[str, Any]:
        # Whatever changes a seat, or its token, is a line of the event list: without a new line there is nothing new.
        if self._roster_of is None or (self._roster_of != last and self._old(self._roster_at)):
            self._roster = await self._get("/control/class")
            self._roster_of, self._roster_at = last, self._monotonic()
        return self._roster

    def _old(self, read_at: float) -> bool:
        # A second, less what two looks may lie apart.
        return self._monotonic() - read_at >= 1.0 - self._max_age / 2

    async def _get(self, path: str, patience: float = 5) -> dict[str, Any]:
        return await self._gateway.operate("GET", path, self._token, patience=patience)


def _left(reading: Reading | None) -> Reading | None:
    if reading is None or reading.away:
        return reading
    return Reading(**{**vars(reading), "away": True})
