"""Who comes when: planned before the first one comes, from the shape and a seed.

Arrivals are a Poisson process whose rate follows the shape, made by thinning (Lewis and Shedler 1979). They do not wait
for one another's answers: the load is open-loop. The same seed plans the same arrivals, on however many processes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.shape import Clip, Conduct, Shape

# The normal distribution's ninth decile: what lies between the median and one in ten.
NINTH_DECILE = 1.2815515655446004


@dataclass(frozen=True)
class Arrival:
    """One session: when it is due (seconds), whose it is, with which token, and what for. Patience is in seconds."""

    n: int
    due: float
    person: int
    token: int
    clip: Clip
    prompt: str
    patience: float
    downloads: bool
    deletes: bool


def plan(
    shape: Shape, *, users: int, rate: float, seconds: float, leaked: Sequence[int], others: Sequence[int], seed: int
) -> list[Arrival]:
    """All arrivals, in order.

    Args:
        rate: arrivals a second where the shape's weight is greatest.
        leaked: places of the leaked tokens; empty where there are none.
        others: places of the other tokens.
        seed: for `random.Random`.
    """
    chance = random.Random(seed)
    exposed = min(users, round(users * shape.tokens.leaked_share)) if leaked else 0
    if not others:
        exposed = users
    weights, top = [clip.weight for clip in shape.clips], shape.top
    patience = {person: patience_of(person, shape.conduct, seed) for person in range(users)}
    found: list[Arrival] = []
    moment = chance.expovariate(rate)
    while moment < seconds:
        if chance.random() * top < shape.weight_at(moment / seconds):
            person = chance.randrange(users)
            place = leaked[person % len(leaked)] if person < exposed else others[person % len(others)]
            found.append(
                Arrival(
                    n=len(found),
                    due=moment,
                    person=person,
                    token=place,
                    clip=chance.choices(shape.clips, weights)[0],
                    prompt=chance.choice(shape.prompts),
                    patience=patience[person],
                    downloads=chance.random() < shape.conduct.download,
                    deletes=chance.random() < shape.conduct.delete,
                )
            )
        moment += chance.expovariate(rate)
    return found


def patience_of(person: int, conduct: Conduct, seed: int) -> float:
    """Seconds that a user waits for a video, the same at each visit: log-normal, by its median and its ninth decile."""
    spread = math.log(conduct.patience_p90_seconds / conduct.patience_median_seconds) / NINTH_DECILE
    drawn = random.Random(f"patience {seed} {person}").gauss(0.0, 1.0)
    return conduct.patience_median_seconds * math.exp(spread * drawn)
