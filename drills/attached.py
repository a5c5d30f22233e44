"""What stays attached to a leaked token across the revocation: a stream on each replica, and a webhook."""

from collections.abc import Sequence
from contextlib import suppress

from drills.callers import Caller
from drills.gateway import GatewayClient
from drills.history import History
from drills.receiver import Receiver
from drills.streams import OpenStream


class Attached:
    """Opens what the scenario's surfaces ask for. Call `aclose()` whatever happened."""

    def __init__(self, caller: Caller, history: History, surfaces: Sequence[str]) -> None:
        self._caller = caller
        self._history = history
        self._wanted = set(surfaces)
        self._streams: list[OpenStream] = []
        self._receiver: Receiver | None = None

    async def subscribe(self, client: GatewayClient) -> bool | None:
        """Let the token's videos be told to a receiver of the drill's own; None where no webhook is wanted."""
        if "webhook" not in self._wanted:
            return None
        self._receiver = Receiver(self._caller, self._history)
        return await self._receiver.subscribe(client)

    @property
    def follows(self) -> bool:
        """Whether open streams are wanted."""
        return "open_stream" in self._wanted

    async def follow(self, members: Sequence[GatewayClient], video: str | None) -> None:
        """Open a stream of that video on every replica, and wait until each was answered."""
        if video is None:
            return
        opened = [OpenStream(member, self._caller, video, self._history) for member in members]
        self._streams += opened
        for stream in opened:
            await stream.opened.wait()

    @property
    def hooked(self) -> bool:
        """Whether somebody listens."""
        return self._receiver is not None

    @property
    def going_on(self) -> list[str]:
        """Streams that are open still, by the replica."""
        return [stream.place for stream in self._streams if stream.goes_on]

    async def judge(self, revoked_at: float) -> None:
        """Keep how each stream ended, and close it."""
        for stream in self._streams:
            await stream.judge(revoked_at)
        self._streams = []

    async def aclose(self) -> None:
        """Close what is still open."""
        for stream in self._streams:
            await stream.aclose()
        if self._receiver is not None:
            with suppress(OSError):
                await self._receiver.aclose()
