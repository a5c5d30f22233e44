"""How reports write figures and texts: the templates' surroundings.

Whatever a template writes is escaped, in Markdown as in HTML: files, servers and evaluators are believed in nothing.
"""

import re
from collections.abc import Iterable
from functools import cache

import jinja2

from drills.matrix import lag_of
from drills.oracle import SurfaceResult
from drills.proofs import surface_id

# Controls, and marks that turn the direction of writing round: unseen, they make a text say something else.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# What Markdown takes for more than itself anywhere, and what it does only at a line's beginning.
SPECIAL = re.compile(r"[\\`*~|\[]|(?<![^\W_])_|_(?![^\W_])")
LEADING = re.compile(r"^( ?)(#{1,6}(?=\s|$)|>|[-+](?=\s|$)|-{2,}|=+|[0-9]{1,9}(?=[.)](?:\s|$)))")
SPACE = re.compile(r"\s+")
# Where a spreadsheet begins to reckon, the wide forms of the signs included.
FORMULA = re.compile("^\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]")


class MarkdownText(str):
    """Text that is Markdown already, and is written as it is."""

    __slots__ = ()


@cache
def html_environment() -> jinja2.Environment:
    """For one HTML file; every text is escaped."""
    return _environment(autoescape=True)


@cache
def markdown_environment() -> jinja2.Environment:
    """For Markdown; every text is escaped, so that it is shown as it is and fits into a cell of a table."""
    return _environment(autoescape=False)


def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("drills"),
        autoescape=autoescape,  # noqa: S701 - off for Markdown only, which `in_markdown` escapes
        finalize=_in_html if autoescape else in_markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (_seconds, _minutes, _round_minutes, _known, _cells, _code, _signed, _lag_of, _proof_of)
    environment.filters.update({each.__name__.removeprefix("_"): each for each in filters})
    return environment


def visible(text: str) -> str:
    """The text with a sign in the place of each character that would not be seen."""
    return UNSEEN.sub("\ufffd", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same, without an end of a line in it."""
    return visible(SPACE.sub(" ", text)).strip()


def in_markdown(value: object) -> str:
    """Text that Markdown shows as it is, on one line, fit for a cell of a table."""
    if isinstance(value, MarkdownText):
        return value
    text = visible(SPACE.sub(" ", str(value)))
    text = SPECIAL.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
    return LEADING.sub(_leading, text)


def _leading(found: re.Match[str]) -> str:
    """A number is kept from being a list's by a backslash after it, everything else by one before."""
    space, mark = found.groups()
    return f"{space}{mark}\\" if mark.isdecimal() else f"{space}\\{mark}"


def in_csv(value: object) -> str:
    """Text on one line that no spreadsheet takes for a formula: what would be one begins with an apostrophe."""
    text = one_line(str(value))
    return f"'{text}" if FORMULA.match(text) else text


def _in_html(value: object) -> object:
    """What is HTML already says so by its `__html__`; the rest is escaped after this."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _cells(row: Iterable[object]) -> MarkdownText:
    """A row's texts as the cells of a table."""
    return MarkdownText(" | ".join(in_markdown(each) for each in row))


def _code(line: str) -> MarkdownText:
    """A line of a block of code, where Markdown takes nothing for more than itself."""
    return MarkdownText(visible(line))


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
