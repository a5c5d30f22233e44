"""What became of a simulated class: who joined, what each was answered, and whether anybody was let in after the cut.

Gateway and students are on one machine and read its one clock, so their moments can be compared: a request that began
after the revocation was acknowledged and was accepted is a late accept. The students note a beginning before they send,
so one that was under way already is never taken for later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from drills.history import Outcome
from drills.journal import write_atomically

NAME = "class.json"
# More lines than this are left to the file, which has all of them.
MOST_LINES = 5
# What an answer may say that is no fault of anybody's: to wait, or that a link's time was over.
PATIENCE = frozenset({"link_expired"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Asked(_Part):
    """One request of a student's. Times are Unix seconds; `path` is without the query, where a link's signature is;
    `status` is None where no answer came."""

    student: str
    surface: str
    path: str
    started: float
    ended: float
    status: int | None
    code: str | None
    outcome: Outcome


class Cut(_Part):
    """A revocation that took a student's token. Times are the gateway's, Unix seconds."""

    revocation: str
    requested_at: float
    acknowledged_at: float


@dataclass
class StudentSeen:
    """One student's lesson. `lost` says why videos failed that no revocation had stopped."""

    seat: int
    name: str
    joined_at: float | None = None
    why_not: str = "never tried"
    clips: int = 0
    stopped: int = 0
    lost: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)


class Failure(_Part):
    """Something that a student met and should not have met."""

    student: str
    words: str


class StudentResult(_Part):
    """One student, as it ended. `revocation` is the one that took the token, None where none did."""

    seat: int
    name: str
    joined_at: float | None
    clips: int
    stopped: int
    requests: int
    revocation: str | None
    refused_after: int
    late_accepts: int
    tried_after_the_drill: int


class ClassReport(_Part):
    """The class as a whole.

    `clips` were finished, `stopped` ended with the revocation. `refused_after` are requests that began after the
    student's own cut was acknowledged. `not_joined` says why; `uncut` kept their tokens to the end, and `untried` sent
    nothing once the drill had been played, so that of both nothing is proved. `clock` says whose times these are.
    """

    seed: int
    students: int
    joined: int
    clips: int
    stopped: int
    refused_after: int
    late_accepts: list[Asked]
    not_joined: list[Failure]
    failures: list[Failure]
    uncut: list[str]
    untried: list[str]
    played_at: float
    clock: str
    cuts: list[Cut]
    each: list[StudentResult]
    requests: list[Asked]

    def exit_code(self, drill: int) -> int:
        """What the command ends with, where the drill alone would end with `drill`: 1 where somebody was let in after
        the cut or could not join, 3 where a drill that was contained leaves a student of whom nothing is proved."""
        if self.late_accepts or self.not_joined:
            return 1
        return 3 if drill == 0 and (self.uncut or self.untried) else drill

    def rows(self) -> list[tuple[str, str]]:
        """The summary, a name and a figure a line."""
        return [
            ("joined", f"{self.joined} of {self.students}"),
            ("clips made", f"{self.clips}, {self.stopped} stopped by the cut"),
            ("refused after the cut", str(self.refused_after)),
            ("late accepts", str(len(self.late_accepts))),
            ("failures", str(len(self.failures))),
            ("tried after the drill", f"{self.students - len(self.untried)} of {self.students}"),
        ]

    def problems(self) -> list[str]:
        """What is wrong, in words, the first of each kind."""
        late = [
            f"late accept: {one.student} was answered {one.status} at {one.surface}, {one.path}"
            for one in self.late_accepts
        ]
        unproved = [f"not cut off: {name}" for name in self.uncut]
        unproved += [f"did not try again after the drill: {name}" for name in self.untried]
        away = [f"could not join: {one.student}: {one.words}" for one in self.not_joined]
        failed = [f"failure: {one.student}: {one.words}" for one in self.failures]
        return [line for kind in (late, away, unproved, failed) for line in _first(kind)]


