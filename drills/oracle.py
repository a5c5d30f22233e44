"""The verdict, from what clients saw.

Pure functions over a history with one monotonic clock. The invariants, per leaked or revoked token:

I1 After the revoke call has answered, no request that starts is accepted, on any surface of any replica.
I2 After a refusal that followed the revocation, no later request is accepted.
I3 A revoke call without a clear answer may or may not have happened: nothing can be concluded.
I4 What derives from the token (children, links, streams, jobs, webhooks) obeys I1.
I5 Somebody who should be accepted still is. An outage refuses everybody and contains nothing; a bystander who is
   refused while others are accepted was revoked without being meant.
I6 Each surface was accepted shortly before, on each replica: otherwise its refusal shows nothing.
I7 The gateway's event list holds together over the exercise: otherwise its record of jobs shows nothing.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drills.audit import Chain
from drills.evidence import JobTrace
from drills.history import Exchange
from drills.invariants import Offence, flapped, offence_of, refused_bystanders, symptoms

VerdictWord = Literal["contained", "not_contained", "inconclusive"]
After = Literal["dead", "alive", "unknown"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RevokeCall(_Part):
    """The revocation as sent and answered. Seconds on the history's clock.

    `outcome` is unknown after a timeout, a lost connection, a 5xx, or an answer that is none of the API's; `code` is an
    error's; `accessors` are the tokens it named.
    """

    start: float
    end: float
    outcome: Literal["acknowledged", "refused", "unknown"]
    status: int | None
    code: str | None = None
    id: str | None = None
    acknowledged_at: float | None = None
    tokens: int | None = None
    queued: int | None = None
    running: int | None = None
    accessors: list[str] = []


class SurfaceResult(_Part):
    """One surface of one replica before and after. Seconds count from the acknowledgement; None is unknown.

    `lag` is how long after the acknowledgement an accepted use still began: 0 when none did and the surface was tried.
    `still_accepted` says that the last use was accepted too, so that the lag is at least that long. `first_refused` is
    the start of the first refused use, so how soon "none did" was tested. `replica` is None where there is only one,
    and for what no replica in particular does.
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
    replica: str | None = None
    still_accepted: bool = False

    @property
    def place(self) -> str:
        """The surface, and where."""
        return f"{self.surface}@{self.replica}" if self.replica else self.surface


class Verdict(_Part):
    """contained, not_contained or inconclusive, with every reason and every offending request."""

    verdict: VerdictWord
    reasons: list[str]
    offences: list[Offence] = []
    surfaces: list[SurfaceResult] = []


# A use longer ago than this may have been forgotten by every cache, so its refusal would not test one.
WARM_SECONDS = 60.0

JOB_SURFACES = {"queued_job": "queued", "running_job": "running"}
# Not asked of a replica, but heard from whichever does it.
HEARD = {*JOB_SURFACES, "webhook"}


def judge(
    history: Sequence[Exchange],
    revoke: RevokeCall | None,
    *,
    leaked: Set[str],
    surfaces: Sequence[str],
    jobs: Sequence[JobTrace] | None,
    spared: Set[str] = frozenset(),
    replicas: Mapping[str, float] | None = None,
    chain: Chain | None = None,
    bound: float = 0.0,
) -> Verdict:
    """Judge a drill.

    Args:
        history: every exchange, in any order.
        revoke: the revoke call, None when none was sent.
        leaked: accessors that must be dead.
        surfaces: which surfaces have to be dead for "contained".
        jobs: traces of the revoked tokens' jobs, None when they could not be read.
        spared: accessors of bystanders that the selector does not mean.
        replicas: for each replica, for how many seconds it may remember a token; None where there is one gateway.
        chain: whether the gateway's event list holds together, None when that could not be checked.
        bound: seconds after the acknowledgement for which an accepted use is forgiven.
    """
    if revoke is None:
        return Verdict(verdict="inconclusive", reasons=["no revocation was sent"])
    if revoke.outcome != "acknowledged":
        answer = f"status {revoke.status} {revoke.code or ''}".rstrip() if revoke.status is not None else "no answer"
        words = "was refused" if revoke.outcome == "refused" else "may or may not have happened"
        return Verdict(verdict="inconclusive", reasons=[f"the revocation {words} ({answer})"])
    jobs = None if jobs is None else [job.forgiven(bound) for job in jobs]
    watched = (set(leaked) | set(revoke.accessors)) - spared
    own = [exchange for exchange in history if exchange.accessor in watched]
    collateral = refused_bystanders(history, revoke.end, spared, watched)
    flaps = [] if bound else _resurrected(own, revoke)  # replicas that learn one after the other do that
    offences = [*_late(own, revoke, bound), *flaps, *_jobs_went_on(jobs or []), *collateral]
    offences = flapped(offences, own, revoke.start)
    probes = [exchange for exchange in own if exchange.actor == "probe"]
    places = [(name, at) for name in surfaces for at in ([None] if name in HEARD else [*(replicas or [None])])]
    results = [_surface(name, at, own, probes, revoke, jobs, bound) for name, at in places]
    if offences:
        return Verdict(verdict="not_contained", reasons=symptoms(offences), offences=offences, surfaces=results)
    reasons = [*_doubts(results, jobs), *_cold(probes, revoke, replicas or {}), *_aliveness(history, revoke, watched)]
    if chain is not None and chain.broken is not None:
        reasons.append(f"I7: line {chain.broken} of the event list does not follow from the one before")
    if reasons:
        return Verdict(verdict="inconclusive", reasons=reasons, surfaces=results)
    where = f" on {len(replicas)} replicas" if replicas else ""
    count = len(dict.fromkeys(surfaces))
    end = f"{bound:.3f} s after the acknowledgement" if bound else "the acknowledgement"
    reason = f"{count} surfaces accepted before and refused after{where}; nothing accepted after {end}"
    return Verdict(verdict="contained", reasons=[reason], surfaces=results)


