"""An open stream of a leaked token's job, one per replica: it must end with the token.

A stream has no answer that could be timed, so it is kept as moments: an accepted use when it opened and, where it went
on, when it was last heard of; a refusal where it ended with an error event or was cut off. An event that tells what the
revocation did to the job was read after the revocation, whenever it arrives.
"""

import asyncio
import json

import httpx

from drills.callers import Caller
from drills.gateway import GatewayClient, is_page
from drills.history import Exchange, History, Outcome

# Ends within 250 ms are promised; what was under way may arrive until then, and one more for a busy machine.
ENDS_WITHIN = 0.5


class OpenStream:
    """Follows one stream in the background. `judge` says what became of it, once the after-watch is over."""

    def __init__(self, client: GatewayClient, caller: Caller, video: str, history: History) -> None:
        self._client = client
        self._caller = caller
        self._video = video
        self._history = history
        self._news: float | None = None
        self._ended: float | None = None
        self._told_the_end = False
        self._refused = False
        self.opened = asyncio.Event()
        self._task = asyncio.ensure_future(self._follow())

    @property
    def goes_on(self) -> bool:
        """Whether it was opened and has not ended."""
        return self._news is not None and self._ended is None

    @property
    def place(self) -> str:
        """The surface, and where."""
        return f"open_stream@{self._client.replica}" if self._client.replica else "open_stream"

    async def _follow(self) -> None:
        start = self._history.now()
        kind = ""
        try:
            async with self._client.stream(self._caller, self._video) as response:
                if response.status_code != 200 or is_page(response.headers):
                    return
                async for line in response.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data":
                        self._hear(kind, value)
                        if not self.opened.is_set():
                            self._keep(start, self._history.now(), "accepted")
                            self.opened.set()
        except httpx.HTTPError:
            self._refused = True  # cut off
        finally:
            self._ended = self._history.now()
            self.opened.set()

    def _hear(self, kind: str, data: str) -> None:
        self._refused = kind == "error"
        if kind == "video":
            self._news = self._history.now()
            self._told_the_end = self._told_the_end or _is_revoked(data)

    async def judge(self, revoked_at: float) -> None:
        """Keep how it ended, seen from an acknowledgement at `revoked_at`; then close it."""
        if self._news is not None:
            if self._ended is None:
                self._keep(self._history.now(), self._history.now(), "accepted")
            elif self._told_the_end or self._news > revoked_at + ENDS_WITHIN:
                at = max(self._news, revoked_at)
                self._keep(at, at, "accepted")
            elif self._refused:
                at = max(self._ended, revoked_at)
                self._keep(at, at, "refused")
            # Otherwise the video had ended before, and nothing was shown.
        await self.aclose()

    async def aclose(self) -> None:
        """Read no further."""
        self._task.cancel()
        await asyncio.wait({self._task})

    def _keep(self, start: float, end: float, outcome: Outcome) -> None:
        bearer = self._caller.bearer
        self._history.add(
            Exchange(
                n=len(self._history.exchanges) + 1,
                actor="probe",
                who=self._caller.who,
                surface="open_stream",
                accessor=bearer.accessor if bearer else None,
                method="GET",
                path=f"/v1/videos/{self._video}/events",
                start=start,
                end=end,
                status=200,
                outcome=outcome,
                job=self._video,
                replica=self._client.replica,
            )
        )


def _is_revoked(data: str) -> bool:
    """Whether a video's event says that a revocation has ended it."""
    try:
        error = json.loads(data).get("error")
    except (ValueError, AttributeError):
        return False
    return isinstance(error, dict) and error.get("code") == "access_revoked"
