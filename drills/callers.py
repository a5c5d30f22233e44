"""Who asks a gateway, with which token, and what is kept of an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drills.errors import DrillError
from drills.history import Actor, Exchange
from drills.population import Clip


@dataclass(frozen=True)
class Bearer:
    """A token the drill holds. The secret stays out of `repr` and out of every record."""

    token: str = field(repr=False)
    accessor: str
    principal: str
    cohort: str
    label: str | None = None


@dataclass(frozen=True)
class Caller:
    """Who sends a request, and with which token (None: without one)."""

    actor: Actor
    who: str
    bearer: Bearer | None = None


@dataclass(frozen=True)
class Answer:
    """An exchange with the parts of its answer that the drill goes on with."""

    exchange: Exchange
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    items: Sequence[Any] = ()  # of an answer that is a list

    @property
    def accepted(self) -> bool:
        return self.exchange.outcome == "accepted"

    def poll_after(self, low: float, high: float) -> float:
        """Seconds that `openai-poll-after-ms` asks to wait, kept within bounds; `high` when it says nothing."""
        try:
            return min(high, max(low, int(self.headers.get("openai-poll-after-ms", "")) / 1000))
        except ValueError:
            return high


def form_of(clip: Clip, prompt: str) -> dict[str, str]:
    """The fields of an order."""
    return {"prompt": prompt, "size": clip.size, "seconds": str(clip.seconds), "model": clip.model}


def bearer_in(answer: Answer, principal: str, cohort: str, label: str | None = None) -> Bearer:
    """The token that an answer issues. Raises DrillError when there is none."""
    try:
        return Bearer(str(answer.body["token"]), str(answer.body["accessor"]), principal, cohort, label)
    except KeyError as error:
        raise DrillError(f"{answer.exchange.path} answered without {error}") from error