def _late(own: Sequence[Exchange], revoke: RevokeCall, bound: float) -> list[Offence]:
    """I1: started at or after the acknowledgement, and accepted."""
    late = [each for each in own if each.outcome == "accepted" and each.start >= revoke.end + bound]
    return [
        offence_of("late_accept", each, revoke.end, job=each.job)
        for each in sorted(late, key=lambda each: (each.start, each.n))
    ]


def _resurrected(own: Sequence[Exchange], revoke: RevokeCall) -> list[Offence]:
    """I2, for what rule 1 does not see: refused, then accepted at the same place, all before the acknowledgement."""
    refused_at: dict[tuple[str | None, str, str | None], float] = {}
    for each in sorted(own, key=lambda each: each.end):
        if each.outcome == "refused" and each.end >= revoke.start:
            refused_at.setdefault(_place(each), each.end)
    flaps = [
        each
        for each in own
        if each.outcome == "accepted" and refused_at.get(_place(each), revoke.end) <= each.start < revoke.end
    ]
    return [
        offence_of("resurrection", each, revoke.end, job=each.job)
        for each in sorted(flaps, key=lambda each: (each.start, each.n))
    ]


def _place(each: Exchange) -> tuple[str | None, str, str | None]:
    """Where a token was used. A token that was quarantined first is refused at one surface and accepted at another."""
    return each.accessor, each.surface, each.replica


def _jobs_went_on(jobs: Sequence[JobTrace]) -> list[Offence]:
    """I4 for jobs: their own record goes on after the revocation."""
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
    name: str,
    replica: str | None,
    own: Sequence[Exchange],
    probes: Sequence[Exchange],
    revoke: RevokeCall,
    jobs: Sequence[JobTrace] | None,
    bound: float,
) -> SurfaceResult:
    if name in JOB_SURFACES:
        return _job_surface(name, jobs)
    mine = [each for each in own if each.surface == name and replica in (None, each.replica)]
    tried = [each for each in probes if each.surface == name and replica in (None, each.replica)]
    due = revoke.end + bound
    after = sorted((each for each in tried if each.start >= due), key=lambda each: (each.start, each.n))
    accepted = [each.start - revoke.end for each in mine if each.outcome == "accepted"]
    late = [seconds for seconds in accepted if seconds >= 0]
    refused = [each.start - revoke.end for each in mine if each.outcome == "refused" and each.start >= revoke.end]
    unanswered = [each for each in after if each.outcome not in ("accepted", "refused")]
    warm = any(
        each.outcome == "accepted" and revoke.start - WARM_SECONDS <= each.start and each.end <= revoke.start
        for each in tried
    )
    too_late = any(seconds >= bound for seconds in late)
    state: After = "alive" if too_late else "unknown"
    # A surface that stops answering, or answers beside the point, is not shown to be dead. Deliveries just cease.
    ceased = not late or max(refused, default=0.0) > max(late)
    if not too_late and ceased and not unanswered and (after or (name == "webhook" and warm)):
        state = "dead"
    return SurfaceResult(
        surface=name,
        warm=warm,
        after=state,
        accepted_after=len(late),
        refused_after=len(refused),
        unanswered_after=len(unanswered),
        last_accepted=round(max(accepted), 6) if accepted else None,
        first_refused=round(min(refused), 6) if refused else None,
        lag=round(max(late), 6) if late else (0.0 if state == "dead" else None),
        replica=replica,
        still_accepted=bool(late) and max(late) >= max(refused, default=-1.0),
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
    """I6, and surfaces whose end was not seen."""
    reasons = []
    for each in results:
        if each.surface in JOB_SURFACES:
            missing = "the gateway's record of jobs was not read" if jobs is None else "the revocation found none"
        else:
            missing = "no accepted use just before the revocation"
        if not each.warm:
            reasons.append(f"{each.place}: {missing}")
        elif each.after != "dead":
            reasons.append(f"{each.place}: {each.unanswered_after or 'no'} probes after it, without a clear refusal")
    return reasons


def _cold(probes: Sequence[Exchange], revoke: RevokeCall, replicas: Mapping[str, float]) -> list[str]:
    """I6: replicas that could not have remembered the token, because it was not used there lately."""
    return [
        f"{name}: not used within {seconds:g} s before the revocation, so what it remembers is untested"
        for name, seconds in replicas.items()
        if not any(
            each.outcome == "accepted"
            and each.replica == name
            and each.end <= revoke.start
            and each.start >= revoke.start - seconds
            for each in probes
        )
    ]


def _aliveness(history: Sequence[Exchange], revoke: RevokeCall, watched: Set[str]) -> list[str]:
    """I5: a token outside the revocation is accepted afterwards, the last time it was tried included."""
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
