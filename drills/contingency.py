"""Whether the condition of a contingent line holds, seen from what clients were answered so far."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from drills.history import Exchange
from drills.msel import When
from drills.notices import NoticeCall
from drills.oracle import RevokeCall


@dataclass(frozen=True)
class Seen:
    """What is known at second `now`, replay minute `minute`. `doomed` are the accessors that must be dead after the
    revocation."""

    now: float
    minute: float
    exchanges: Sequence[Exchange]
    revoke: RevokeCall | None = None
    doomed: Set[str] = frozenset()
    notices: Sequence[NoticeCall] = ()


@dataclass
class Condition:
    """Asked again and again while the exercise runs. What was looked at once is not looked at again."""

    when: When
    _looked_at: int = field(default=0, init=False)
    _quiet: bool = field(default=True, init=False)

    def holds(self, seen: Seen) -> bool:
        """Whether it holds now."""
        when, revoke = self.when, seen.revoke
        acknowledged = revoke.end if revoke and revoke.outcome == "acknowledged" else None
        if when.not_revoked_by is not None:
            return seen.minute >= when.not_revoked_by and acknowledged is None
        if when.notice_taken is not None:
            taken = [call.end for call in seen.notices if call.outcome == "taken"]
            return bool(taken) and seen.now >= min(taken) + when.notice_taken
        if when.bystander_refused:
            others = ("bystander", "holder")
            return any(each.outcome == "refused" and each.actor in others for each in self._news(seen))
        return acknowledged is not None and self._after(seen, acknowledged)

    def _after(self, seen: Seen, acknowledged: float) -> bool:
        """Those conditions that need a revocation."""
        late = [
            each.start - acknowledged
            for each in self._news(seen)
            if each.outcome == "accepted" and each.accessor in seen.doomed and each.start >= acknowledged
            if self.when.surface in (None, each.surface)
        ]
        if self.when.still_accepted_after is not None:
            least = self.when.still_accepted_after
            return any(seconds >= least for seconds in late)
        self._quiet = self._quiet and not late
        return self._quiet and seen.now >= acknowledged + (self.when.quiet_for or 0.0)

    def _news(self, seen: Seen) -> Sequence[Exchange]:
        news = seen.exchanges[self._looked_at :]
        self._looked_at = len(seen.exchanges)
        return news
