"""Plays the Dockerfile's steps in a folder, on a machine that has no container engine: `python scripts/image_steps.py`.

Each COPY brings what `.dockerignore` lets through, and nothing else; each RUN runs with the folder's own paths in the
place of `/src` and `/opt/leakdrill`, and with a compiler that fails whoever calls it. The program that comes out is
started as the image would start it, under another user where this one is root, and its health check is run. What cannot
be played is the base image: this machine's Python stands in for it, and its size is added as a figure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gateway.supervisor import free_ports

ROOT = Path(__file__).parents[1]
PROGRAM = "/opt/leakdrill"
BASE_MB = 125  # python:3.13-slim unpacked; about 45 compressed
MOST_MB = 600
STARTED_SECONDS = 60.0


def say(text: str) -> None:
    """A line for who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def instructions(text: str) -> list[tuple[str, str]]:
    """The Dockerfile's lines as (word, rest); lines that go on are joined, comments are left out."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [(word, rest.strip()) for word, rest in re.findall(r"^([A-Z]+) (.*)$", plain, re.MULTILINE)]


def stages(text: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What builds, and what runs."""
    lines = instructions(text)
    starts = [number for number, (word, _) in enumerate(lines) if word == "FROM"]
    if len(starts) != 2:
        raise SystemExit(f"Dockerfile: there are {len(starts)} stages; this knows how to play two")
    return lines[: starts[1]], lines[starts[1] :]


def copy(sources: list[str], target: Path, allowed: set[str]) -> None:
    """COPY from the context, of which `.dockerignore` lets through what it names."""
    for source in sources:
        if source not in allowed:
            raise SystemExit(f"Dockerfile: COPY {source} finds nothing; .dockerignore leaves it out")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / source, target)


def build(lines: list[tuple[str, str]], prefix: Path, python: str = sys.executable) -> None:
    """Plays the first stage with the base image's `python`; what would be `/opt/leakdrill` is in `prefix`."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    source = prefix / "src"
    source.mkdir()
    environment = {**os.environ, "CC": "false", "CXX": "false"}
    for word, rest in lines:
        if word == "ENV":
            environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "COPY":
            *names, target = rest.split()
            copy(names, source / target, allowed)
        elif word == "RUN":
            say(f"RUN {rest}")
            line = re.sub(r"^python\b", shlex.quote(python), rest.replace(PROGRAM, str(prefix / "leakdrill")))
            subprocess.run(["/bin/sh", "-c", line], cwd=source, env=environment, check=True)


def megabytes(folder: Path) -> float:
    """What the files in it take up, each once."""
    sizes = {(found.st_dev, found.st_ino): found.st_size for path in folder.rglob("*") if (found := path.lstat())}
    return sum(sizes.values()) / 1e6


def can_run(uid: int, program: Path) -> bool:
    """Whether another user may; a Python in root's home is root's alone."""
    try:
        subprocess.run([program, "-c", ""], cwd="/", user=uid, group=uid, extra_groups=[], check=True)
    except PermissionError:
        return False
    return True


def run(lines: list[tuple[str, str]], prefix: Path) -> None:
    """Starts what the image would start, waits until its health check is content, and ends it."""
    told = dict(pair.split("=", 1) for word, rest in lines if word == "ENV" for pair in shlex.split(rest))
    program = prefix / "leakdrill"
    port, data = free_ports(2), prefix / "data"
    own = {
        **{name: value for name, value in told.items() if name != "PATH"},
        "PATH": f"{program / 'bin'}:/usr/bin:/bin",
        "LEAKDRILL_DATA": str(data),
        # Here nothing is published: it stays on this machine.
        "LEAKDRILL_HOST": "127.0.0.1",
        "LEAKDRILL_PAGE_HOST": "127.0.0.1",
        "LEAKDRILL_PORT": str(port),
        "LEAKDRILL_PAGE_PORT": str(port + 1),
        # As with a read-only root: only /data and /tmp can be written.
        "HOME": "/nonexistent",
    }
    said = dict(lines)
    entry, words = json.loads(said["ENTRYPOINT"]), json.loads(said["CMD"])
    check = json.loads(said["HEALTHCHECK"].split(" CMD ", 1)[1])
    uid = int(said["USER"].split(":")[0]) if os.geteuid() == 0 else None
    data.mkdir()
    prefix.chmod(0o755)
    if uid is not None and not can_run(uid, program / "bin" / "python"):
        say(f"user {uid} cannot run {(program / 'bin' / 'python').resolve()}, so this one does; see --python")
        uid = None
    if uid is not None:
        os.chown(data, uid, uid)
    options = {"cwd": data, "env": own, "user": uid, "group": uid, "extra_groups": [] if uid is not None else None}
    where = [str(program / "bin" / entry[0]), *entry[1:]]
    subprocess.run([*where, "--help"], stdout=subprocess.DEVNULL, check=True, **options)  # type: ignore[call-overload]
    process = subprocess.Popen([*where, *words], **options)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + STARTED_SECONDS
        check[0] = str(program / "bin" / check[0])
        while subprocess.run(check, stderr=subprocess.DEVNULL, **options).returncode:  # type: ignore[call-overload]
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"`{' '.join(words)}` is not healthy after {STARTED_SECONDS:.0f} s")
            time.sleep(0.5)
        say(f"`{' '.join(words)}` is healthy, as user {uid if uid is not None else os.geteuid()}")
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Exits with 1 where a step fails, or the image would be larger than 600 MB."""
    parser = argparse.ArgumentParser(description="Play the Dockerfile's steps without a container engine.")
    parser.add_argument("--keep", type=Path, help="Play in this new folder, and leave it.")
    parser.add_argument("--python", default=sys.executable, help="Stands in for the base image's [this one].")
    given = parser.parse_args()
    kept: Path | None = given.keep
    builds, runs = stages((ROOT / "Dockerfile").read_text())
    with tempfile.TemporaryDirectory(prefix="leakdrill-image-") as passing:
        prefix = kept.resolve() if kept else Path(passing)
        prefix.mkdir(exist_ok=kept is None)
        build(builds, prefix, given.python)
        run(runs, prefix)
        size = megabytes(prefix / "leakdrill")
    whole = size + BASE_MB
    say(f"/opt/leakdrill {size:.0f} MB, with the base image about {whole:.0f} MB of at most {MOST_MB}")
    if whole > MOST_MB:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
