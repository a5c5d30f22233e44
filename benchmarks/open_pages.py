"""What open pages cost while nothing happens: thirty Generate pages or control rooms, without a class and with one.

    python benchmarks/open_pages.py             # 20 s a row
    python benchmarks/open_pages.py --quick     # 5 s a row

Starts a gateway, a worker and the page's server, and asks for the state of each page once a second over a connection of
its own, as the pages' scripts do while they are visible, spread over the second. What the browsers cost is their own
machines' matter and is not counted. The floor is the same with nobody there. Percent are of one core, by the system's
own count; RSS is what the page's server holds. A class is one of thirty seats, all taken. Needs /proc, so Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.settings import Settings
from gateway.supervisor import Supervisor, free_port

PAGES = 30
MOST_PERCENT = 10.0
MOST_RSS_MB = 300.0
SETTLE_SECONDS = 4.0
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass
class Row:
    """One measurement: percent of a core, megabytes, answers a second, seconds of the slowest answer, its bytes."""

    page: float
    gateway: float
    rss: float
    rate: float
    slowest: float
    size: int


def processor_seconds(pid: int) -> float:
    """What a process has used of processors so far, system calls included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    """Memory that a process holds, in megabytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


class Watchers:
    """Open pages, each asking once a second."""

    def __init__(self, pages: list[httpx.AsyncClient], path: str) -> None:
        self._pages = pages
        self._path = path
        self.asked = 0
        self.slowest = 0.0
        self.size = 0

    async def look(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number, page in enumerate(self._pages):
                group.create_task(self._watch(page, number / len(self._pages)))

    async def _watch(self, page: httpx.AsyncClient, after: float) -> None:
        await asyncio.sleep(after)
        while True:
            began = time.monotonic()
            answer = (await page.get(self._path)).raise_for_status()
            took = time.monotonic() - began
            self.asked, self.slowest, self.size = self.asked + 1, max(self.slowest, took), len(answer.content)
            await asyncio.sleep(max(0.0, 1.0 - took))


async def measure(room: Supervisor, pages: list[httpx.AsyncClient], path: str, seconds: float) -> Row:
    """The cost of these pages while they are open and nothing happens."""
    pids = {child.name: child.process.pid for child in room.children}
    watchers = Watchers(pages, path)
    task = asyncio.create_task(watchers.look())
    await asyncio.sleep(SETTLE_SECONDS)
    watchers.asked, watchers.slowest = 0, 0.0
    began, before = time.monotonic(), {name: processor_seconds(pids[name]) for name in ("page", "gateway")}
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    used = {name: (processor_seconds(pids[name]) - before[name]) / took * 100 for name in before}
    if task.done():
        task.result()  # a page that is not answered makes the figures worthless
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    rss = resident_mb(pids["page"])
    return Row(used["page"], used["gateway"], rss, watchers.asked / took, watchers.slowest, watchers.size)


def control(room: Supervisor, method: str, path: str, body: dict[str, Any]) -> Any:
    """A call as the admin."""
    headers = {"Authorization": f"Bearer {room.admin_token}"}
    answer = httpx.request(method, room.gateway_url + path, headers=headers, json=body, trust_env=False)
    return answer.raise_for_status().json()


def open_class(room: Supervisor) -> None:
    """Thirty seats, all taken."""
    code = control(room, "POST", "/control/class", {"students": PAGES})["code"]
    for _ in range(PAGES):
        httpx.post(f"{room.gateway_url}/join", json={"code": code}, trust_env=False).raise_for_status()


async def all_rows(room: Supervisor, seconds: float) -> dict[str, Row]:
    """By what is open."""
    rows: dict[str, Row] = {}
    async with AsyncExitStack() as stack:
        url, origin = room.page_url, {"Origin": room.page_url}
        pages = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, headers=origin, trust_env=False, timeout=20)
            )
            for _ in range(PAGES)
        ]
        for page in pages:
            login = await page.post("/control/login", json={"token": room.admin_token, "name": ""})
            login.raise_for_status()
        rows["nobody"] = await measure(room, [], "/state", seconds)
        for words in ("", ", class open"):
            if words:
                open_class(room)
            rows[f"{PAGES} Generate pages{words}"] = await measure(room, pages, "/state", seconds)
            rows[f"{PAGES} control rooms{words}"] = await measure(room, pages, "/control/state", seconds)
    return rows


def tell(rows: dict[str, Row]) -> bool:
    """Prints the table; whether every row keeps within the limits."""
    floor = rows["nobody"]
    print(f"{'':34}{'page':>8}{'gateway':>9}{'times floor':>13}{'RSS':>9}{'a second':>10}{'slowest':>10}{'answer':>9}")
    print(f"{'limit':34}{MOST_PERCENT:7.1f}%{'':22}{MOST_RSS_MB:6.0f} MB")
    for name, row in rows.items():
        times = (row.page + row.gateway) / max(floor.page + floor.gateway, 0.1)
        print(
            f"{name:34}{row.page:7.1f}%{row.gateway:8.1f}%{times:13.1f}{row.rss:6.0f} MB{row.rate:10.1f}"
            f"{row.slowest * 1000:7.0f} ms{row.size / 1000:6.1f} kB"
        )
    return all(row.page < MOST_PERCENT and row.rss < MOST_RSS_MB for row in rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 s a row instead of 20")
    seconds = 5.0 if parser.parse_args().quick else 20.0
    if not Path("/proc/self/stat").exists():
        sys.exit("this needs /proc, as Linux has it")
    with tempfile.TemporaryDirectory(prefix="leakdrill-pages-") as folder:
        settings = Settings(data=Path(folder), port=free_port(), page_port=free_port())
        with Supervisor(settings) as room:
            room.give_page([])
            room.start(workers=1, page=True)
            room.wait_for_page()
            rows = asyncio.run(all_rows(room, seconds))
    met = tell(rows)
    load = os.getloadavg()[0]
    print(f"target: below {MOST_PERCENT:.0f} % of one core and {MOST_RSS_MB:.0f} MB  {'met' if met else 'MISSED'}")
    print(f"(load average {load:.1f} at the end, on {os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
