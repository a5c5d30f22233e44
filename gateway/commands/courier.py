"""Sends what a reporter has spooled, oldest first, until all of it is taken: patiently, and with outages of its own.

Time and chance are arguments, so a test steps through an hour of outage in a moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from gateway.clock import Clock
from gateway.commands.spool import Spool
from gateway.errors import OperatorError

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 10.0

Post = Callable[[bytes], httpx.Response]


@dataclass(frozen=True)
class Outage:
    """After so many batches the reporter is down for `seconds`. It cannot know then whether the last one arrived."""

    seconds: float
    after: int


@dataclass(frozen=True)
class Surroundings:
    """The time, how to let it pass, and chance."""

    clock: Clock
    sleep: Callable[[float], None]
    chance: random.Random


class Refused(Exception):
    """The receiver will not take a batch, however often it is sent; it and those behind it stay in the spool."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"refused with {answer.status_code}")
        self.answer = answer


def deliver(
    spool: Spool,
    post: Post,
    around: Surroundings,
    *,
    for_seconds: float,
    outage: Outage | None = None,
    told: Callable[[str], None],
) -> list[httpx.Response]:
    """The answers, one for each batch that was sent, in order.

    A receiver that is away or answers 5xx is asked again, for `for_seconds` a batch. `told` hears what is waited for.
    Raises OperatorError where that time is over, Refused for any other answer than 2xx.
    """
    answers: list[httpx.Response] = []
    while (batch := spool.oldest()) is not None:
        answer = _answered(post, batch.body, around, for_seconds, told)
        if not answer.is_success:
            raise Refused(answer)
        answers.append(answer)
        if outage is not None and len(answers) == outage.after:
            told(f"down for {outage.seconds:g} s; {len(spool)} batches wait, of which the first may have arrived")
            around.sleep(outage.seconds)
            continue  # its answer was never read, as far as a reporter knows that comes back
        spool.remove(batch)
    return answers


def _answered(
    post: Post, body: bytes, around: Surroundings, for_seconds: float, told: Callable[[str], None]
) -> httpx.Response:
    until, failures = around.clock.now() + for_seconds, 0
    while True:
        answer: httpx.Response | None = None
        try:
            answer = post(body)
            if answer.status_code < 500:
                return answer
            why = f"it answers {answer.status_code}"
        except httpx.TransportError as exc:
            why = f"no gateway answers ({exc or type(exc).__name__})"
        failures += 1
        left = until - around.clock.now()
        if left <= 0:
            raise OperatorError(f"not taken after {for_seconds:g} s: {why}")
        wait = min(left, max(backoff(failures, around.chance), _asked(answer)))
        told(f"{why}; again in {wait:.1f} s")
        around.sleep(wait)


def backoff(failures: int, chance: random.Random) -> float:
    """Seconds to wait after so many failures in a row: doubling up to the longest wait, a quarter more or less."""
    wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures - 1, 30))
    return wait * chance.uniform(0.75, 1.25)


def _asked(answer: httpx.Response | None) -> float:
    """What a Retry-After in seconds asks for (RFC 9110, section 10.2.3); 0 for none."""
    text = "" if answer is None else answer.headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() else 0.0
