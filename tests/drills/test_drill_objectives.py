"""How objectives come out: what was measured, held to their thresholds."""

from pathlib import Path
from typing import Any

import pytest

from drills.journal import Journal
from drills.metrics import measure
from drills.readings import ObjectiveReading, objective_readings
from drills.scenario import Objective
from drills.sunset import ClientSeen, SunsetSeen

GOLDEN = Path(__file__).parent / "golden" / "journal.json"


def read(measured_by: str, at_most: float | None = None, **changed: Any) -> ObjectiveReading:
    """The golden drill's only objective, with parts of its journal changed."""
    values = {"id": "o1", "text": "t", "capability": "c", "measured_by": measured_by, "at_most": at_most}
    objective = Objective.model_validate(values)
    journal = Journal.model_validate_json(GOLDEN.read_text(encoding="utf-8"))
    scenario = journal.scenario.model_copy(update={"objectives": [objective]})
    journal = journal.model_copy(update={"scenario": scenario, **changed})
    (reading,) = objective_readings(journal, measure(journal))
    return reading


def golden() -> Journal:
    return Journal.model_validate_json(GOLDEN.read_text(encoding="utf-8"))


def surfaces(**changed: Any) -> dict[str, Any]:
    """The golden verdict with all surfaces dead at once, but the first as it is `changed`."""
    verdict = golden().verdict
    dead = {"after": "dead", "lag": 0.0, "first_refused": 0.1}
    first, *others = [each.model_copy(update=dead) for each in verdict.surfaces]
    return {"verdict": verdict.model_copy(update={"surfaces": [first.model_copy(update=changed), *others]})}


def test_a_lag_is_held_to_its_threshold() -> None:
    slow = surfaces(lag=1.5)
    assert read("lag", **slow).reading == "met"
    assert read("lag", 2, **slow).reading == "met"
    found = read("lag", 1, **slow)
    assert found.reading == "missed"
    assert "1.500 s" in found.why
    assert "1 at most" in found.why


def test_a_lag_whose_end_nobody_saw_is_undecided_unless_it_is_too_long_already() -> None:
    open_yet = surfaces(lag=1.5, after="unknown")
    assert read("lag", 2, **open_yet).reading == "undecided"
    assert read("lag", 1, **open_yet).reading == "missed"


def test_from_a_notice_to_the_last_surface_that_refuses() -> None:
    call = golden().revoke
    assert call is not None
    notice = {"revoke": call.model_copy(update={"start": 10.0, "end": 10.5})}
    late = {**notice, **surfaces(first_refused=3.0)}
    assert read("notice_to_dead", 3.6, **late).reading == "met"
    assert read("notice_to_dead", 3.4, **late).reading == "missed"
    unseen = {**notice, **surfaces(first_refused=3.0, after="unknown")}
    assert read("notice_to_dead", 3.6, **unseen).reading == "undecided"
    assert read("notice_to_dead", 3.6, revoke=None).reading == "undecided"


@pytest.mark.parametrize(("at_most", "reading"), [(None, "met"), (1, "met"), (0, "missed")])
def test_clients_that_call_on_are_counted(at_most: float | None, reading: str) -> None:
    clients = [
        ClientSeen(accessor=f"tok_{calls}", principal="p", heeds="nothing", calls=9, after_end=calls)
        for calls in (0, 3)
    ]
    found = read("clients", at_most, sunset=SunsetSeen(announced=1.0, ends=9.0, clients=clients))
    assert (found.reading, found.why.split(" clients")[0]) == (reading, "1 of 2")


def test_without_an_end_nobody_called_on() -> None:
    assert read("clients", 0).reading == "undecided"


@pytest.mark.parametrize("measured_by", ["bystanders", "exposure_window"])
def test_the_older_figures_have_thresholds_too(measured_by: str) -> None:
    assert read(measured_by).reading == "met"
    assert read(measured_by, 1e6).reading == "met"


def test_an_exposure_beyond_its_threshold_is_missed() -> None:
    assert read("exposure_window", 0.001).reading == "missed"
