"""Whether the gateway's event list holds together over the exercise: I7, reckoned without the gateway's own code.

Each line holds a SHA-256 over the hash of the line before and its own fields, as JSON without spaces. The first line
that was read is taken as it is; the hash of every later one must follow from it.
"""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise

from pydantic import BaseModel, ConfigDict

from drills.replies import GatewayEvent


class Chain(BaseModel):
    """The lines `first` to `last` of the list. `broken` is the first that does not follow from the one before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: int
    last: int
    broken: int | None


def check_chain(events: Sequence[GatewayEvent]) -> Chain | None:
    """Check every line, in the order in which they were read. None where the list bears no hashes, or is too short."""
    if len(events) < 2 or any(event.hash is None for event in events):
        return None
    broken = None
    for before, event in pairwise(events):
        if event.seq != before.seq + 1 or event.hash != _hash(before.hash or "", event):
            broken = event.seq
            break
    return Chain(first=events[0].seq, last=events[-1].seq, broken=broken)


def _hash(previous: str, event: GatewayEvent) -> str:
    """What the line's hash must be, after one with the hash `previous`."""
    data = _written(event.data, sort=True)
    fields = [previous, event.at, event.replay_at, event.kind, event.actor, event.accessor, event.job, data]
    return hashlib.sha256(_written(fields, sort=False).encode()).hexdigest()


def _written(value: object, *, sort: bool) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sort)
