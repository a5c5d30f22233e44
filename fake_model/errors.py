"""What can go wrong while a clip is made.

    PipelineError
    ├── InvalidInput    an argument is outside what the pipeline accepts
    ├── Interrupted     the caller asked to stop
    └── EncoderError    ffmpeg failed, or the output could not be written

Every message that concerns an argument names it and says what is allowed.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of everything this package raises on purpose."""


class InvalidInput(PipelineError, ValueError):
    """An argument is outside what the pipeline accepts.

    Args:
        argument: the parameter's name, as in the signature of `VideoPipeline.__call__`.
        allowed: what would have been accepted, as a phrase.
    """

    def __init__(self, argument: str, allowed: str) -> None:
        super().__init__(f"{argument}: {allowed}")
        self.argument = argument
        self.allowed = allowed


class Interrupted(PipelineError):
    """The caller's `interrupt` answered True; no file and no encoder is left."""


class EncoderError(PipelineError):
    """ffmpeg could not be started, died, or could not write; the message carries the tail of its stderr."""
