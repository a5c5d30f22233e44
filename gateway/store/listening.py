"""Listens to what PostgreSQL tells: on a connection of its own, which is made anew for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence

import psycopg
from psycopg import sql

from gateway.store.postgres_connection import first_line, reached

log = logging.getLogger("leakdrill.store")

AGAIN_SECONDS = 0.5
QUIET_SECONDS = 30.0  # of silence, after which the server is asked whether it is there


async def listen(url: str, channels: Sequence[str]) -> AsyncGenerator[str, None]:
    """The channel of each notification, and the empty text whenever it begins to listen. Ends only with its task."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(reached(url), autocommit=True) as connection:
                for channel in channels:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                yield ""
                while True:
                    async for told in connection.notifies(timeout=QUIET_SECONDS):
                        yield told.channel
                    async with asyncio.timeout(QUIET_SECONDS):
                        await connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError) as exc:
            log.warning("action=not_listening reason=%s", first_line(exc))
        await asyncio.sleep(AGAIN_SECONDS)
