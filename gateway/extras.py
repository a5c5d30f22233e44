"""What leakdrill can do only with packages that a plain installation leaves out, and the command that installs them."""

from __future__ import annotations

from importlib.util import find_spec

from gateway.errors import OperatorError

# Extra -> the modules that it brings, as pyproject.toml names it.
EXTRAS: dict[str, tuple[str, ...]] = {
    "page": ("gradio",),
    "postgres": ("psycopg", "procrastinate"),
    "load": ("locust",),
    "provenance": ("c2pa",),
    "telemetry": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
}


def install(extra: str) -> str:
    """The command that adds it. Double quotes, which every shell understands."""
    return f'pip install "leakdrill[{extra}]"'


def lacking(extra: str) -> str | None:
    """The first of its modules that is not installed; None where all are. Imports nothing but the
    packages around them."""
    return next((module for module in EXTRAS[extra] if not _there(module)), None)


def ensure(extra: str, who: str) -> None:
    """Raises OperatorError where `who`, the beginning of the sentence, needs an extra that is not installed."""
    module = lacking(extra)
    if module is not None:
        raise OperatorError(f"{who} needs {module}, which is not installed; install it with: {install(extra)}")


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package around it is not there
        return False
    except ValueError:  # it is there, but was not imported from a file
        return True
