"""When tokens were last used, across a database that does not take the write."""

import asyncio
from contextlib import suppress

import pytest

from desk import Desk
from gateway.store import Connection, tokens
from gateway.tokens.usage import UsageBook

pytestmark = pytest.mark.anyio


async def test_what_could_not_be_written_is_written_later(desk: Desk) -> None:
    accessor = (await desk.issue())["accessor"]
    book = UsageBook(desk.clock, "r1")
    await desk.store.write(lambda tx: tx.execute("ALTER TABLE tokens RENAME TO elsewhere"))
    book.note(accessor, "poll", 7.0)
    running = asyncio.create_task(book.run(desk.store, every=0.01))
    async with asyncio.timeout(20):
        while book._last or running.done():  # until it has taken what was noted, and so tries to write it
            assert not running.done()
            await asyncio.sleep(0)
        while not book._last:  # and has it back
            assert not running.done()
            await asyncio.sleep(0)
    await desk.store.write(lambda tx: tx.execute("ALTER TABLE elsewhere RENAME TO tokens"))

    def used(tx: Connection) -> float | None:
        token = tokens.by_accessor(tx, accessor)
        return token.last_used_at if token else None

    async with asyncio.timeout(20):
        while await desk.store.read(used) != 7.0:
            await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
