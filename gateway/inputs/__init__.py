"""What people upload: checked in bounded time and memory, kept while a job needs it, and dropped then."""

from gateway.inputs.service import Clip, Inputs

__all__ = ["Clip", "Inputs"]
