"""Read a runbook file; refuse one that cannot be walked: missing targets, loops without a way out, unknown words."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from drills.documents import parse
from drills.errors import ScenarioError
from drills.lines import LineOf, load
from drills.runbook import ENDS, Action, Decision, Http, Manual, Notify, Process, Runbook, Step, targets, ways
from drills.runbook_values import MEANINGS, SECRETS, words_in

MOST_BYTES = 256_000


@dataclass(frozen=True)
class RunbookFile:
    """A runbook with where it came from. `name` is the file's in messages; its processes run in `folder`."""

    runbook: Runbook
    name: str
    folder: Path
    line_of: LineOf

    def at(self, step: str, key: str | None = None) -> str:
        """file:line of a step, or of a key of it."""
        place = ("steps", step) if key is None else ("steps", step, key)
        return f"{self.name}:{self.line_of(place)}"


def shipped() -> dict[str, Path]:
    """The runbooks that leakdrill brings, by name."""
    folder = Path(str(files("seeds"))) / "runbooks"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_runbook(name_or_path: str | Path) -> RunbookFile:
    """Read a shipped runbook by name, or a file by path. Raises ScenarioError, a line for each fault."""
    brought, name = shipped(), str(name_or_path)
    path = brought.get(name, Path(name))
    label = f"seeds/runbooks/{path.name}" if name in brought else name
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ScenarioError(f"{label}: larger than {MOST_BYTES} bytes; that is no runbook")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ScenarioError(f"{name}: no such runbook or file; shipped runbooks: {', '.join(brought)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{name}: cannot be read as a text file: {error}") from error
    runbook = parse(text, Runbook, label)
    loaded = RunbookFile(runbook, label, path.resolve().parent, load(text)[1])
    problems = [*_wrong_targets(loaded), *_wrong_words(loaded)]
    if problems or (problems := list(_endless(loaded))):
        raise ScenarioError("\n".join(problems))
    return loaded


def _wrong_targets(loaded: RunbookFile) -> Iterator[str]:
    steps = loaded.runbook.steps
    known = [*steps, *ENDS]
    if loaded.runbook.start not in steps:
        near = _nearest(loaded.runbook.start, list(steps))
        yield f"{loaded.name}:{loaded.line_of(('start',))}: start: there is no step {loaded.runbook.start}{near}"
    for end in ENDS:
        if end in steps:
            yield f"{loaded.at(end)}: steps.{end}: {end} is where a runbook ends; give the step another name"
    for name, step in steps.items():
        for key, target in targets(step):
            if target not in known:
                where = f"{loaded.at(name, key)}: steps.{name}.{key}"
                yield f"{where}: there is no step {target}{_nearest(target, known)}; add it, or lead to done or failed"
            elif key == "branches" and target in ENDS:
                yield f"{loaded.at(name, key)}: steps.{name}.{key}: a branch begins with a step, not with {target}"


def _endless(loaded: RunbookFile) -> Iterator[str]:
    """Steps from which no end can be reached by what the file says."""
    steps = loaded.runbook.steps
    out = set(ENDS)
    while more := {name for name, step in steps.items() if name not in out and {t for _, t in targets(step)} & out}:
        out |= more
    for name, step in steps.items():
        if name not in out:
            circle = ", ".join(f"{key} {target}" for key, target in ways(step))
            yield f"{loaded.at(name)}: steps.{name}: a loop without a way out ({circle}); lead one of its steps to done"


def _wrong_words(loaded: RunbookFile) -> Iterator[str]:
    for name, step in loaded.runbook.steps.items():
        for key, value, may_be_secret in _texts(step):
            for word in dict.fromkeys(words_in(value)):
                where = f"{loaded.at(name, key)}: steps.{name}.{key}"
                if word in SECRETS and not may_be_secret:
                    yield (
                        f"{where}: {{{word}}} is a secret that others could read here; pass it by env, a header or a "
                        f"body, or give the file {{{SECRETS[word]}}}"
                    )
                elif word not in SECRETS and word not in MEANINGS:
                    known = [*MEANINGS, *SECRETS]
                    yield (
                        f"{where}: there is no {{{word}}}{_nearest(word, known)}; there are {', '.join(known)}; "
                        f"write {{{{{word}}}}} for the word in braces"
                    )


def _texts(step: Step) -> Iterator[tuple[str, Any, bool]]:
    """Every text of a step that may have words in braces: its key, the text, and whether a secret may be in it."""
    yield "text", step.text or "", False
    if isinstance(step, Decision):
        yield "ask", step.ask, False
    if isinstance(step, Manual):
        yield "expect", step.expect or "", False
    if isinstance(step, Notify):
        yield "to", step.to, False
    if isinstance(step, Action | Notify):
        yield "expect", [step.expect.body, step.expect.contains or ""], False
        yield from _texts_of_http(step.http)
        yield from _texts_of_process(step.process)


def _texts_of_http(http: Http | None) -> Iterator[tuple[str, Any, bool]]:
    if http is not None:
        yield "http", [http.path or "", http.url or ""], False
        yield "http", [http.headers, http.body, http.form or {}], True


def _texts_of_process(process: Process | None) -> Iterator[tuple[str, Any, bool]]:
    if process is not None:
        yield "process", process.argv, False
        yield "process", process.env, True


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
