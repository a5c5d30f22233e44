"""A simulated class beside a drill: opened over the control API, played, and judged by when it was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from drills.class_report import ClassReport, Cut, judge_class, write_class
from drills.errors import DrillError
from drills.look import one_line
from drills.scenario import Scenario
from drills.students import Students
from gateway.commands.control_client import ControlClient
from gateway.errors import OperatorError

MOST_REVOCATIONS = 1000


class Rehearsal:
    """One class of a demo. `students` is to be entered, started, and finished by `judge()`."""

    def __init__(
        self,
        control: ControlClient,
        url: str,
        number: int,
        scenario: Scenario,
        *,
        speed: float | None,
        seed: int | None,
    ) -> None:
        """Opens the class, as `leakdrill class open` does."""
        opened = control.post("/control/class", {"students": number})
        self._control = control
        self._accessors = {int(seat["seat"]): str(seat["accessor"]) for seat in opened["seats"]}
        self.code = str(opened["code"])
        self.students = Students(
            url,
            self.code,
            [(int(seat["seat"]), str(seat["name"])) for seat in opened["seats"]],
            scenario.population.traffic,
            speed=speed or scenario.clock.speed,
            seed=scenario.seed if seed is None else seed,
        )

    def judge(self) -> ClassReport:
        """Lets each student try once more, and compares what they were answered with when they were cut off.

        Raises OperatorError where the students did not come to an end.
        """
        try:
            played_at, seen = self.students.finish()
        except DrillError as exc:
            raise OperatorError(str(exc)) from exc
        revocations = self._control.get("/control/revocations", {"limit": MOST_REVOCATIONS})["data"]
        cuts = cuts_of(self._accessors, revocations)
        return judge_class(seen, cuts, played_at=played_at, seed=self.students.seed)


def cuts_of(accessors: dict[int, str], revocations: Sequence[dict[str, Any]]) -> dict[int, Cut]:
    """By seat, the revocation that took its token; `revocations` as the gateway lists them."""
    seats = {accessor: seat for seat, accessor in accessors.items()}
    return {
        seats[item["accessor"]]: Cut(
            revocation=one["id"], requested_at=one["requested_at"], acknowledged_at=one["acknowledged_at"]
        )
        for one in revocations
        for item in one["items"]
        if item["outcome"] == "revoked" and item["accessor"] in seats
    }


def tell_class(report: ClassReport, out: Path) -> None:
    """The summary, what is wrong, and where all of it lies."""
    click.echo(f"the class: {report.students} simulated students, seed {report.seed}")
    for name, figure in report.rows():
        click.echo(f"  {name:<22}  {figure}")
    for line in report.problems():
        click.echo(f"  {one_line(line)}", err=True)
    try:
        click.echo(write_class(report, out))
    except OSError as exc:
        raise OperatorError(f"the class's record could not be written into {out}: {exc.strerror}") from exc
