"""docs/reference/events.md: every kind of event, and what its `data` holds."""

from __future__ import annotations

from gateway.event_data import TOLD
from gateway.events import EventKind
from scripts.reference.markdown import code, table


def page() -> str:
    rows = [(f"`{kind}`", TOLD[kind].says, code(TOLD[kind].keys) or "-") for kind in EventKind]
    return f"{HEAD}\n\n" + table(("Kind", "Says", "`data`"), rows) + "\n"


HEAD = """# Events

The kinds of lines in the [event list](../api.md#events), which `GET /control/events` reads page by page and
`GET /control/events/stream` follows. What depends on the case may be missing in a line's `data`. No secret of a token
is in any."""
