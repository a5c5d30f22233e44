"""A short run on each store; `make chaos` is the long one."""

from pathlib import Path

from chaos import faults
from chaos.faults import Fault
from chaos.run import Outcome, drill
from postgres import LASTING, own_server

KILLS, SEED = 8, 7


def proved(outcome: Outcome) -> None:
    told = "\n".join(f"{what}: {value}" for what, value in outcome.table())
    assert outcome.violations == [], told
    assert sum(number for kind, number in outcome.done.items() if kind != "pause") == KILLS, told
    assert outcome.waits or outcome.alone, f"no job lost its worker, so nothing was shown\n{told}"
    assert len(outcome.history.accepted()) > 10, told


def test_nothing_is_lost_or_doubled_on_sqlite(tmp_path: Path) -> None:
    proved(drill(tmp_path / "data", seed=SEED, kills=KILLS))


def test_nothing_is_lost_or_doubled_on_postgresql(tmp_path: Path, postgres_programs: Path) -> None:
    with own_server(postgres_programs, LASTING) as server:
        outcome = drill(tmp_path / "data", seed=SEED, kills=KILLS, server=server)
    proved(outcome)
    assert outcome.done["database"] + outcome.done["server"] > 0


def test_the_same_seed_is_the_same_schedule() -> None:
    def made(seed: int, kills: int = 100) -> list[Fault]:
        return faults.schedule(seed, kills, workers=3, lease=5.0, weights=faults.ON_POSTGRESQL)

    assert made(7) == made(7)
    assert made(7) != made(8)
    assert sum(fault.kills for fault in made(7)) == 100
    assert {fault.kind for fault in made(7)} == set(faults.WORDS)
    assert made(7, 20) == made(7)[: len(made(7, 20))]
    pauses = [fault.seconds for fault in made(7) if fault.kind == "pause"]
    assert min(pauses) > 5.0
