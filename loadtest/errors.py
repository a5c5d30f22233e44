"""What can go wrong in a load test, apart from its verdict.

LoadError              the load test itself failed              exit code 4
├── OrderError         a bad option or file                     exit code 2
├── TargetRefused      wrong address, admin token or token      exit code 2
└── TargetAway         nobody answers, or nothing was measured  exit code 3
"""


class LoadError(Exception):
    """The load test could not do its work. `exit_code` is what a command ends with."""

    exit_code = 4


class OrderError(LoadError):
    """An option or a shape's file cannot be used. The message names it and says what is allowed."""

    exit_code = 2


class TargetRefused(LoadError):
    """The target is no gateway, or does not take the admin token or the token."""

    exit_code = 2


class TargetAway(LoadError):
    """The target does not answer."""

    exit_code = 3
