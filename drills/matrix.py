"""The surface matrix: what became of each surface on each replica, and how long after the acknowledgement."""

from collections.abc import Sequence
from dataclasses import dataclass

from drills.journal import Journal
from drills.oracle import SurfaceResult

EVERYWHERE = "all"


@dataclass(frozen=True)
class Matrix:
    """`heads` are the replicas, then a column for what none does in particular. A row is a surface and its cells."""

    heads: list[str]
    rows: list[tuple[str, list[str]]]


def matrix_of(journal: Journal) -> Matrix | None:
    """None where there is one gateway: the list of surfaces says the same then."""
    names = [one.name for one in journal.replicas]
    found = {(one.surface, one.replica): one for one in journal.verdict.surfaces}
    if len(names) < 2 or not found:
        return None
    surfaces = list(dict.fromkeys(one.surface for one in journal.verdict.surfaces))
    columns: list[str | None] = [*names, None]
    rows = [(surface, [in_a_cell(found.get((surface, name))) for name in columns]) for surface in surfaces]
    return Matrix([*names, EVERYWHERE], rows)


def in_a_cell(result: SurfaceResult | None) -> str:
    """A result in few words; empty where that surface is not asked of that replica."""
    if result is None:
        return ""
    if result.after == "alive":
        return f"alive: {lag_of(result)}"
    if not result.warm:
        return "untested"
    if result.after == "unknown":
        return "unknown"
    return "dead" if result.first_refused is None else f"dead, refused from {result.first_refused:+.2f} s"


def lag_of(result: SurfaceResult) -> str:
    """The revocation lag of a surface. Whatever was still accepted when it was tried last has no end."""
    if result.lag is None:
        return "unknown"
    return f"{result.lag:.3f} s" + (" or more" if result.still_accepted else "")


def places_of(surfaces: Sequence[str], results: Sequence[SurfaceResult]) -> list[tuple[str, SurfaceResult | None]]:
    """Each planned surface with each of its results; None where it was not judged."""
    found = [(one.place, one) for one in results]
    judged = {one.surface for one in results}
    return [*found, *((surface, None) for surface in surfaces if surface not in judged)]
