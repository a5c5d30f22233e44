"""The verdict on notices and restorations, from what clients saw.

I8 A notice is taken, and once: the tokens that it names are held from its answer on; the same notice sent again changes
   nothing and is told to nobody.
I9 What is restored comes back in the batches, and over the time, that were asked for.
I5 Nobody else is refused; and where a notice names nobody's token, nobody is.
"""

import math
from collections import Counter
from collections.abc import Sequence, Set

from drills.audit import Chain
from drills.deeds import RestoreCall
from drills.history import Exchange
from drills.invariants import Offence, offence_of, symptoms
from drills.notices import NoticeCall
from drills.oracle import Verdict
from drills.sinks import Told

COMPROMISE = "credential-compromise"
# A batch that comes earlier than this share of the time between two has not waited for its turn.
EARLY = 0.5


def judge_notices(
    history: Sequence[Exchange],
    notices: Sequence[NoticeCall],
    restores: Sequence[RestoreCall],
    told: Sequence[Told],
    chain: Chain | None,
) -> Verdict:
    """Judge a drill in which tokens are reported, held, and given back.

    Args:
        history: every exchange, in any order; holders of tokens ask for what a held token is refused.
        notices: in the order in which they were sent.
        restores: restorations, in the order in which they were asked for.
        told: what the drill's own sinks were sent.
        chain: whether the gateway's event list holds together, None when that could not be checked.
    """
    doubts = _unclear(notices)
    if doubts:
        return Verdict(verdict="inconclusive", reasons=doubts)
    uses = sorted((each for each in history if each.actor == "holder"), key=lambda each: (each.start, each.n))
    named = {accessor for call in notices for accessor in call.accessors}
    first = min(call.start for call in notices)
    offences = [
        *(offence for call in notices if not call.again for offence in _ignored(call, uses, restores)),
        *(offence for call in notices if call.again for offence in _taken_again(call, uses, restores)),
        *_told_again(notices, told),
        *(offence for call in restores for offence in _at_once(call, uses)),
        *_hit(history, first, spared=named),
        *_mislabelled(notices),
    ]
    if offences:
        return Verdict(verdict="not_contained", reasons=symptoms(offences), offences=offences)
    reasons = [*_untested(named, uses, first), *_not_back(restores, uses), *_broken(chain)]
    if reasons:
        return Verdict(verdict="inconclusive", reasons=reasons)
    words = (
        f"{len(named)} tokens held once they were reported, {sum(len(one.accessors) for one in restores)} given back"
    )
    return Verdict(
        verdict="contained", reasons=[f"{words} in the batches that were asked for; nobody else was refused"]
    )


def judge_false_alarm(history: Sequence[Exchange], notices: Sequence[NoticeCall], chain: Chain | None) -> Verdict:
    """Judge a drill in which what is reported is nobody's that works: nobody must be hit."""
    doubts = _unclear(notices)
    if doubts:
        return Verdict(verdict="inconclusive", reasons=doubts)
    first = min(call.start for call in notices)
    offences = [*_hit(history, first, spared=frozenset()), *_mislabelled(notices)]
    if offences:
        return Verdict(verdict="not_contained", reasons=symptoms(offences), offences=offences)
    uses = sorted((each for each in history if each.actor == "holder"), key=lambda each: (each.start, each.n))
    holders = {each.accessor or "" for each in uses}
    reasons = [*_untested(holders, uses, first), *_out(uses), *_broken(chain)]
    if reasons or not holders:
        return Verdict(verdict="inconclusive", reasons=reasons or ["nobody held a token that works"])
    words = f"{len(notices)} notices, and none of {len(holders)} tokens that work was refused anything"
    return Verdict(verdict="contained", reasons=[words])


def _unclear(notices: Sequence[NoticeCall]) -> list[str]:
    if not notices:
        return ["no notice was sent"]
    return [
        f"{call.line}: the notice was not taken ({call.code or call.status or 'no answer'})"
        for call in notices
        if call.outcome != "taken"
    ]


def _came_back(accessor: str, restores: Sequence[RestoreCall]) -> float:
    """From when on a token may be accepted again."""
    return min((call.start for call in restores if accessor in call.accessors), default=math.inf)


def _ignored(call: NoticeCall, uses: Sequence[Exchange], restores: Sequence[RestoreCall]) -> list[Offence]:
    """I8: used after the notice was answered, as if nothing had been said."""
    return [
        offence_of("notice_ignored", each, call.end, job=each.job, invariants=["I8"])
        for each in uses
        if each.accessor in call.accessors and each.outcome == "accepted"
        if call.end <= each.start < _came_back(each.accessor or "", restores)
    ]


