"""How the gateway of the tests is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# The fixture's own: each run has a directory, ports and tokens of its own.
OWN = {"LEAKDRILL_DATA", "LEAKDRILL_HOST", "LEAKDRILL_PORT", "LEAKDRILL_PAGE_PORT", "LEAKDRILL_RENDER"}


@dataclass(frozen=True)
class Options:
    """`render`: "cached" repeats one real clip a size and length; "full" renders each; "null" publishes a few bytes
    that no player takes, and is the fastest. `settings` are any others of docs/api.md, by name:
    `LEAKDRILL_QUEUE_LIMIT`. `start_seconds` is how long the start may take. Raises ValueError where that does not fit.
    """

    workers: int = 1
    replicas: int = 1
    render: Literal["cached", "full", "null"] = "cached"
    settings: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in self.settings:
            if not name.startswith("LEAKDRILL_"):
                raise ValueError(f"{name} is no setting of leakdrill; they begin with LEAKDRILL_, as in docs/api.md")
            if name in OWN:
                raise ValueError(f"{name} is the fixture's own and cannot be set")
