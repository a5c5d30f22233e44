"""Where the exercise stands: phase, replay clock, broadcast line, the event list, reset."""

from gateway.store.exercise import Exercise, Phase

__all__ = ["Exercise", "Phase"]
