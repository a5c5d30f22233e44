"""What each figure of a report rests on: the requests behind it, by their number in the journal."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from drills.history import Exchange
from drills.journal import Journal
from drills.metrics import acknowledged, published_at
from drills.oracle import HEARD, SurfaceResult

# Of many requests, so many of the first and so many of the last are listed.
EITHER_END = 5


@dataclass(frozen=True)
class Proof:
    """The evidence of one figure. `requests` are numbers, of which there are `of` in all; `note` says what else."""

    id: str
    title: str
    requests: tuple[int, ...]
    of: int
    note: str = ""

    @property
    def anchor(self) -> str:
        return f"ev-{self.id}"

    @property
    def left_out(self) -> int:
        """How many are in the journal only."""
        return self.of - len(self.requests)


def proof(id: str, title: str, found: Iterable[Exchange], note: str = "") -> Proof:
    """The evidence that those requests are."""
    numbers = sorted({each.n for each in found})
    shown = numbers if len(numbers) <= 2 * EITHER_END else [*numbers[:EITHER_END], *numbers[-EITHER_END:]]
    return Proof(id, title, tuple(shown), len(numbers), note)


def named_requests(
    journal_exchanges: Sequence[Exchange], proofs: Sequence[Proof], more: Iterable[int]
) -> list[Exchange]:
    """Every request that a report names, once, in order of number."""
    wanted = {number for each in proofs for number in each.requests} | set(more)
    return sorted((each for each in journal_exchanges if each.n in wanted), key=lambda each: each.n)


def surface_id(result: SurfaceResult) -> str:
    """The name of a surface's evidence."""
    return f"surface-{result.place.replace('@', '-at-')}"


def proofs_of(journal: Journal) -> list[Proof]:
    """The evidence of every figure of the report of a leak, in the order of the report."""
    return [*_spans(journal), *_tallies(journal), *_reach(journal), *_surfaces(journal)]


def _uses(journal: Journal) -> list[Exchange]:
    leaked = {token.accessor for token in journal.tokens if token.leaked}
    return [each for each in journal.exchanges if each.accessor in leaked]


def _revoke_request(journal: Journal) -> list[Exchange]:
    call = journal.revoke
    if call is None:
        return []
    return [
        each for each in journal.exchanges if each.who == "revoke" and (each.start, each.end) == (call.start, call.end)
    ]


def _spans(journal: Journal) -> list[Proof]:
    uses, ack, call = _uses(journal), acknowledged(journal), _revoke_request(journal)
    accepted = [each for each in uses if each.outcome == "accepted"]
    refused = [each for each in uses if ack is not None and each.outcome == "refused" and each.start >= ack]
    last = [max(accepted, key=lambda each: each.start)] if accepted else []
    first = [min(refused, key=lambda each: each.start)] if refused else []
    opened, answered = _at("page opened", published_at(journal)), _at("acknowledged", ack)
    late = [each for each in accepted if ack is not None and each.start >= ack]
    slowest = [max(late, key=lambda each: each.start)] if late else []
    dead = [each for one in journal.verdict.surfaces for each in _first_refusal(journal, one)]
    empty = [one for one in journal.samples if ack is not None and one.at >= ack and one.waiting + one.running == 0]
    seen = f"/status at second {empty[0].at:.3f}: nothing waits or runs" if empty else "/status never said so"
    return [
        proof("exposure", "Published to last accepted use", last, opened),
        proof("acknowledged", "Published to revocation acknowledged", call, f"{opened}; {answered}"),
        proof("surfaces-dead", "Published to every surface refusing", dead, opened),
        proof("call", "Revoke call sent to acknowledged", call, answered),
        proof("last-accepted", "Last accepted use", last, answered),
        proof("first-refused", "First refused use after the acknowledgement", first, answered),
        proof("lag", "Greatest lag", slowest, "" if slowest else f"no use was accepted after it; {answered}"),
        proof("queue-empty", "Queue seen empty", [], seen),
    ]


TALLIES: tuple[tuple[str, str, Callable[[Exchange], bool]], ...] = (
    ("requests", "All", lambda each: True),
    ("accepted", "Accepted", lambda each: each.outcome == "accepted"),
    ("refused", "Refused", lambda each: each.outcome == "refused"),
    ("limited", "Limited (429)", lambda each: each.outcome == "limited"),
    ("other", "Unclear or unanswered", lambda each: each.outcome in ("unclear", "fault")),
    ("submits_accepted", "Submits accepted", lambda each: (each.surface, each.outcome) == ("submit", "accepted")),
    ("submits_refused", "Submits refused", lambda each: (each.surface, each.outcome) == ("submit", "refused")),
)


def _tallies(journal: Journal) -> list[Proof]:
    uses, ack = _uses(journal), acknowledged(journal)
    if ack is None:
        return []
    sides = {
        "before": [each for each in uses if each.start < ack],
        "after": [each for each in uses if each.start >= ack],
    }
    return [
        proof(f"{side}-{name}", f"Requests with leaked tokens {side} it: {title}", filter(wanted, found))
        for name, title, wanted in TALLIES
        for side, found in sides.items()
    ]


