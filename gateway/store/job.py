"""What a job is: its row as a value, and what was asked for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum


class JobStatus(StrEnum):
    """OpenAI's four; a cancelled or revoked job is `failed` with its own error code."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


#: A job's priority, turn and `seq`: the order of service.
Place = tuple[int, int, int]


@dataclass(frozen=True)
class RenderRequest:
    """What was asked for. `model` is the name that was sent, `variant` the one that renders; `size` is "WxH" in
    pixels, `seconds` the whole clip's length.

    `kind` is create, remix, edit or extend; `remixed_from` the video it came from. `base_prompts`, oldest first, are
    those whose scene a remix or an extension keeps. `input` names a file in the inputs directory: the picture a clip
    starts from, or the clip that is edited or extended. `strength` is how far an edit goes, 0 to 1. `added_seconds` is
    what an extension appends, `continue_from` where its motion goes on, `extensions` how many its chain then has.
    `colours` are RGB triples of the characters that shall reappear.
    """

    prompt: str
    model: str
    variant: str
    size: str
    seconds: int
    fps: int
    seed: int
    style: str | None = None
    negative_prompt: str = ""
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    kind: str = "create"
    remixed_from: str | None = None
    base_prompts: tuple[str, ...] = ()
    input: str | None = None
    strength: float | None = None
    added_seconds: int | None = None
    continue_from: int | None = None
    extensions: int = 0
    colours: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Job:
    """A job as its row says; the defaults are a new job's. Times are Unix seconds; `file` is a name inside the media
    directory. `hold` is for how many seconds the running attempt keeps its slot at the least, None where no time is
    simulated."""

    seq: int
    id: str
    accessor: str
    status: JobStatus
    request: RenderRequest
    priority: int = 0
    turn: int = 0
    attempt: int = 0
    worker: str | None = None
    progress: int = 0
    step: int | None = None
    steps: int | None = None
    created_at: float = 0.0
    started_at: float | None = None
    completed_at: float | None = None
    expires_at: float | None = None
    file: str | None = None
    bytes: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    next_tick: int | None = None
    fate: str | None = None
    share: str = "private"
    share_id: str | None = None
    hold: float | None = None

    @property
    def place(self) -> Place:
        """Where it stands in the line: lower is served first."""
        return self.priority, self.turn, self.seq

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal state."""
        return self.status in (JobStatus.COMPLETED, JobStatus.FAILED)


def id_at(now: float) -> str:
    """A new video's id: when it was made, as 64 bits with whole seconds in the first half, and 64 random bits, all in
    hexadecimal. Ids of one moment stand together in the index, where random ones would touch a page each."""
    return f"video_{int(now * 2**32):016x}{secrets.token_hex(8)}"


def reference_of(id: str) -> int:
    """The 64 bits by which a clip names its job: the id's random half, its last 16 digits."""
    return int(id[-16:], 16)


def reference_text(reference: int) -> str:
    """The same as it stands in the id."""
    return f"{reference:016x}"
