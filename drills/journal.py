"""The journal: everything a report needs, as one JSON file.

Times are real seconds since the drill's start unless a name says replay. `replay_zero` is the second at which the
replay clock began to run; None when it never did. Tokens appear by accessor only.
"""

import gzip
import os
import tempfile
import zlib
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from drills.audit import Chain
from drills.deeds import RestoreCall
from drills.errors import JournalError
from drills.evidence import JobTrace
from drills.facts import FactBook
from drills.history import Exchange
from drills.notices import NoticeCall
from drills.oracle import RevokeCall, Verdict
from drills.runbook_record import RunbookRecord
from drills.scenario import Scenario
from drills.sinks import Told
from drills.sunset import SunsetSeen
from drills.topology import ReplicaSeen

__all__ = ["Journal", "JournalError", "load_journal", "save_journal"]

Kind = TypeVar("Kind", bound=BaseModel)
GZIP = b"\x1f\x8b"

DrillStatus = Literal["completed", "interrupted", "failed"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Versions(_Part):
    """What ran. None is unknown."""

    leakdrill: str | None
    gateway: str | None
    python: str


class Played(_Part):
    """A MSEL line as it was played. `minute` is None for a contingent one; `fired` is None when the drill ended before
    it, or its condition never held."""

    line: str
    minute: float | None
    fired: float | None


class Action(_Part):
    """Something the drill did to the gateway."""

    name: str
    at: float
    ok: bool
    detail: str


class Check(_Part):
    """A steady-state check and how it went."""

    id: str
    ok: bool
    at: float
    detail: str


class HeldToken(_Part):
    """A token the drill issued, by its public name."""

    accessor: str
    principal: str
    cohort: str
    leaked: bool


class Sample(_Part):
    """The queue at a moment, as /status told it."""

    at: float
    waiting: int
    running: int


class Visitors(_Part):
    """How the visits went. `turned_away` at the door, `stopped` during the visit."""

    planned: int
    arrived: int
    dropped: int
    finished: int
    gave_up: int
    turned_away: int
    stopped: int


class Preview(_Part):
    """What the gateway said a revocation would touch, just before it. None is unknown."""

    tokens: int
    queued: int
    running: int


class Journal(_Part):
    """One drill. `dirty`: not all could be put back; `left` says what."""

    format: Literal[1] = 1
    classification: Literal["EXERCISE"] = "EXERCISE"
    status: DrillStatus
    error: str | None
    scenario: Scenario
    facts: FactBook
    seed: int
    speed: float
    target: str
    versions: Versions
    consistency: str | None
    defects: list[str]
    replicas: list[ReplicaSeen] = []
    started_at: AwareDatetime
    ended: float
    replay_zero: float | None
    checks: list[Check]
    tokens: list[HeldToken]
    msel: list[Played]
    actions: list[Action]
    preview: Preview | None
    revoke: RevokeCall | None
    runbook: RunbookRecord | None = None
    jobs: list[JobTrace] | None
    chain: Chain | None = None
    notices: list[NoticeCall] = []
    restores: list[RestoreCall] = []
    told: list[Told] = []
    sunset: SunsetSeen | None = None
    samples: list[Sample]
    visitors: Visitors
    exchanges: list[Exchange]
    dirty: bool
    left: list[str] = []
    verdict: Verdict


def save_journal(journal: Journal, path: Path) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, journal.model_dump_json(indent=1) + "\n")


def load_journal(path: Path) -> Journal:
    """Read a journal. Raises JournalError with the first thing that is wrong."""
    return parse_journal(read_journal(path), Journal, path)


def read_journal(path: Path) -> bytes:
    """The bytes of a journal, which may be compressed. Raises JournalError."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        raise JournalError(f"{path}: cannot be read: {error}") from error


def parse_journal(content: bytes, model: type[Kind], path: Path) -> Kind:
    """The journal in those bytes. Raises JournalError with the first thing that is wrong."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise JournalError(f"{path}: not a drill journal: {place}: {first['msg']}") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside the file, then put it in its place, so that no reader sees half of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
