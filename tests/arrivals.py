"""Who sends when: what a class of tokens sends, and the same beside a leaked token that sends 90 % of the whole.

Everything follows from a seed, each token's times from its own: so the class sends the same at the same moments whether
or not there is a leaked token.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

LEAKED = "leaked"
SHARE = 0.9  # of all that is sent comes from the leaked token
PROMPT_PART = 0.1  # of a round is over when the last of the class has sent


@dataclass(frozen=True, order=True)
class Arrival:
    """A request for a video: seconds from the beginning, and who sends it."""

    at: float
    who: str


def names(tokens: int) -> list[str]:
    """The tokens of the class."""
    return [f"pupil-{number}" for number in range(tokens)]


def in_rounds(seed: int, *, tokens: int, rounds: int, round_seconds: float) -> list[Arrival]:
    """A class that is told to begin: each round every token sends one video, within the round's first tenth."""
    sent = []
    for who in names(tokens):
        chance = random.Random(f"{seed}-{who}")
        sent += [
            Arrival(number * round_seconds + chance.uniform(0, PROMPT_PART * round_seconds), who)
            for number in range(rounds)
        ]
    return sorted(sent)


def at_random(seed: int, *, tokens: int, per_second: float, seconds: float) -> list[Arrival]:
    """A class in which everybody sends as they like: Poisson arrivals, `per_second` from all together."""
    return sorted(one for who in names(tokens) for one in _poisson(f"{seed}-{who}", who, per_second / tokens, seconds))


def with_leaked(seed: int, sent: list[Arrival], seconds: float) -> list[Arrival]:
    """The same beside a leaked token, whose share of all is SHARE on average: Poisson arrivals for so many seconds."""
    per_second = len(sent) * SHARE / (1 - SHARE) / seconds
    return sorted([*sent, *_poisson(f"{seed}-{LEAKED}", LEAKED, per_second, seconds)])


def _poisson(seed: str, who: str, per_second: float, seconds: float) -> list[Arrival]:
    chance, sent, at = random.Random(seed), [], 0.0
    while (at := at + chance.expovariate(per_second)) < seconds:
        sent.append(Arrival(at, who))
    return sent
