"""What a gateway or a worker looks at before it does anything: do its media directory and its version suit the others?

The first that starts names the database and writes that name into its media directory. Whoever comes later must find it
there: a worker that put its clips elsewhere would complete videos that no gateway can serve.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateway import __version__
from gateway.errors import OperatorError
from gateway.settings import Settings
from gateway.store import Connection, deployment, open_store, workers
from gateway.store.workers import PROTOCOL, SILENCE_SECONDS, Worker

MARKER = ".database"


async def ensure_fit(settings: Settings, now: float) -> None:
    """Raises OperatorError where a start would go wrong; nothing is claimed or served before."""
    store = open_store(settings.database)
    try:
        ensure_same_protocol(await store.read(lambda tx: workers.alive(tx, now - SILENCE_SECONDS)))
        name = await store.read(deployment.name)
        marker = settings.media / MARKER
        if name is None:
            proposed = _read(marker) or _claim(marker)  # first: a name without its marker would shut everybody out

            def work(tx: Connection) -> str | None:
                deployment.give_name(tx, proposed)
                return deployment.name(tx)

            name = await store.write(work)
        _ensure_own(marker, str(name))
    finally:
        await store.close()


def ensure_same_protocol(alive: Sequence[Worker]) -> None:
    """Raises OperatorError where a worker that lives does not understand what this version writes."""
    for worker in alive:
        if worker.protocol != PROTOCOL:
            raise OperatorError(
                f"worker {worker.name} runs leakdrill {worker.version} with protocol {worker.protocol}; this is "
                f"{__version__} with protocol {PROTOCOL}, and the two do not work side by side; stop the workers of "
                f"one version, wait {SILENCE_SECONDS:.0f} s, and start again"
            )


def _ensure_own(marker: Path, name: str) -> None:
    found = _read(marker)
    if found == name:
        return
    here = f"{marker.parent.resolve()} is not the media directory of this database"
    why = "it is another database's" if found else "the gateways use another, or what says whose it is was deleted"
    raise OperatorError(
        f"{here}: {why}; give every gateway and worker the same LEAKDRILL_DATA, or a shared media directory in it. "
        f"If it is the right one: echo {name} > {marker}"
    )


def _read(marker: Path) -> str | None:
    try:
        return marker.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise OperatorError(
            f"cannot read {marker}: {exc}; make it readable, or point LEAKDRILL_DATA elsewhere"
        ) from exc


def _claim(marker: Path) -> str:
    """The name in the marker, which is made now unless it is there; of several who start at once, one makes it."""
    fresh = marker.with_name(f"{marker.name}.{os.getpid()}")
    try:
        fresh.write_text(f"{secrets.token_hex(8)}\n", encoding="utf-8")
        with suppress(FileExistsError):
            os.link(fresh, marker)
        fresh.unlink()
    except OSError as exc:
        raise OperatorError(
            f"cannot write in {marker.parent}: {exc.strerror}; set LEAKDRILL_DATA to a directory you can write, on a "
            "file system that has links"
        ) from exc
    return _read(marker) or ""
