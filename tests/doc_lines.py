"""The lines that the documentation tells people to type: which there are, and whether the program knows their words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.cli import program

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("samples/*.md"))]
# A block without a language is a shell's too, or a command could hide there; what is none is called text.
SHELLS = ("", "sh", "console", "bash")
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# Where a shell expects a command: at a line's start, behind a pipe or a bracket, behind variables of its environment.
CALL = re.compile(r"(?:^|[|;&(]) *(?:if |exec \S+ )?(?:\w+=\S+ +)*(?:\S*/)?leakdrill +(?=\S)", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
# What stands for something else in a line that is shown: `[--optional]`, `one/other`, `…`, `A|B`.
SHOWN = re.compile(r"[\[\]…|]|\w/\w+/")


@dataclass(frozen=True)
class Line:
    """A call of the program. `whole` is one to be typed as it stands, where nothing that is required may be missing."""

    page: str
    text: str
    whole: bool

    def __str__(self) -> str:
        return f"{self.page}: leakdrill {self.text}"


def blocks(page: Path, *languages: str) -> list[str]:
    """The page's fenced blocks in these languages, with lines that go on joined."""
    return [text.replace("\\\n", " ") for language, text in FENCE.findall(page.read_text()) if language in languages]


def calls() -> Iterator[Line]:
    """Every call of the program in a shell's block or in a line of text."""
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for block in blocks(page, *SHELLS):
            yield from (Line(name, block[found.end() :].splitlines()[0], True) for found in CALL.finditer(block))
        for span in SPAN.findall(FENCE.sub("", page.read_text())):
            found = re.match(r"(?:[A-Z_]+=\S+ )*(?:[\w./]*/)?leakdrill +(?=[a-z-])(.*)", span)
            if found and not SHOWN.search(found[1]):
                yield Line(name, found[1], False)


def understood(line: Line) -> None:
    """Raises click's own error, or LookupError, where the program does not know a word of the line. Nothing runs."""
    words = _words(line.text)
    command: click.Command = program
    context = click.Context(program, info_name="leakdrill")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            raise LookupError(f"{context.command_path} has no command {words[0]!r}")
        command, context = found, click.Context(found, info_name=words.pop(0), parent=context)
    given, extra, _ = _parsed(command, context, words, whole=line.whole)
    if extra:
        raise LookupError(f"{context.command_path} takes no {extra[0]!r}")
    for param in command.params:
        value = given.get(param.name or "")
        is_given = isinstance(value, str | bool | int | float | list | tuple) and value != ()
        if param.required and line.whole and not is_given:
            raise click.MissingParameter(ctx=context, param=param)
        if is_given and not isinstance(param.type, click.Path | click.File) and not _stands_for(value):
            param.type_cast_value(context, value)


def _parsed(
    command: click.Command, context: click.Context, words: list[str], *, whole: bool
) -> tuple[dict[str, object], list[str], object]:
    try:
        return command.make_parser(context).parse_args(list(words))
    except click.BadOptionUsage:
        if whole:
            raise
        # A text may end with the option that it speaks of.
        return command.make_parser(context).parse_args([*words, "WORD"])


def _words(text: str) -> list[str]:
    """The words up to where the call ends: a pipe, a semicolon, a redirection, a closing bracket, a comment."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words: list[str] = []
    for word in reader:
        if set(word) <= set("();<>|&"):
            break
        words.append(word)
    return words


def _stands_for(value: object) -> bool:
    """Whether a value is a word in capitals, such as NAME, or a shell's variable."""
    values = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(one, str) and (one.isupper() or "$" in one or "…" in one) for one in values)
