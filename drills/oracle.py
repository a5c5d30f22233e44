"""The verdict, from what clients saw.

Pure functions over a history with one monotonic clock. The rules, per leaked or revoked token:

1. After the revoke call has answered, no request that starts is accepted, on any surface.
2. After a refusal that followed the revocation, no later request is accepted.
3. A revoke call without a clear answer may or may not have happened: nothing can be concluded.
4. What derives from the token (jobs, signed links) obeys rule 1.
5. Somebody who should be accepted still is: an outage refuses everybody and contains nothing.
6. Each surface was accepted shortly before: otherwise its refusal shows nothing.
"""

from collections.abc import Sequence, Set
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drills.evidence import JobTrace
from drills.history import Exchange

VerdictWord = Literal["contained", "not_contained", "inconclusive"]
After = Literal["dead", "alive", "unknown"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RevokeCall(_Part):
    """The revocation as sent and answered. Seconds on the history's clock.

    `outcome` is unknown after a timeout, a lost connection or a 5xx; `accessors` are the tokens it named.
    """

    start: float
    end: float
    outcome: Literal["acknowledged", "refused", "unknown"]
    status: int | None
    id: str | None = None
    acknowledged_at: float | None = None
    tokens: int | None = None
    queued: int | None = None
    running: int | None = None
    accessors: list[str] = []


class Offence(_Part):
    """Something accepted that should not have been. `seconds_after` counts from the acknowledgement."""

    rule: Literal["late_accept", "resurrection", "job_went_on"]
    surface: str
    who: str
    accessor: str
    seconds_after: float
    request: int | None = None
    job: str | None = None


class SurfaceResult(_Part):
    """One surface before and after. Seconds count from the acknowledgement; None is unknown.

    `lag` is how long after the acknowledgement an accepted use still began: 0 when none did and the surface was tried.
    `first_refused` is the start of the first refused use, so how soon "none did" was tested.
    """

    surface: str
    warm: bool
    after: After
    accepted_after: int
    refused_after: int
    unanswered_after: int
    last_accepted: float | None
    first_refused: float | None
    lag: float | None


class Verdict(_Part):
    """contained, not_contained or inconclusive, with every reason and every offending request."""

    verdict: VerdictWord
    reasons: list[str]
    offences: list[Offence] = []
    surfaces: list[SurfaceResult] = []


# A use longer ago than this may have been forgotten by every cache, so its refusal would not test one.
WARM_SECONDS = 60.0

JOB_SURFACES = {"queued_job": "queued", "running_job": "running"}


def judge(
    history: Sequence[Exchange],
    revoke: RevokeCall | None,
    *,
    leaked: Set[str],
    surfaces: Sequence[str],
    jobs: Sequence[JobTrace] | None,
) -> Verdict:
    """Judge a drill.

    Args:
        history: every exchange, in any order.
        revoke: the revoke call, None when none was sent.
        leaked: accessors that must be dead.
        surfaces: which surfaces have to be dead for "contained".
        jobs: traces of the revoked tokens' jobs, None when they could not be read.
    """
    if revoke is None:
        return Verdict(verdict="inconclusive", reasons=["no revocation was sent"])
    if revoke.outcome != "acknowledged":
        answer = f"status {revoke.status}" if revoke.status is not None else "no answer"
        words = "was refused" if revoke.outcome == "refused" else "may or may not have happened"
        return Verdict(verdict="inconclusive", reasons=[f"the revocation {words} ({answer})"])
    watched = set(leaked) | set(revoke.accessors)
    own = [exchange for exchange in history if exchange.accessor in watched]
    offences = [*_late(own, revoke), *_resurrected(own, revoke), *_jobs_went_on(jobs or [])]
    probes = [exchange for exchange in own if exchange.actor == "probe"]
    results = [_surface(name, own, probes, revoke, jobs) for name in surfaces]
    if offences:
        places = ", ".join(sorted({offence.surface for offence in offences}))
        reason = f"{len(offences)} accepted after the acknowledgement: {places}"
        return Verdict(verdict="not_contained", reasons=[reason], offences=offences, surfaces=results)
    reasons = [*_doubts(results, jobs), *_aliveness(history, revoke, watched)]
    if reasons:
        return Verdict(verdict="inconclusive", reasons=reasons, surfaces=results)
    reason = f"{len(results)} surfaces accepted before and refused after; nothing accepted after the acknowledgement"
    return Verdict(verdict="contained", reasons=[reason], surfaces=results)


def _late(own: Sequence[Exchange], revoke: RevokeCall) -> list[Offence]:
    """Rule 1: started at or after the acknowledgement, and accepted."""
    late = [each for each in own if each.outcome == "accepted" and each.start >= revoke.end]
    return [_offence("late_accept", each, revoke) for each in sorted(late, key=lambda each: (each.start, each.n))]


def _resurrected(own: Sequence[Exchange], revoke: RevokeCall) -> list[Offence]:
    """Rule 2, for what rule 1 does not see: refused, then accepted, all before the acknowledgement."""
    refused_at: dict[str, float] = {}
    for each in sorted(own, key=lambda each: each.end):
        if each.outcome == "refused" and each.end >= revoke.start and each.accessor is not None:
            refused_at.setdefault(each.accessor, each.end)
    flaps = [
        each
        for each in own
        if each.outcome == "accepted"
        and each.accessor in refused_at
        and refused_at[each.accessor] <= each.start < revoke.end
    ]
    return [_offence("resurrection", each, revoke) for each in sorted(flaps, key=lambda each: (each.start, each.n))]


def _offence(rule: Literal["late_accept", "resurrection"], each: Exchange, revoke: RevokeCall) -> Offence:
    return Offence(
        rule=rule,
        surface=each.surface,
        who=each.who,
        accessor=each.accessor or "",
        seconds_after=round(each.start - revoke.end, 6),
        request=each.n,
        job=each.job,
    )


def _jobs_went_on(jobs: Sequence[JobTrace]) -> list[Offence]:
    """Rule 4 for jobs: their own record goes on after the revocation."""
    return [
        Offence(
            rule="job_went_on",
            surface=f"{job.stood}_job" if job.stood != "ended" else "submit",
            who=kind,
            accessor=job.accessor,
            seconds_after=seconds,
            job=job.job,
        )
        for job in jobs
        for kind, seconds in job.late
    ]


def _surface(
    name: str, own: Sequence[Exchange], probes: Sequence[Exchange], revoke: RevokeCall, jobs: Sequence[JobTrace] | None
) -> SurfaceResult:
    if name in JOB_SURFACES:
        return _job_surface(name, jobs)
    mine = [each for each in own if each.surface == name]
    tried = [each for each in probes if each.surface == name]
    after = sorted((each for each in tried if each.start >= revoke.end), key=lambda each: (each.start, each.n))
    accepted = [each.start - revoke.end for each in mine if each.outcome == "accepted"]
    late = [seconds for seconds in accepted if seconds >= 0]
    refused = [each.start - revoke.end for each in mine if each.outcome == "refused" and each.start >= revoke.end]
    unanswered = [each for each in after if each.outcome not in ("accepted", "refused")]
    state: After = "alive" if late else "unknown"
    # A surface that stops answering, or answers beside the point, is not shown to be dead.
    if after and not late and not unanswered:
        state = "dead"
    return SurfaceResult(
        surface=name,
        warm=any(
            each.outcome == "accepted" and revoke.start - WARM_SECONDS <= each.start and each.end <= revoke.start
            for each in tried
        ),
        after=state,
        accepted_after=len(late),
        refused_after=len(refused),
        unanswered_after=len(unanswered),
        last_accepted=round(max(accepted), 6) if accepted else None,
        first_refused=round(min(refused), 6) if refused else None,
        lag=round(max(late), 6) if late else (0.0 if state == "dead" else None),
    )


def _job_surface(name: str, jobs: Sequence[JobTrace] | None) -> SurfaceResult:
    """queued_job or running_job: warm when the revocation found one, dead when none of them went on."""
    mine = [job for job in jobs or [] if job.stood == JOB_SURFACES[name]]
    late = [seconds for job in mine for _, seconds in job.late]
    state: After = "alive" if late else ("dead" if mine else "unknown")
    return SurfaceResult(
        surface=name,
        warm=bool(mine),
        after=state,
        accepted_after=len(late),
        refused_after=sum(not job.late for job in mine),
        unanswered_after=0,
        last_accepted=max(late) if late else None,
        first_refused=None,
        lag=max(late) if late else (0.0 if mine else None),
    )


def _doubts(results: Sequence[SurfaceResult], jobs: Sequence[JobTrace] | None) -> list[str]:
    """Rule 6, and surfaces whose end was not seen."""
    reasons = []
    for each in results:
        if each.surface in JOB_SURFACES:
            missing = "the gateway's record of jobs was not read" if jobs is None else "the revocation found none"
        else:
            missing = "no accepted use just before the revocation"
        if not each.warm:
            reasons.append(f"{each.surface}: {missing}")
        elif each.after != "dead":
            reasons.append(f"{each.surface}: {each.unanswered_after or 'no'} probes after it, without a clear refusal")
    return reasons


def _aliveness(history: Sequence[Exchange], revoke: RevokeCall, watched: Set[str]) -> list[str]:
    """Rule 5: a token outside the revocation is accepted afterwards, the last time it was tried included."""
    others = [
        each
        for each in history
        if each.actor in ("bystander", "fresh") and each.accessor not in watched and each.start >= revoke.end
    ]
    if not others:
        return ["no token outside the revocation was tried afterwards: an outage would look the same"]
    last: dict[str, Exchange] = {}
    for each in sorted(others, key=lambda each: (each.start, each.n)):
        last[each.accessor or ""] = each
    lost = sorted(each.who for each in last.values() if each.outcome != "accepted")
    return [f"tokens outside the revocation are not accepted: {', '.join(lost)}"] if lost else []
