"""docs/reference/commands.md: every command, argument and option that the program has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from gateway.cli import program
from scripts.reference.markdown import code, table

NAMES = {"text": "text", "path": "a path", "integer": "a whole number", "float": "a number", "file": "a file"}


def page() -> str:
    context = click.Context(program, info_name="leakdrill")
    found = list(_commands(program, context))
    short = [(f"[`{path}`](#{path.replace(' ', '-')})", command.get_short_help_str(200)) for path, command, _ in found]
    sections = "\n\n".join(_section(path, command, ctx) for path, command, ctx in found)
    return f"""# Commands

Made from the program itself; `-h` after any command says the same. Exit codes, and where data lies, are in
[commands.md](../commands.md).

{table(("Command", "Does"), short)}

{sections}
"""


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command that does something, with its words and its context."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            raise LookupError(f"{context.command_path} lists {name}, but has no such command")
        own = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, own)
        else:
            yield own.command_path, command, own


def _section(path: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    parts = [f"## {path}", f"```text\n{usage}\n```", _plain(text)]
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if options:
        parts.append(table(("Option", "Takes", "Does"), [_row(one, context) for one in options]))
    return "\n\n".join(parts)


def _row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    default = option.get_default(context, call=False)
    told = option.help or ""
    if isinstance(default, str | int | float) and not option.is_flag and str(default) and "[" not in told:
        told += f" [{default}]"
    if option.required:
        told += " Required."
    takes = "" if option.is_flag else _takes(option.type)
    return code((*option.opts, *option.secondary_opts)), takes + ("; again for more" * option.multiple), _plain(told)


def _takes(kind: click.ParamType[Any]) -> str:
    match kind:
        case click.Choice():
            return code(map(str, kind.choices))
        case click.IntRange() | click.FloatRange():
            lower = f"{'above' if kind.min_open else 'from'} {kind.min:g}" if kind.min is not None else ""
            upper = f"to {kind.max:g}" if kind.max is not None else ""
            return " ".join(
                ["a whole number" if isinstance(kind, click.IntRange) else "a number", lower, upper]
            ).strip()
        case _:
            return NAMES.get(kind.name, kind.name)


def _plain(text: str) -> str:
    """Text in which nothing is a sign of Markdown's."""
    return text.replace("<", "&lt;").replace("[", "\\[").replace("]", "\\]").replace("*", "\\*")
