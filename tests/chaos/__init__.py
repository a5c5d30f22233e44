"""Faults at random under load, and proof that nothing was lost and nothing doubled."""

import os


def stores(usual: str) -> list[str]:
    """On which stores a fault is tried: on the usual one alone, unless LEAKDRILL_FAULTS=all."""
    return ["sqlite", "postgresql"] if os.environ.get("LEAKDRILL_FAULTS") == "all" else [usual]
