"""Who may still join the waiting line when it is nearly or entirely full, and how long whoever may not has to wait.

In fair order the last tenth of the line is a reserve, so that one token with any number of videos cannot lock out the
others. In it a token may have only so many waiting: LONGEST, or fewer in proportion to what is left of the reserve; and
always one, while a place is left. A token counts together with all that it minted and they minted, as in its turns.
To keep its share of the turns a token needs no more than one in line. Nobody who waits already is ever put out.

That is sharing with a minimum allocation, by dynamic thresholds; both are how switches share their buffers.
Sources: Kamoun, Kleinrock, Analysis of Shared Finite Storage in a Computer Network Node Environment Under General
Traffic Conditions, IEEE Trans. Communications 28(7), 1980, https://doi.org/10.1109/TCOM.1980.1094756; Choudhury, Hahne,
Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, IEEE/ACM Trans. Networking 6(2), 1998,
https://doi.org/10.1109/90.664262
"""

from __future__ import annotations

import math

from gateway.errors import QueueFull
from gateway.jobs.line import Line, Load
from gateway.store import Connection, fairness, turns
from gateway.store.tokens import Token

MAX_RETRY_AFTER = 120  # seconds; OpenAI's clients do not retry at all where they are told to wait longer
LONGEST = 16  # waiting videos of one token in the reserve


def ensure(tx: Connection, line: Line, token: Token, *, now: float, limit: int) -> None:
    """Raises QueueFull where no other job of the token may wait; `limit` is the longest line."""
    waiting = line.waiting(tx, now, limit)
    if waiting >= limit:
        raise _full(
            f"{waiting} videos are waiting, which is the limit.", line.load(tx, now), leaving=waiting - limit + 1
        )
    reserve = reserved(limit) if line.fair else 0
    common = limit - reserve
    if waiting < common:
        return
    may = may_wait(limit - waiting, reserve)
    if turns.at_least_waiting_below(tx, fairness.root_of(tx, token), may):
        raise _full(
            f"{waiting} videos are waiting. The last {reserve} places of {limit} are kept for tokens that have, with "
            f"all that they minted, fewer than {may} in line.",
            line.load(tx, now),
            leaving=waiting - common + 1,
        )


def reserved(limit: int) -> int:
    """How many of the line's places are the reserve. A line of less than ten places has none."""
    return limit // 10


def may_wait(free: int, reserve: int) -> int:
    """How many jobs of one token may wait where `free` places of the reserve are left."""
    return math.ceil(min(LONGEST, reserve) * free / reserve)


def _full(why: str, load: Load, *, leaving: int) -> QueueFull:
    """With the time until so many jobs have left the line: one for each render that ends, at the present rate."""
    rendering = sum(worker.slots for worker in load.workers)
    if not rendering:
        return QueueFull(
            f"{why} No worker is there to render any, so nobody knows how long that takes.",
            headers={"Retry-After": str(MAX_RETRY_AFTER)},
        )
    wait = max(1, math.ceil(leaving * load.render_seconds / rendering))
    return QueueFull(f"{why} Try again later.", headers={"Retry-After": str(min(MAX_RETRY_AFTER, wait))})
