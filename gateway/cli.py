"""`leakdrill`: the program. Commands are imported when they are called, so that starting one does not pay for all.

Exit codes: 0 done (a drill: contained; a load test: met), 1 not contained or not met, 2 bad usage or unusable
surroundings, 3 inconclusive, or the target is away, 4 the drill or the load test itself failed.
"""

from __future__ import annotations

import importlib
import keyword
import sys
from typing import Any

import click

from gateway import __version__
from gateway.errors import LeakdrillError

# Command -> the module that has it, and its short help.
COMMANDS = {
    "doctor": ("gateway.commands.doctor", "Look whether this machine has what leakdrill needs."),
    "demo": ("gateway.commands.demo", "Start everything, replay November 2024, write the report, stay open."),
    "up": ("gateway.commands.serve", "Run gateway, workers and page."),
    "gateway": ("gateway.commands.serve", "Run the gateway alone."),
    "worker": ("gateway.commands.serve", "Run a worker alone."),
    "page": ("gateway.commands.serve", "Run the page alone."),
    "tokens": ("gateway.commands.tokens", "Issue, list, show, revoke and restore tokens."),
    "class": ("gateway.commands.classroom", "Open a class, see who joined, print its sheets."),
    "profile": ("gateway.commands.faults", "Show or set how long a render seems to take."),
    "faults": ("gateway.commands.faults", "Let named failures strike: add, list, clear."),
    "replicas": ("gateway.commands.replicas", "Show the gateways; tell one to learn late, or to err on purpose."),
    "top": ("gateway.commands.top", "Show a gateway's metrics in the terminal."),
    "clients": ("gateway.commands.clients", "Show how the client of each token behaves."),
    "drill": ("gateway.commands.drill", "Run, check, list and report drills."),
    "runbook": ("gateway.commands.runbook", "Try a runbook of your own on a leak: list, copy, lint, run."),
    "load": ("gateway.commands.load", "Load-test the queue; the verdict is the exit code."),
    "disclose": ("gateway.commands.disclose", "Report tokens as leaked, signed like a scanner."),
    "sink": ("gateway.commands.sink", "Receive security events for a drill, and verify each."),
    "audit": ("gateway.commands.audit", "Check that the event list is what was written; anchor it."),
    "database": ("gateway.commands.database", "Show the database's version, and bring it to this one."),
    "backup": ("gateway.commands.backup", "Copy database, clips and keys while everything runs."),
    "queue": ("gateway.commands.queue", "Compare the jobs with the engine's messages; mend."),
    "trace": ("gateway.commands.trace", "Find the job and the token behind a clip."),
    "render": ("gateway.commands.render", "Render one clip without a gateway."),
}


class _LateGroup(click.Group):
    """Knows its commands by name; imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        # A word of Python's own cannot name a function; the custom is a line behind it (PEP 8).
        command: click.Command = getattr(module, f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="leakdrill")
def program() -> None:
    """Rehearse a token leak: a mock video API that can be leaked, and cut off, on purpose."""


def main(arguments: list[str] | None = None) -> Any:
    """Runs the program; an error that leakdrill foresees is one line on standard error and exit code 2."""
    try:
        return program(arguments, prog_name="leakdrill")
    except LeakdrillError as exc:
        click.echo(f"leakdrill: {exc}", err=True)
        sys.exit(2)