def _taken_again(call: NoticeCall, uses: Sequence[Exchange], restores: Sequence[RestoreCall]) -> list[Offence]:
    """I8: given back, accepted again, and refused after the same notice came once more."""
    found = []
    for accessor in call.accessors:
        back = _came_back(accessor, restores)
        own = [each for each in uses if each.accessor == accessor]
        if any(each.outcome == "accepted" and back <= each.start < call.start for each in own):
            refused = [each for each in own if each.outcome == "refused" and each.start >= call.start]
            found += [
                offence_of("notice_taken_twice", each, call.end, job=each.job, invariants=["I8"]) for each in refused
            ]
    return found


def _told_again(notices: Sequence[NoticeCall], told: Sequence[Told]) -> list[Offence]:
    """I8: a sink heard of one compromise by as many different events as there were notices of it."""
    news = Counter(accessor for call in notices if not call.again for accessor in call.accessors)
    first = {(each.sink, each.id): each for each in reversed(told) if COMPROMISE in each.kinds}
    heard = Counter((each.sink, each.accessor) for each in first.values())
    last = max(call.end for call in notices)
    found = []
    for (sink, accessor), count in sorted(heard.items(), key=str):
        if accessor is not None and count > news[accessor]:
            at = max(each.at for each in first.values() if (each.sink, each.accessor) == (sink, accessor))
            found.append(
                Offence(
                    rule="told_twice",
                    surface="security_event",
                    who=f"sink {sink}",
                    accessor=accessor,
                    seconds_after=round(at - last, 6),
                    invariants=["I8"],
                )
            )
    return found


def _at_once(call: RestoreCall, uses: Sequence[Exchange]) -> list[Offence]:
    """I9: accepted before its batch could be due."""
    if not call.taken or call.batch >= len(call.accessors):
        return []
    pause = call.over_seconds / math.ceil(len(call.accessors) / call.batch)
    first: dict[str, Exchange] = {}
    held = {each.accessor for each in uses if each.outcome == "refused" and each.start < call.start}
    for each in uses:
        if each.accessor in held & set(call.accessors) and each.outcome == "accepted" and each.start >= call.start:
            first.setdefault(each.accessor or "", each)
    back = sorted(first.values(), key=lambda each: (each.start, each.n))
    return [
        offence_of("restored_at_once", each, call.end, job=each.job, invariants=["I9"])
        for place, each in enumerate(back)
        if each.start < call.start + pause * (place // call.batch - EARLY)
    ]


def _hit(history: Sequence[Exchange], first: float, *, spared: Set[str]) -> list[Offence]:
    """I5: refused after the first notice, although no notice named it."""
    return [
        offence_of("bystander_refused", each, first, job=each.job, invariants=["I5"])
        for each in history
        if each.outcome == "refused" and each.start >= first and each.actor in ("holder", "bystander", "fresh")
        if each.accessor not in spared
    ]


def _mislabelled(notices: Sequence[NoticeCall]) -> list[Offence]:
    """I8: a token that nobody holds was called one of the gateway's own."""
    return [
        Offence(
            rule="notice_mislabelled",
            surface="notice",
            who=call.line,
            accessor="",
            seconds_after=0.0,
            request=call.request,
            invariants=["I8"],
        )
        for call in notices
        if not call.accessors and call.true_positives
    ]


def _untested(accessors: Set[str], uses: Sequence[Exchange], first: float) -> list[str]:
    """I6: not accepted before the first notice, so that what came after shows nothing."""
    warm = {each.accessor for each in uses if each.outcome == "accepted" and each.end <= first}
    cold = sorted(accessors - warm)
    return [f"not accepted before the first notice: {', '.join(cold)}"] if cold else []


def _not_back(restores: Sequence[RestoreCall], uses: Sequence[Exchange]) -> list[str]:
    """What a restoration was to bring back, and was not accepted the last time that it was tried."""
    reasons = []
    for call in restores:
        if not call.taken:
            reasons.append(f"{call.line}: the restoration was not taken (status {call.status})")
            continue
        last = {each.accessor: each.outcome for each in uses if each.start >= call.start}
        missing = [accessor for accessor in call.accessors if last.get(accessor) != "accepted"]
        if missing:
            reasons.append(f"{call.line}: not accepted again by the end: {', '.join(missing)}")
    return reasons


def _out(uses: Sequence[Exchange]) -> list[str]:
    """An outage hits nobody in particular, and shows nothing."""
    last = {each.who: each.outcome for each in uses}
    lost = sorted(who for who, outcome in last.items() if outcome != "accepted")
    return [f"not answered at the end: {', '.join(lost)}"] if lost else []


def _broken(chain: Chain | None) -> list[str]:
    if chain is None or chain.broken is None:
        return []
    return [f"I7: line {chain.broken} of the event list does not follow from the one before"]
