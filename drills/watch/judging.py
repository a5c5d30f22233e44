"""The verdict of a watch: the oracle's, with what is not known about the moment of the revocation.

The acknowledgement lies between the moment's `earliest` and `latest`. A use is late for certain only where it began
after `latest` and the bound, and was in time for certain only where it began before `earliest` and the bound. What lies
between makes a verdict of "contained" impossible, and is said.
"""

from collections.abc import Sequence, Set

from drills.history import Exchange
from drills.oracle import RevokeCall, Verdict, judge
from drills.watch.journal import CommandRun, Moment


def infer_moment(history: Sequence[Exchange], watched: Set[str]) -> Moment | None:
    """From the first refusal of a watched token: by its answer, the revocation had happened. None without one."""
    refused = [each for each in history if each.accessor in watched and each.outcome == "refused"]
    if not refused:
        return None
    first = min(refused, key=lambda each: (each.end, each.n))
    words = f"nobody told when; request {first.n} was the first to be refused"
    return Moment(how="inferred", sent=first.start, earliest=0.0, latest=first.end, words=words)


def judge_watch(
    history: Sequence[Exchange],
    moment: Moment | None,
    command: CommandRun | None,
    *,
    watched: Set[str],
    bystanders: Set[str],
    surfaces: Sequence[str],
    bound: float,
) -> Verdict:
    """Judge a watch. `bound` is how many seconds a use may still be accepted after the acknowledgement."""
    if command is not None and command.exit_code != 0:
        ended = "did not end in time" if command.exit_code is None else f"ended with exit code {command.exit_code}"
        reason = f"I3: the revoke command {ended}: the revocation may or may not have happened"
        return Verdict(verdict="inconclusive", reasons=[reason])
    if moment is None:
        return Verdict(verdict="inconclusive", reasons=["nobody told of a revocation, and no request was refused"])
    call = RevokeCall(
        start=moment.sent, end=moment.latest, outcome="acknowledged", status=None, accessors=sorted(watched)
    )
    verdict = judge(
        history, call, leaked=watched, surfaces=surfaces, jobs=None, spared=bystanders, bound=bound
    )  # fmt: skip
    if verdict.verdict == "not_contained":
        return verdict
    doubts = _doubts(history, moment, watched, bound)
    if not doubts:
        return verdict
    reasons = verdict.reasons if verdict.verdict == "inconclusive" else []
    return verdict.model_copy(update={"verdict": "inconclusive", "reasons": [*doubts, *reasons]})


def _doubts(history: Sequence[Exchange], moment: Moment, watched: Set[str], bound: float) -> list[str]:
    """Uses that may have been late, because the moment is known no better."""
    maybe = [
        each
        for each in history
        if each.accessor in watched
        and each.outcome == "accepted"
        and moment.earliest + bound <= each.start < moment.latest + bound
    ]
    if not maybe:
        return []
    last = max(maybe, key=lambda each: (each.start, each.n))
    between = f"between second {moment.earliest:.3f} and {moment.latest:.3f}"
    return [
        f"the moment of the acknowledgement is known only to lie {between} ({moment.words}); {len(maybe)} accepted "
        f"uses may have come after it, the last, request {last.n}, at second {last.start:.3f}"
    ]
