"""The event list as a file: JSON for programs, CSV for a spreadsheet. Read page by page, so that it may be long."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

from frontend.client import Gateway
from frontend.sessions import Session

COLUMNS = ("seq", "at", "replay_at", "kind", "actor", "accessor", "job", "data", "hash")
PAGE = 1000


async def pages(gateway: Gateway, session: Session, after: int) -> AsyncIterator[list[dict[str, Any]]]:
    """The lines beyond `after`, oldest first, as they are at this moment; raises GatewayError."""
    more = True
    while more:
        path = f"/control/events?after={after}&limit={PAGE}"
        page = await gateway.operate("GET", path, session.token, session.name)
        lines: list[dict[str, Any]] = page["data"]
        yield lines
        more, after = bool(page["has_more"]) and bool(lines), lines[-1]["seq"] if lines else after


async def as_json(found: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[str]:
    """One array, an event a line."""
    begin = "[\n"
    async for lines in found:
        for line in lines:
            yield begin + json.dumps(line, ensure_ascii=False)
            begin = ",\n"
    yield "[]\n" if begin == "[\n" else "\n]\n"


async def as_csv(found: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[str]:
    """A header and a row for each event; `data` is JSON."""
    yield _row(COLUMNS)
    async for lines in found:
        for line in lines:
            cells = {**line, "data": json.dumps(line["data"], ensure_ascii=False, sort_keys=True)}
            yield _row([_harmless(cells[name]) for name in COLUMNS])


def _row(cells: Any) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()


def _harmless(cell: Any) -> Any:
    """A spreadsheet takes a text that begins like this for a formula and runs it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
