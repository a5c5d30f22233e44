"""Writes that share a commit: what came of each is told to whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

#: A unit's result and None, or None and why it was taken back.
Outcome = tuple[Any, BaseException | None]


def settle(asked: Sequence[asyncio.Future[Any]], outcomes: Sequence[Outcome] | BaseException) -> None:
    """Gives each future the outcome in its place, or all of them the error with which the whole batch failed."""
    for number, future in enumerate(asked):
        result, error = (None, outcomes) if isinstance(outcomes, BaseException) else outcomes[number]
        if future.done():  # whoever asked has gone away
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
