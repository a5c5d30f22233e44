"""Run a program of the team's own: no shell, a time limit, and nothing of it left when the step is over."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What is read of an output; the program is read to its end all the same, so that it never waits for a reader.
MOST_BYTES = 65_536
# Between the signal that asks and the one that ends.
GRACE_SECONDS = 2.0
# A child that the program left behind may hold its output open.
DRAIN_SECONDS = 0.5
LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class Ended:
    """How a program ended. `code` is None where it could not be started, or did not end in time; a negative one is the
    signal that ended it. `output` is what it wrote to both its outputs, as much of it as is kept."""

    code: int | None
    output: str
    timed_out: bool = False
    not_started: str | None = None


async def run_process(argv: Sequence[str], env: Mapping[str, str], cwd: Path, within: float) -> Ended:
    """Run it with `env` added to this process's environment, for `within` seconds at the most.

    It leads a process group of its own, which is ended with it: by SIGTERM, and after two seconds by SIGKILL.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Ended(None, "", not_started=_why(argv[0], error))
    kept = bytearray()
    reading = asyncio.ensure_future(_read(process, kept))
    timed_out = False
    try:
        async with asyncio.timeout(within):
            await _exit(process)
    except TimeoutError:
        timed_out = True
    finally:
        await _end_group(process)
        await asyncio.wait({reading}, timeout=DRAIN_SECONDS)
        reading.cancel()
        await asyncio.wait({reading})
    return Ended(None if timed_out else process.returncode, kept.decode("utf-8", "replace"), timed_out)


async def _read(process: asyncio.subprocess.Process, kept: bytearray) -> None:
    """Keep the beginning of the output, and read the rest away."""
    if process.stdout is None:
        return
    while chunk := await process.stdout.read(8192):
        kept += chunk[: max(0, MOST_BYTES - len(kept))]


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End the program, where it still runs, and whatever it has started and left behind."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await _exit(process)
    # The group outlives its leader as long as one of it lives; where none does, there is nobody to signal.
    _signal(process, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    await _exit(process)


async def _exit(process: asyncio.subprocess.Process) -> None:
    """Wait for its end alone: `wait` also waits for whoever holds its output open."""
    while process.returncode is None:  # noqa: ASYNC110 - there is no event for that
        await asyncio.sleep(LOOK_SECONDS)


def _signal(process: asyncio.subprocess.Process, which: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, which)


def _why(program: str, error: Exception) -> str:
    """Why a program cannot be started, and what to do."""
    if isinstance(error, FileNotFoundError):
        return f"{program}: no such program, seen from the runbook's folder"
    if isinstance(error, PermissionError):
        return f"{program}: not executable; chmod +x it, or name its interpreter"
    if isinstance(error, OSError) and error.errno == 8:
        return f"{program}: cannot be run as a program; begin it with #!/bin/sh, or name its interpreter"
    return f"{program}: {error}"
