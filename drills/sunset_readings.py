"""What a report shows of the end of an API: what clients were told, which of them noticed, and who called on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from drills.history import Exchange
from drills.journal import Journal
from drills.proofs import Proof, proof
from drills.sunset import ENDED, ClientSeen, SunsetSeen

# More rows than this are left to the journal, which has all of them.
MOST_ROWS = 200
HEEDS = {"headers": "the headers", "brown_outs": "a brown-out", "end": "the end", "nothing": "nothing"}


@dataclass(frozen=True)
class StageRow:
    """A stretch of time. `answers` are its calls by status, None for no answer."""

    number: int
    name: str
    start: float
    end: float
    calls: list[Exchange]
    headed: int

    @property
    def proof(self) -> str:
        return f"stage-{self.number}"

    @property
    def answers(self) -> str:
        """How often each status was answered."""
        found = Counter(each.status for each in self.calls)
        ordered = sorted(found.items(), key=lambda item: item[0] or 0)
        return ", ".join(f"{'no answer' if status is None else status}: {count}" for status, count in ordered) or "none"


@dataclass(frozen=True)
class ClientRow:
    """A client with its calls: those that bore both headers, those that a brown-out refused, those between the first
    of these and the end, and those after the end."""

    number: int
    seen: ClientSeen
    calls: list[Exchange]
    headed: list[Exchange]
    browned: list[Exchange]
    on_after: list[Exchange]
    ended: list[Exchange]

    @property
    def proof(self) -> str:
        return f"client-{self.number}"

    @property
    def heeds(self) -> str:
        return HEEDS.get(self.seen.heeds, self.seen.heeds)

    @property
    def headers(self) -> str:
        """The names of the headers that it was sent."""
        return ", ".join(header.name for header in self.seen.headers) or "none"

    @property
    def calls_on(self) -> bool:
        """Whether it was told that the API has ended, and calls all the same."""
        return self.seen.after_end > 0


@dataclass(frozen=True)
class HeaderRow:
    """A header as it was sent: its value, by how many clients it was seen, and in how many answers."""

    name: str
    value: str
    clients: int
    answers: int


def stage_rows(journal: Journal) -> list[StageRow]:
    """The stages in order of time, those between brown-outs included; none where the end was never announced."""
    seen = journal.sunset
    if seen is None:
        return []
    edges = [("before the announcement", 0.0, seen.announced)]
    at = seen.announced
    for number, one in enumerate(seen.brown_outs, 1):
        edges += [("announced", at, one.start), (f"brown-out {number} ({one.status})", one.start, one.end)]
        at = one.end
    edges += [("announced", at, seen.ends), ("after the end", seen.ends, max(journal.ended, seen.ends))]
    headed, calls = set(seen.headed), _calls(journal)
    rows = []
    for number, (name, start, end) in enumerate(edges, 1):
        last = number == len(edges)
        mine = [each for each in calls if start <= each.start and (each.start < end or last)]
        rows.append(StageRow(number, name, start, end, mine, sum(each.n in headed for each in mine)))
    return rows


def client_rows(journal: Journal) -> list[ClientRow]:
    """The clients, those that called on the longest first."""
    seen = journal.sunset
    if seen is None:
        return []
    by_token: dict[str | None, list[Exchange]] = {}
    for each in _calls(journal):
        by_token.setdefault(each.accessor, []).append(each)
    headed = set(seen.headed)
    rows = [
        _client_row(number, one, by_token.get(one.accessor, []), seen, headed)
        for number, one in enumerate(seen.clients, 1)
    ]
    return sorted(rows, key=lambda row: (-len(row.ended), -len(row.on_after), row.number))


def _client_row(
    number: int, one: ClientSeen, calls: Sequence[Exchange], seen: SunsetSeen, headed: set[int]
) -> ClientRow:
    before = [each for each in calls if each.start < seen.ends]
    browned = [each for each in before if each.status in (503, ENDED)]
    since = browned[0].end if browned else None
    return ClientRow(
        number,
        one,
        [*calls],
        [each for each in calls if each.n in headed],
        browned,
        [each for each in before if since is not None and each.start >= since],
        [each for each in calls if each.start >= seen.ends],
    )


def header_rows(journal: Journal) -> list[HeaderRow]:
    """Every header that says that the API ends, with each value that was sent."""
    found: dict[tuple[str, str], list[int]] = {}
    for client in journal.sunset.clients if journal.sunset else []:
        for header in client.headers:
            found.setdefault((header.name, header.value), []).append(header.answers)
    return [HeaderRow(name, value, len(counts), sum(counts)) for (name, value), counts in sorted(found.items())]


def _calls(journal: Journal) -> list[Exchange]:
    found = [each for each in journal.exchanges if each.actor == "client"]
    return sorted(found, key=lambda each: (each.start, each.n))


def sunset_proofs(journal: Journal) -> list[Proof]:
    """The evidence of these figures, in the order of the report."""
    found = []
    for stage in stage_rows(journal):
        words = f"seconds {stage.start:.3f} to {stage.end:.3f}; {stage.headed} answers bore both headers"
        found.append(proof(stage.proof, f"Calls {_when(stage.name)}", stage.calls, words))
    for row in client_rows(journal)[:MOST_ROWS]:
        who = row.seen.principal
        found += [
            proof(f"{row.proof}-calls", f"Calls of {who}", row.calls, f"token {row.seen.accessor}"),
            proof(f"{row.proof}-headers", f"Headers that {who} was sent", row.headed, "answers with both headers"),
            proof(f"{row.proof}-brown-outs", f"Refused to {who} before the end", row.browned),
            proof(f"{row.proof}-on", f"Calls of {who} after its first brown-out, before the end", row.on_after),
            proof(f"{row.proof}-ended", f"Calls of {who} after the end", row.ended),
        ]
    return found


def _when(stage: str) -> str:
    return f"in {stage}" if stage.startswith("brown-out") else f"while {stage}" if stage == "announced" else stage


def sunset_moments(journal: Journal) -> list[tuple[float, str, str, str]]:
    """Second, kind, id and words of what each client saw first, and of when it stopped."""
    found = []
    for row in client_rows(journal):
        for second, words in (
            (row.seen.first_headers, "first sees the headers"),
            (row.seen.first_refusal, "is refused for the first time"),
            (row.seen.stopped, f"stops calling: it heeds {row.heeds}"),
        ):
            if second is not None:
                found.append((second, "client", row.seen.principal, words))
        if row.calls_on:
            words = f"calls on: {len(row.ended)} calls after the end"
            found.append((row.ended[-1].start, "client", row.seen.principal, words))
    return found
