"""What can go wrong in a drill, apart from its verdict.

DrillError               the drill itself failed            exit code 4
├── ScenarioError        a bad scenario or facts file       exit code 2
├── JournalError         a bad journal file                 exit code 2
├── TargetRefused        wrong address or admin token       exit code 2
├── Unfit                the target cannot play the scenario exit code 2
├── TargetDown           nobody answers: nothing is known   exit code 3
├── TargetBusy           another drill has the target       exit code 3
├── LeaseLost            … has taken it since               exit code 3
└── NotSteady            a check before the drill failed    exit code 3
"""

from collections.abc import Sequence


class DrillError(Exception):
    """The drill could not do its work. `exit_code` is what a command ends with."""

    exit_code = 4


class ScenarioError(DrillError):
    """A scenario or facts file cannot be used. The message names file, line, key and what is allowed."""

    exit_code = 2


class JournalError(DrillError):
    """A journal cannot be read."""

    exit_code = 2


class TargetRefused(DrillError):
    """The target is not a gateway, or does not take the admin token."""

    exit_code = 2


class Unfit(DrillError):
    """The scenario asks for something that the target cannot do. The message names the line, and what to do."""

    exit_code = 2


class TargetDown(DrillError):
    """The target does not answer. A drill against it is inconclusive."""

    exit_code = 3


class TargetBusy(DrillError):
    """Another drill has the target. Nothing was changed; later it may be free."""

    exit_code = 3


class LeaseLost(DrillError):
    """The target is this drill's no more, so that nothing it saw since is its own doing."""

    exit_code = 3


class NotSteady(DrillError):
    """The gateway did not work before the drill began, so nothing that follows would mean anything."""

    exit_code = 3


class MisfitError(ValueError):
    """Parts of a document that do not fit together, each with its place: keys and numbers of items."""

    def __init__(self, problems: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = list(problems)
