"""docs/reference/mistakes.md: the consistency profiles and the seeded defects."""

from __future__ import annotations

from gateway.faults.consistency import available
from gateway.faults.defects import DEFECTS
from scripts.reference.markdown import table


def page() -> str:
    late = [
        (f"`{one.name}`", "" if one.seconds is None else f"{one.seconds:g} s", one.description, one.source)
        for one in available().values()
    ]
    wrong = [(f"`{defect}`", what.does, what.symptom, what.needs, what.reference) for defect, what in DEFECTS.items()]
    return f"""# Mistakes on purpose

What a gateway can be told to do wrong. How to tell it is in [consistency.md](../consistency.md); what a drill finds of
it, in [drills.md](../drills.md#what-a-drill-finds).

## Consistency profiles

*d* is the bound of the lag, where there is one.

{table(("Profile", "d", "A revocation arrives", "Modelled on"), late)}

## Seeded defects

{table(("Defect", "What it does", "What a client sees", "Needs", "Seen in"), wrong)}
"""
