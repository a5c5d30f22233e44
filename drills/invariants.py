"""What was broken, by which request, and in words: the invariants behind a verdict (see `oracle.py`)."""

from collections.abc import Iterator, Sequence, Set
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drills.history import Exchange
from drills.topology import DERIVED

Rule = Literal[
    "late_accept", "resurrection", "job_went_on", "bystander_refused",
    "notice_ignored", "notice_taken_twice", "notice_mislabelled", "told_twice", "restored_at_once",
    "not_announced", "refused_too_soon", "brown_out_missed", "served_after_end",
]  # fmt: skip


class Offence(BaseModel):
    """Something accepted that should not have been, or a bystander refused. `seconds_after` counts from the
    acknowledgement, or from what was announced or asked for; `invariants` are those that it breaks; `replica` is where,
    None where there is only one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Rule
    surface: str
    who: str
    accessor: str
    seconds_after: float
    request: int | None = None
    job: str | None = None
    replica: str | None = None
    invariants: list[str] = []


def offence_of(
    rule: Rule, each: Exchange, since: float, *, job: str | None = None, invariants: Sequence[str] = ()
) -> Offence:
    """A request as an offence; `since` is the moment from which its seconds count."""
    return Offence(
        rule=rule,
        surface=each.surface,
        who=each.who,
        accessor=each.accessor or "",
        seconds_after=round(each.start - since, 6),
        request=each.n,
        job=job,
        replica=each.replica,
        invariants=[*invariants],
    )


def refused_bystanders(
    history: Sequence[Exchange], acknowledged: float, spared: Set[str], watched: Set[str]
) -> list[Offence]:
    """I5: refusals of tokens that nobody meant to revoke, while somebody else outside is accepted.

    Where nobody is accepted any more it is an outage, or a pause of everybody, and shows nothing about one token.
    """
    after = [each for each in history if each.start >= acknowledged and each.actor in ("bystander", "fresh")]
    if not any(each.outcome == "accepted" and each.accessor not in watched for each in after):
        return []
    return [
        offence_of("bystander_refused", each, acknowledged)
        for each in after
        if each.outcome == "refused" and each.accessor in spared
    ]


def flapped(offences: Sequence[Offence], own: Sequence[Exchange], sent: float) -> list[Offence]:
    """The same offences, each with the invariants that it breaks.

    I2 is broken where the same token had been refused at the same surface of the same replica since the call was sent.
    """
    refused: dict[tuple[str | None, str, str | None], float] = {}
    for each in own:
        if each.outcome == "refused" and each.end >= sent:
            place = each.accessor, each.surface, each.replica
            refused[place] = min(each.end, refused.get(place, each.end))
    back = {
        each.n
        for each in own
        if each.outcome == "accepted"
        and refused.get((each.accessor, each.surface, each.replica), each.start + 1) <= each.start
    }
    return [
        offence.model_copy(
            update={"invariants": sorted({*_plain(offence), *(["I2"] if offence.request in back else [])})}
        )
        for offence in offences
    ]


def _plain(offence: Offence) -> Iterator[str]:
    if offence.rule == "bystander_refused":
        yield "I5"
    elif offence.rule == "resurrection":
        yield "I2"
    else:
        yield "I4" if offence.surface in DERIVED or offence.rule == "job_went_on" else "I1"


WORDS = {
    "I1": "requests accepted after the acknowledgement",
    "I2": "requests accepted after a refusal",
    "I4": "uses of what derives from the token accepted after the acknowledgement",
    "I5": "requests of bystanders refused",
    "I8": "signs that a notice was not taken, or not once",
    "I9": "tokens back before their batch was due",
    "I10": "answers that do not fit the announced end of the API",
}


def _sign(offence: Offence) -> str:
    """What of an offence stands in a reason: its surface, or how a rule that is not about one was broken."""
    plain = offence.rule in ("late_accept", "resurrection", "job_went_on", "bystander_refused")
    return offence.surface if plain else offence.rule.replace("_", " ")


def symptoms(offences: Sequence[Offence]) -> list[str]:
    """One line per invariant that was broken: how many, which surfaces, on which replicas, and until when."""
    lines = []
    for name in sorted({name for offence in offences for name in offence.invariants}, key=lambda one: int(one[1:])):
        mine = [offence for offence in offences if name in offence.invariants]
        by_who = name in ("I5", "I9")
        places = ", ".join(sorted({one.who if by_who else _sign(one) for one in mine}))
        replicas = ", ".join(sorted({one.replica for one in mine if one.replica}))
        where = f"{places} on {replicas}" if replicas else places
        last = max(one.seconds_after for one in mine)
        lines.append(f"{name}: {len(mine)} {WORDS[name]}: {where}; the last {last:+.2f} s from it")
    return lines
