"""The sheet of a class to print: where to join, by which code, and who sits where."""

from collections.abc import Mapping
from dataclasses import dataclass

from drills.look import html_environment


@dataclass(frozen=True)
class ClassSheet:
    """`seats` are (number, name); `tokens` are by number, none where students join by the code."""

    address: str
    code: str
    seats: tuple[tuple[int, str], ...]
    tokens: Mapping[int, str]


def class_sheet(sheet: ClassSheet) -> str:
    """The sheet as one HTML file that fetches nothing."""
    return html_environment().get_template("class_sheet.html.j2").render(sheet=sheet)