def judge_class(seen: Sequence[StudentSeen], cuts: Mapping[int, Cut], *, played_at: float, seed: int) -> ClassReport:
    """What the class proves.

    Args:
        seen: the students, after their lesson.
        cuts: by seat, the revocation that took its token; a seat that is missing was never cut off.
        played_at: when the drill had been played, Unix seconds.
        seed: what the students' choices followed from.
    """
    results = [_result(one, cuts.get(one.seat), played_at) for one in seen]
    late = [asked for one in seen for asked in one.asked if is_late(asked, cuts.get(one.seat))]
    return ClassReport(
        seed=seed,
        students=len(seen),
        joined=sum(one.joined_at is not None for one in seen),
        clips=sum(one.clips for one in seen),
        stopped=sum(one.stopped for one in seen),
        refused_after=sum(one.refused_after for one in results),
        late_accepts=late,
        not_joined=[Failure(student=one.name, words=one.why_not) for one in seen if one.joined_at is None],
        failures=[failure for one in seen for failure in _failures(one, cuts.get(one.seat))],
        uncut=[one.name for one in seen if one.seat not in cuts],
        untried=[one.name for one in results if not one.tried_after_the_drill],
        played_at=played_at,
        clock="Unix seconds of one clock, that of the machine on which both the gateway and the students ran",
        cuts=list(dict.fromkeys(cuts.values())),
        each=results,
        requests=sorted((asked for one in seen for asked in one.asked), key=lambda asked: asked.started),
    )


def is_late(asked: Asked, cut: Cut | None) -> bool:
    """Whether a request began after the cut was acknowledged and got what it asked for."""
    return cut is not None and asked.started > cut.acknowledged_at and asked.status is not None and asked.status < 400


def write_class(report: ClassReport, out: Path) -> Path:
    """Writes class.json into `out`; raises OSError."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / NAME
    write_atomically(path, report.model_dump_json(indent=1) + "\n")
    return path


def _result(one: StudentSeen, cut: Cut | None, played_at: float) -> StudentResult:
    after = [asked for asked in one.asked if cut and asked.started > cut.acknowledged_at]
    return StudentResult(
        seat=one.seat,
        name=one.name,
        joined_at=one.joined_at,
        clips=one.clips,
        stopped=one.stopped,
        requests=len(one.asked),
        revocation=cut.revocation if cut else None,
        refused_after=sum(asked.outcome == "refused" for asked in after),
        late_accepts=sum(is_late(asked, cut) for asked in after),
        # Whoever has no token could not try with it.
        tried_after_the_drill=sum(asked.started > played_at and asked.surface != "join" for asked in one.asked),
    )


def _failures(one: StudentSeen, cut: Cut | None) -> list[Failure]:
    words = [f"{asked.surface}, {asked.path}: {_said(asked)}" for asked in one.asked if _is_failure(asked, cut)]
    return [Failure(student=one.name, words=each) for each in (*words, *(f"a video failed: {why}" for why in one.lost))]


def _is_failure(asked: Asked, cut: Cut | None) -> bool:
    """Whether an answer is one that a good gateway does not give: none at all, an error of its own, or a refusal of
    somebody whose access had not been touched. Why somebody could not join is told apart."""
    if asked.outcome == "fault":
        return not _was_cut_short(asked, cut)
    untouched = cut is None or asked.ended < cut.requested_at
    refused = asked.outcome in ("refused", "unclear") and asked.code not in PATIENCE
    return untouched and refused and asked.surface != "join"


def _was_cut_short(asked: Asked, cut: Cut | None) -> bool:
    """Whether a clip was under way when access was cut: the gateway then resets the connection, as it says it does."""
    if cut is None or asked.surface != "signed_link" or asked.status is not None:
        return False
    return asked.started <= cut.acknowledged_at and asked.ended >= cut.requested_at


def _said(asked: Asked) -> str:
    return "no answer" if asked.status is None else f"{asked.status} {asked.code or ''}".rstrip()


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"… and {more} more of these in {NAME}"]
