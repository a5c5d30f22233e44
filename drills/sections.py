"""What a report has beyond a leak's figures: where its plot comes from, notices, restorations, the end of an API."""

from typing import Any

from drills.alarm_readings import MOST_ROWS, alarm_moments, alarm_proofs, notice_rows, restore_rows, told_rows
from drills.journal import Journal
from drills.junit import Case
from drills.proofs import Proof, proofs_of, traffic_proofs
from drills.readings import TimelineRow, own_row
from drills.sunset_readings import client_rows, header_rows, stage_rows, sunset_moments, sunset_proofs

NOT_REAL = "No real access, token or person."


def basis_of(journal: Journal) -> str:
    """Where the plot comes from, for a report's first line."""
    if journal.scenario.scenario.basis == "press_reports":
        return f"A replay against a mock; a reconstruction from press reports. {NOT_REAL}"
    if journal.facts.told:
        known = "but for the facts that name a source at the end of this report"
        return f"An exercise against a mock, invented {known}. {NOT_REAL}"
    return f"An exercise against a mock; everything in it is invented. {NOT_REAL}"


def evidence_of(journal: Journal) -> list[Proof]:
    """The evidence of every figure that a report of this plot shows."""
    leak = journal.scenario.scenario.plot == "leak"
    own = proofs_of(journal) if leak else traffic_proofs(journal)
    return [*own, *alarm_proofs(journal), *sunset_proofs(journal)]


def sections_of(journal: Journal) -> dict[str, Any]:
    """What the templates see of these sections."""
    told, clients = told_rows(journal), client_rows(journal)
    return {
        "plot": journal.scenario.scenario.plot,
        "basis": basis_of(journal),
        "notices": notice_rows(journal),
        "told": told[:MOST_ROWS],
        "told_in_all": len(told),
        "restores": restore_rows(journal),
        "most_rows": MOST_ROWS,
        "stages": stage_rows(journal),
        "clients": clients[:MOST_ROWS],
        "clients_in_all": len(clients),
        "headers": header_rows(journal),
    }


def requests_named(journal: Journal) -> list[int]:
    """Requests that these sections name one by one."""
    backs = [row for one in restore_rows(journal) for row in one.backs[:MOST_ROWS]]
    return [row.shown_by.n for row in backs if row.shown_by is not None]


def moment_rows(journal: Journal) -> list[TimelineRow]:
    """Who was told, held and back, and what each client saw first, as lines of the timeline."""
    moments = [*alarm_moments(journal), *sunset_moments(journal)]
    return [own_row(journal, round(second, 6), kind, id, words) for second, kind, id, words in moments]


def section_cases(journal: Journal) -> list[Case]:
    """For a build server: whether each notice was taken, and whether each restoration brought everybody back."""
    cases = []
    for row in notice_rows(journal):
        words = f"{row.call.named} tokens named, {row.call.outcome}, status {row.call.status}"
        state = "passed" if row.call.outcome == "taken" else "error"
        cases.append(Case("notices", f"{row.number}-{row.call.line}", state, words))
    for one in restore_rows(journal):
        words = f"{one.back} of {len(one.backs)} tokens back, status {one.call.status}"
        whole = one.call.taken and one.back == len(one.backs)
        cases.append(Case("restorations", f"{one.number}-{one.call.line}", "passed" if whole else "error", words))
    return cases
