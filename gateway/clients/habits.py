"""The habits that are looked for, when one counts as a fault, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

POLLED_FASTER = "polled_faster_than_told"
RETRIED_401 = "retried_401"
IGNORED_RETRY_AFTER = "ignored_retry_after"
RETRY_STORM = "retry_storm"
CALLED_AFTER_REVOCATION = "kept_calling_after_revocation"
DOWNLOADED_LATE = "downloaded_after_expiry"
WAITED = "retried_with_backoff"


@dataclass(frozen=True)
class Habit:
    """`tolerated` is how often it may be seen before the client needs work; None for a good habit."""

    tolerated: int | None
    advice: str


HABITS: dict[str, Habit] = {
    POLLED_FASTER: Habit(
        3,
        "Wait as long as openai-poll-after-ms says before asking for a video again; asking sooner brings nothing "
        "sooner and takes from everybody's service.",
    ),
    RETRIED_401: Habit(
        0,
        "Do not repeat a request that was answered 401: the key is unknown, expired or revoked, and stays so. Stop, "
        "tell a person, and ask for another key.",
    ),
    IGNORED_RETRY_AFTER: Habit(
        3,
        "After a 429 or 503, hold back every request that it concerns until Retry-After (or retry-after-ms) is over; "
        "in a program with several threads, let them share that wait.",
    ),
    RETRY_STORM: Habit(
        0,
        "Ten refusals within a second mean that refused requests are repeated at once. Wait between attempts, twice "
        "as long each time, with some chance in it, and give up after a few.",
    ),
    # Whoever polls a few videos at once learns of the revocation once for each.
    CALLED_AFTER_REVOCATION: Habit(
        8,
        "The key was revoked, and the client went on using it. Treat the first 401 as final in every thread and loop, "
        "and look for copies of the key that are still in use.",
    ),
    DOWNLOADED_LATE: Habit(
        2,
        "Download a clip before its expires_at, and ask for a new link instead of keeping an old one.",
    ),
    WAITED: Habit(None, "It waited as long as it was told before it tried again. Keep that."),
}


def is_fault(finding: str, count: int) -> bool:
    """Whether seeing it `count` times means that the client needs work."""
    habit = HABITS.get(finding)
    return habit is not None and habit.tolerated is not None and count > habit.tolerated
