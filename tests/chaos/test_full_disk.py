"""A disk without a byte left, under clips, and on SQLite under the database and the logs as well."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from chaos import evidence, stores
from chaos.history import check
from chaos.run import PROFILES, settle
from chaos.test_store_and_disk import crowd_of
from gateway.store import chain
from live import Live, eventually, live_gateway

DISK = "24m"


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    folder.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "leakdrill", folder], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("needs mount")
    if made.returncode:
        pytest.skip(f"needs leave to mount: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True, timeout=30)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Nobody can write another byte, or make another file of any size."""
    file = folder / "somebody-elses"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    os.write(handle, bytes(size))
            except OSError:
                continue
        yield
    finally:
        os.close(handle)
        file.unlink()


def issued_now(live: Live) -> int:
    """What a change is answered with."""
    headers = {"Authorization": f"Bearer {live.supervisor.admin_token}"}
    body = {"principal": "late", "cohort": "beta"}
    return httpx.post(f"{live.url}/control/tokens", json=body, headers=headers, trust_env=False).status_code


@pytest.mark.parametrize("store", stores("sqlite"))
def test_a_disk_without_a_byte_left_loses_nothing(tmp_path: Path, store: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres_database") if store == "postgresql" else ""
    with disk(tmp_path / "disk") as place:
        with live_gateway(
            place / "data", workers=2, render="full", profiles_dir=str(PROFILES), database_url=url
        ) as live:
            settings, issued = live.supervisor.settings, live.issue()
            crowd = crowd_of(live, issued, 4)
            eventually(lambda: crowd.downloads, within=60)
            with filled(place):
                if store == "sqlite":
                    eventually(lambda: issued_now(live) == 503, within=60)
                else:
                    failed = "SELECT 1 FROM jobs WHERE status = 'failed'"
                    eventually(lambda: evidence.rows(settings.database, failed), within=60)
                job = next(one.job for one in crowd.creates if one.job)
                headers = {"Authorization": f"Bearer {issued['token']}"}
                shown = httpx.get(f"{live.url}/v1/videos/{job}", headers=headers, trust_env=False)
                assert shown.status_code == 200, "what needs no write is answered"
            done = len(crowd.downloads)
            eventually(lambda: len(crowd.downloads) >= done + 4, within=60)
            crowd.end()
            assert [child.name for child in live.supervisor.children if child.process.poll() is not None] == []
            settle(live)
        history = evidence.history(settings.database, settings.media, issued["accessor"], crowd, 3)
        assert chain.verify(settings.database).broken is None
    assert check(history) == []
    assert crowd.broken == []
