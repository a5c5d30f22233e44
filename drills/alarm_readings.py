"""What a report shows of notices and restorations: who was told of what, when; who was held, and who came back when."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drills.deeds import RestoreCall
from drills.history import Exchange
from drills.journal import Journal
from drills.notices import NoticeCall
from drills.proofs import Proof, proof
from drills.sinks import Told

# More rows than this are left to the journal, which has all of them.
MOST_ROWS = 200
ABOUT = {"unknown": "a token that nobody holds", "example": "one whose checksum is wrong"}


@dataclass(frozen=True)
class NoticeRow:
    """A notice, seconds of the drill. `answered` is how long its answer took; `held` how many of the tokens that it
    names were refused from then on, and `last_held` how long after the answer the last of them was."""

    call: NoticeCall
    number: int
    about: str
    held: int
    last_held: float | None

    @property
    def proof(self) -> str:
        return f"notice-{self.number}"

    @property
    def answered(self) -> float:
        return round(self.call.end - self.call.start, 6)

    @property
    def own(self) -> str:
        """How many of them the gateway called its own."""
        return "it does not say" if self.call.true_positives is None else f"{self.call.true_positives}"


@dataclass(frozen=True)
class ToldRow:
    """A security event that a sink was sent: when first, how often, and when it was acknowledged. `about` is the holder
    of the token."""

    first: Told
    about: str
    attempts: int
    acknowledged: float | None

    @property
    def proof(self) -> str:
        return f"sink-{self.first.sink}"


@dataclass(frozen=True)
class BackRow:
    """A token that was to come back. Seconds from when it was asked for: `due` is when its place in the line of those
    that came back was due, `back` when it was first accepted; None where that was not seen."""

    accessor: str
    principal: str
    held_since: float | None
    back: float | None
    batch: int | None
    due: float | None
    shown_by: Exchange | None


@dataclass(frozen=True)
class RestoreRow:
    """A restoration with those whom it was to bring back, in the order in which they came."""

    call: RestoreCall
    number: int
    backs: list[BackRow]

    @property
    def proof(self) -> str:
        return f"restore-{self.number}"

    @property
    def back(self) -> int:
        return sum(one.back is not None for one in self.backs)

    @property
    def last(self) -> float | None:
        return max((one.back for one in self.backs if one.back is not None), default=None)


def notice_rows(journal: Journal) -> list[NoticeRow]:
    """The notices in the order in which they were sent."""
    return [_notice_row(journal, number, call) for number, call in enumerate(journal.notices, 1)]


def _notice_row(journal: Journal, number: int, call: NoticeCall) -> NoticeRow:
    refused = list(first_by_token(journal, call.accessors, "refused", call.start).values())
    last = max((each.start for each in refused), default=None)
    about = ABOUT.get(call.about, call.about)
    return NoticeRow(call, number, about, len(refused), None if last is None else round(last - call.end, 6))


def first_by_token(journal: Journal, accessors: Sequence[str], outcome: str, since: float) -> dict[str, Exchange]:
    """For each of these tokens the first use that began since then and came out so.

    Where tokens are held and given back, only their holders' uses count: they ask for what a held token is refused.
    """
    wanted, found = set(accessors), dict[str, Exchange]()
    anybody = journal.scenario.scenario.plot == "leak"
    uses = [each for each in journal.exchanges if anybody or each.actor == "holder"]
    for each in sorted(uses, key=lambda each: (each.start, each.n)):
        if each.accessor in wanted and each.outcome == outcome and each.start >= since:
            found.setdefault(each.accessor or "", each)
    return found


def told_rows(journal: Journal) -> list[ToldRow]:
    """What sinks were sent, each event once, in order of arrival."""
    by_event: dict[tuple[int, str], list[Told]] = {}
    for each in sorted(journal.told, key=lambda each: (each.at, each.sink)):
        by_event.setdefault((each.sink, each.id), []).append(each)
    rows = []
    for attempts in by_event.values():
        taken = [each.acknowledged for each in attempts if each.acknowledged is not None]
        about = principal_of(journal, attempts[0].accessor)
        rows.append(ToldRow(attempts[0], about, len(attempts), min(taken, default=None)))
    return rows


def principal_of(journal: Journal, accessor: str | None) -> str:
    """Who holds a token; its accessor where the drill did not issue it."""
    return next((token.principal for token in journal.tokens if token.accessor == accessor), accessor or "nobody")


def restore_rows(journal: Journal) -> list[RestoreRow]:
    """The restorations in the order in which they were asked for."""
    return [RestoreRow(call, number, _backs(journal, call)) for number, call in enumerate(journal.restores, 1)]


def _backs(journal: Journal, call: RestoreCall) -> list[BackRow]:
    held = first_by_token(journal, call.accessors, "refused", 0.0)
    held = {accessor: each for accessor, each in held.items() if each.start < call.start}
    first = first_by_token(journal, call.accessors, "accepted", call.start)
    back = sorted((each for each in first.values() if each.accessor in held), key=lambda each: (each.start, each.n))
    pause = call.over_seconds / max(1, math.ceil(len(call.accessors) / call.batch))
    rows = []
    for place, each in enumerate(back):
        batch = place // call.batch
        seconds, due = round(each.start - call.start, 6), round(pause * batch, 6)
        accessor = each.accessor or ""
        who = principal_of(journal, accessor)
        rows.append(BackRow(accessor, who, held[accessor].start, seconds, batch + 1, due, each))
    for accessor in call.accessors:
        if accessor not in {row.accessor for row in rows}:
            since = held[accessor].start if accessor in held else None
            rows.append(BackRow(accessor, principal_of(journal, accessor), since, None, None, None, None))
    return rows


def alarm_proofs(journal: Journal) -> list[Proof]:
    """The evidence of these figures, in the order of the report."""
    found = []
    for row in notice_rows(journal):
        sent = [each for each in journal.exchanges if each.n == row.call.request]
        held = first_by_token(journal, row.call.accessors, "refused", row.call.start)
        again = "; the notice before, to the letter" if row.call.again else ""
        found.append(proof(row.proof, f"Notice {row.call.line}", sent, f"{row.call.named} tokens named{again}"))
        words = f"the first refused use of each; answered at second {row.call.end:.3f}"
        found.append(proof(f"{row.proof}-held", f"Held from notice {row.call.line} on", held.values(), words))
    told = told_rows(journal)
    for sink in sorted({row.first.sink for row in told}):
        mine = [row for row in told if row.first.sink == sink]
        tries = sum(row.attempts for row in mine)
        words = f"{len(mine)} events in {tries} deliveries, which the gateway made; the journal has each with its id"
        found.append(proof(f"sink-{sink}", f"Told to sink {sink}", [], words))
    for one in restore_rows(journal):
        asked = [each for each in journal.exchanges if each.who == "restore" and each.start == one.call.start]
        found.append(proof(one.proof, f"Restoration {one.call.line}", asked, f"status {one.call.status}"))
        backs = [row.shown_by for row in one.backs if row.shown_by is not None]
        words = "the first accepted use of each after it was asked for"
        found.append(proof(f"{one.proof}-back", f"Back by restoration {one.call.line}", backs, words))
    return found


def alarm_moments(journal: Journal) -> list[tuple[float, str, str, str]]:
    """Second, kind, id and words of what was told and of who came back."""
    found = [
        (row.first.at, "told", f"sink {row.first.sink}", f"{', '.join(row.first.kinds)}: {row.about}")
        for row in told_rows(journal)
    ]
    for row in notice_rows(journal):
        held = first_by_token(journal, row.call.accessors, "refused", row.call.start) if not row.call.again else {}
        found += [
            (each.start, "held", accessor, f"first refused use: {each.who}, by notice {row.call.line}")
            for accessor, each in held.items()
        ]
    for one in restore_rows(journal):
        found += [
            (one.call.start + row.back, "back", row.accessor, f"accepted again: {row.principal}, batch {row.batch}")
            for row in one.backs
            if row.back is not None
        ]
    return found