def _reach(journal: Journal) -> list[Proof]:
    uses, ack, call = _uses(journal), acknowledged(journal), _revoke_request(journal)
    first_uses: dict[str | None, Exchange] = {}
    for each in uses:
        if each.outcome == "accepted":
            first_uses.setdefault(each.accessor, each)
    fetched = [each for each in uses if each.outcome == "accepted" and each.bytes is not None]
    beside = [each for each in journal.exchanges if each.actor == "bystander"]
    before = [each for each in beside if each.outcome == "accepted" and (ack is None or each.end <= ack)]
    after = [each for each in beside if ack is not None and each.start >= ack]
    peak, visitors = traffic_proofs(journal)
    id = f"its answer: revocation {journal.revoke.id}" if journal.revoke and journal.revoke.id else "no answer"
    jobs = f"{len(journal.jobs)} jobs of revoked tokens in the event list" if journal.jobs is not None else "not read"
    return [
        proof("leaked-used", "Leaked tokens issued, used", first_uses.values(), "the first accepted use of each"),
        proof("revoked", "Tokens revoked by the call", call, id),
        proof("jobs-queued", "Jobs stopped while queued", call, f"{id}; {jobs}"),
        proof("jobs-running", "Jobs stopped while running", call, f"{id}; {jobs}"),
        proof("fetched", "Clips fetched with leaked tokens", fetched),
        peak,
        visitors,
        proof("bystanders-before", "Bystanders accepted before", before, f"{_held(journal)} bystander tokens held"),
        proof("bystanders-after", "Bystanders tried after", after, f"of these {_refused(after)} were refused; {id}"),
    ]


def traffic_proofs(journal: Journal) -> list[Proof]:
    """The evidence of the longest waiting line and of the visitors."""
    peak = max(journal.samples, key=lambda one: one.waiting, default=None)
    visits = [each for each in journal.exchanges if each.actor == "visitor" and each.surface == "submit"]
    return [
        proof("queue-peak", "Longest waiting line", [], f"/status {_at('asked', peak.at if peak else None)}"),
        proof("visitors", "Visitors", visits, "their submits; the drill counted how each visit went"),
    ]


def _surfaces(journal: Journal) -> list[Proof]:
    found = []
    for one in journal.verdict.surfaces:
        note = "by the gateway's event list" if one.surface in ("queued_job", "running_job") else ""
        mine = [] if note else [*turning_points(_of_surface(_uses_of(journal), one), journal)]
        found.append(proof(surface_id(one), f"Surface {one.place}", mine, note))
    return found


def turning_points(mine: Sequence[Exchange], journal: Journal) -> list[Exchange]:
    """The last accepted use before the revocation; the first refused and the last accepted one after it."""
    call = journal.revoke
    if call is None:
        return []
    return edges(mine, call.start, call.end)


def edges(mine: Sequence[Exchange], sent: float, acknowledged_at: float) -> list[Exchange]:
    """Of one surface's requests: the last accepted before, the first refused after, the last accepted after, and the
    first that was answered neither way."""
    before = [each for each in mine if each.outcome == "accepted" and each.end <= sent]
    after = [each for each in mine if each.start >= acknowledged_at]
    refused = [each for each in after if each.outcome == "refused"]
    accepted = [each for each in after if each.outcome == "accepted"]
    unclear = [each for each in after if each.outcome not in ("accepted", "refused")]
    return [
        *sorted(before, key=lambda each: each.start)[-1:],
        *sorted(refused, key=lambda each: each.start)[:1],
        *sorted(accepted, key=lambda each: each.start)[-1:],
        *sorted(unclear, key=lambda each: each.start)[:1],
    ]


def _uses_of(journal: Journal) -> list[Exchange]:
    """Uses of everything that must be dead, what was minted included."""
    named = set(journal.revoke.accessors) if journal.revoke else set()
    beside = {token.accessor for token in journal.tokens if not token.leaked}
    leaked = {token.accessor for token in journal.tokens if token.leaked}
    return [
        each
        for each in journal.exchanges
        if each.accessor in leaked or (each.actor == "probe") or each.accessor in named - beside
    ]


def _of_surface(uses: Sequence[Exchange], one: SurfaceResult) -> list[Exchange]:
    anywhere = one.replica is None or one.surface in HEARD
    return [each for each in uses if each.surface == one.surface and (anywhere or each.replica == one.replica)]


def _first_refusal(journal: Journal, one: SurfaceResult) -> list[Exchange]:
    ack = acknowledged(journal)
    if ack is None or one.first_refused is None:
        return []
    mine = [
        each
        for each in _of_surface(_uses_of(journal), one)
        if each.outcome == "refused" and round(each.start - ack, 6) == one.first_refused
    ]
    return mine[:1]


def _at(words: str, second: float | None) -> str:
    return f"{words}: unknown" if second is None else f"{words} at second {second:.3f}"


def _held(journal: Journal) -> int:
    return sum(not token.leaked for token in journal.tokens)


def _refused(found: Sequence[Exchange]) -> int:
    return sum(each.outcome == "refused" for each in found)
