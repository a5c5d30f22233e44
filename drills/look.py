"""How reports write figures and texts: the templates' surroundings."""

from functools import cache

import jinja2

from drills.matrix import lag_of
from drills.oracle import SurfaceResult
from drills.proofs import surface_id


@cache
def html_environment() -> jinja2.Environment:
    """For one HTML file; every text is escaped."""
    return _environment(autoescape=True)


@cache
def markdown_environment() -> jinja2.Environment:
    """For Markdown; texts that others wrote go through `cell`."""
    return _environment(autoescape=False)


def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("drills"),
        autoescape=autoescape,  # noqa: S701 - off for Markdown only, whose texts `cell` escapes
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (_seconds, _minutes, _round_minutes, _known, _cell, _signed, _lag_of, _proof_of)
    environment.filters.update({each.__name__.removeprefix("_"): each for each in filters})
    return environment


def _lag_of(result: SurfaceResult) -> str:
    return lag_of(result)


def _proof_of(result: SurfaceResult) -> str:
    return surface_id(result)


def _known(value: object) -> str:
    """A figure as it is, or the word for having none."""
    return "unknown" if value is None else str(value)


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f} s"


def _signed(value: float | None) -> str:
    """Seconds before (-) or after (+) the acknowledgement."""
    return "unknown" if value is None else f"{value:+.3f} s"


def _minutes(value: float | None) -> str:
    """Replay minutes, with hours when there are any."""
    if value is None:
        return "unknown"
    hours, minutes = divmod(round(value, 1), 60)
    return f"{value:.1f} min" + (f" ({hours:.0f} h {minutes:.0f} min)" if hours else "")


def _round_minutes(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _cell(value: object) -> str:
    """Text that Markdown shows as it is, fit for a cell of a table."""
    text = str(value).replace("\\", "\\\\").replace("|", "\\|")
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("[", "\\[").replace("`", "\\`")
    return " ".join(text.split())
