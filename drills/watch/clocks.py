"""What is known of the server's clock: how far it is from this machine's, and what a time that somebody gives means."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from drills.errors import DrillError
from drills.watch.journal import ServerClock

CUT_AND_OLD = 2.0


class BadTime(DrillError):
    """A time that cannot be read."""

    exit_code = 2


@dataclass
class ClockReader:
    """Narrows down the difference by every `Date` header that it is shown.

    A header that says second D was sent between the request's start and the answer's end, and D is cut off to the
    second. Servers write it anew once a second only, so it may be that old besides: the server's clock is ahead by more
    than D - end and by less than D + 2 - start.
    """

    low: float = field(default=float("-inf"))
    high: float = field(default=float("inf"))
    answers: int = 0

    def show(self, header: str | None, start: float, end: float) -> None:
        """`start` and `end` are Unix seconds of this machine's clock. A header that is no date says nothing."""
        try:
            date = parsedate_to_datetime(header or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        self.low = max(self.low, date - end)
        self.high = min(self.high, date + CUT_AND_OLD - start)
        self.answers += 1

    def read(self) -> ServerClock | None:
        """None while no answer bore a date."""
        if not self.answers:
            return None
        return ServerClock(low=round(self.low, 3), high=round(self.high, 3), answers=self.answers)


@dataclass(frozen=True)
class GivenTime:
    """A time as somebody wrote it: Unix seconds, and how many seconds wide what is written is."""

    at: float
    width: float


def read_time(text: str, now: datetime) -> GivenTime:
    """ISO 8601 with an offset or without (this machine's), or a time of `now`'s day: 14:05, 14:05:09, 14:05:09.250."""
    found = re.fullmatch(
        r"(?:(\d{4}-\d\d-\d\d)[T ])?(\d\d:\d\d)(:\d\d)?([.,]\d{1,6})?(Z|[+-]\d\d:?\d\d)?", text.strip()
    )
    if not found or (found[4] and not found[3]):
        raise BadTime(f"{text!r} is no time; write 14:05:09 or 2026-03-01T14:05:09+01:00")
    day = found[1] or now.date().isoformat()
    fraction = (found[4] or "").replace(",", ".")
    try:
        when = datetime.fromisoformat(f"{day}T{found[2]}{found[3] or ':00'}{fraction}{found[5] or ''}")
    except ValueError as error:
        raise BadTime(f"{text!r} is no time: {error}") from error
    if when.tzinfo is None:
        when = when.replace(tzinfo=now.tzinfo) if now.tzinfo else when.astimezone()
    width = 10.0 ** -(len(fraction) - 1) if fraction else (1.0 if found[3] else 60.0)
    return GivenTime(when.astimezone(UTC).timestamp(), width)
