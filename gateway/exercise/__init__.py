"""Where the exercise stands: phase, replay clock, broadcast line, whose drill it is, the event list, reset."""

from gateway.store.drill_lease import DrillLease
from gateway.store.exercise import Exercise, Phase

__all__ = ["DrillLease", "Exercise", "Phase"]
