"""What `leakdrill doctor` looks at; each look finds one thing, and says what to do where it is not as it should be."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import httpx

from gateway import extras
from gateway.errors import OperatorError
from gateway.jobs.surroundings import MARKER
from gateway.serve import listen
from gateway.settings import POSTGRESQL, Settings
from gateway.store.looking import Look, ensure_wal, look
from gateway.store.migrations import steps_from
from gateway.store.schema import VERSION

OLDEST_PYTHON = (3, 11)
# Space: a clip is some megabytes, an event some hundred bytes.
LITTLE_BYTES, TOO_LITTLE_BYTES = 2 * 1024**3, 256 * 1024**2
# No clock that is right shows a time before this program was written, or from far ahead of it.
EARLIEST, LATEST = 1_735_689_600.0, 4_102_444_800.0  # 2025 and 2100
AHEAD_SECONDS = 60.0

Standing = Literal["good", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """What one look found. "note" is no obstacle, "missing" is one; `todo` says what to do about either."""

    name: str
    standing: Standing
    found: str
    todo: str = ""


def findings(settings: Settings) -> Iterator[Finding]:
    """Every look, in the order in which things are needed."""
    yield _python()
    yield from _extras(settings)
    yield _ffmpeg()
    yield _chromium()
    yield _data(settings.data)
    yield _wal(settings)
    yield _space(settings.data)
    yield _gateway_port(settings)
    if extras.lacking("page") is None:
        yield _port("page port", settings.page_host, settings.page_port, "--page-port")
    try:
        found = look(settings.database)
    except OperatorError as exc:
        yield Finding("database", "missing", str(exc), "see docs/postgresql.md" if _on_server(settings) else "")
        yield clock(None, time.time())
    else:
        yield _database(found, _on_server(settings))
        yield _media(settings, found)
        yield clock(found.newest, time.time())


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    fits = tuple(int(part) for part in platform.python_version_tuple()[:2]) >= OLDEST_PYTHON
    return Finding("Python", "good" if fits else "missing", found, "" if fits else "use Python 3.11 or newer")


def _extras(settings: Settings) -> Iterator[Finding]:
    """An extra is needed where a setting asks for it."""
    for extra, modules in extras.EXTRAS.items():
        lacking = extras.lacking(extra)
        if lacking is None:
            yield Finding(f"extra {extra}", "good", ", ".join(f"{module} {_version(module)}" for module in modules))
        else:
            needed = {"postgres": _on_server(settings), "telemetry": bool(settings.otlp_endpoint)}.get(extra, False)
            found = f"{lacking} is not installed"
            yield Finding(f"extra {extra}", "missing" if needed else "note", found, extras.install(extra))


def _version(module: str) -> str:
    try:
        return version({"c2pa": "c2pa-python"}.get(module, module.replace(".", "-")))
    except PackageNotFoundError:
        return "of no known version"


def _ffmpeg() -> Finding:
    """Encodes one frame the way a render does."""
    from fake_model.errors import EncoderError
    from fake_model.export import VideoWriter

    todo = 'pip install --force-reinstall "imageio-ffmpeg", or name a program with IMAGEIO_FFMPEG_EXE'
    try:
        import imageio_ffmpeg

        program = imageio_ffmpeg.get_ffmpeg_exe()
        found = f"{imageio_ffmpeg.get_ffmpeg_version()}, {program}"
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as exc:
        return Finding("ffmpeg", "missing", str(exc).splitlines()[0], todo)
    with tempfile.TemporaryDirectory(prefix="leakdrill-doctor-") as folder:
        clip = Path(folder) / "clip.mp4"
        try:
            with VideoWriter(clip, width=32, height=32, fps=1, qp=20, threads=1, interrupt=lambda: False) as writer:
                writer.write(memoryview(bytes(32 * 32 * 3 // 2)))
                writer.close()
        except EncoderError as exc:
            return Finding("ffmpeg", "missing", f"{found} encodes no H.264: {exc}", todo)
    return Finding("ffmpeg", "good", f"{found}, encodes H.264")


def _chromium() -> Finding:
    path = shutil.which("chromium")
    if path is None:
        return Finding("chromium", "note", "not there; only leakdrill's own tests use it", "apt-get install chromium")
    return Finding("chromium", "good", path)


def _nearest(folder: Path) -> Path:
    """The folder, or what of its path exists: looking creates nothing."""
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())


def _data(folder: Path) -> Finding:
    todo = "set LEAKDRILL_DATA to a directory that you can write"
    nearest = _nearest(folder)
    probe = nearest / f".leakdrill-doctor-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(b"")
        # A worker claims a media directory by a link.
        os.link(probe, probe.with_suffix(".link"))
    except OSError as exc:
        return Finding("data directory", "missing", f"cannot write in {nearest}: {exc.strerror or exc}", todo)
    finally:
        for left in (probe, probe.with_suffix(".link")):
            if left.exists():
                left.unlink()
    there = "writable" if folder.exists() else "is made at the first start"
    return Finding("data directory", "good", f"{folder.absolute()}, {there}")


def _wal(settings: Settings) -> Finding:
    if isinstance(settings.database, str):
        return Finding("SQLite", "good", "not used: LEAKDRILL_DATABASE_URL names a server")
    try:
        ensure_wal(_nearest(settings.database.parent))
    except OperatorError as exc:
        return Finding("SQLite", "missing", str(exc), "set LEAKDRILL_DATA to a local disk, or use PostgreSQL")
    return Finding("SQLite", "good", "write-ahead log works where the database lies")


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(_nearest(folder)).free
    found = f"{free / 1024**3:.1f} GB free"
    if free < TOO_LITTLE_BYTES:
        return Finding("disk", "missing", found, "free some space, or set LEAKDRILL_DATA to another disk")
    return Finding("disk", "note" if free < LITTLE_BYTES else "good", found, "clips need some" * (free < LITTLE_BYTES))


def _gateway_port(settings: Settings) -> Finding:
    """A gateway that answers there is no obstacle: it is why the port is taken."""
    found = _port("gateway port", settings.host, settings.port, "--port")
    if found.standing == "missing":
        try:
            answer = httpx.get(f"{settings.own_url}/healthz", timeout=2.0, trust_env=False)
        except httpx.HTTPError:
            return found
        if "leakdrill-replica" in answer.headers:
            return Finding("gateway port", "good", f"a gateway answers at {settings.own_url}")
    return found


def _port(name: str, host: str, port: int, option: str) -> Finding:
    try:
        listen(host, port).close()
    except OperatorError as exc:
        found = str(exc).split(";", 1)[0]
        return Finding(name, "missing", found, f"choose another with {option}, or stop what uses it")
    return Finding(name, "good", f"{host}:{port} is free")


def _on_server(settings: Settings) -> bool:
    return settings.database_url.startswith(POSTGRESQL)


def _database(found: Look, on_server: bool) -> Finding:
    if found.schema is None:
        return Finding("database", "good", f"{found.server}, empty; the first start makes the tables")
    try:
        due = steps_from("this database", found.schema)
    except OperatorError as exc:
        return Finding(
            "database",
            "missing",
            f"{found.server}: {exc}",
            "install the leakdrill that made it, or name another database",
        )
    if due:
        what = f"{found.server}, schema {found.schema}; this leakdrill reads {VERSION}"
        todo = "leakdrill database migrate" + ("" if on_server else ", or start a gateway, which does so")
        return Finding("database", "missing" if on_server else "note", what, todo)
    return Finding("database", "good", f"{found.server}, schema {found.schema}")


def _media(settings: Settings, found: Look) -> Finding:
    """Whether the clips that the database knows lie where this machine looks for them."""
    folder, marker = settings.media, settings.media / MARKER
    if not folder.exists():
        if found.name is None:
            return Finding("media", "good", f"{folder} is made at the first start")
        return Finding("media", "missing", f"{folder} is not there", "set LEAKDRILL_DATA to the gateway's directory")
    try:
        owner = marker.read_text(encoding="utf-8").strip() if marker.exists() else None
        clips = [path.stat().st_size for path in folder.glob("*.mp4")]
    except OSError as exc:
        return Finding("media", "missing", f"cannot read {folder}: {exc.strerror}", "make it readable")
    if found.name is not None and owner != found.name:
        todo = "give the gateway and every worker the same LEAKDRILL_DATA"
        return Finding("media", "missing", f"{folder} is not this database's", todo)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("media", "missing", f"cannot write in {folder}", "make it writable, or set LEAKDRILL_DATA")
    return Finding("media", "good", f"{folder}, {len(clips)} clips, {sum(clips) / 1e6:.1f} MB")


def clock(newest: float | None, now: float) -> Finding:
    """Whether `now` can be: tokens and links end by it, and the list of events is in its order."""
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    todo = "set this machine's clock, or let it be set from the network"
    if not EARLIEST <= now <= LATEST:
        return Finding("clock", "missing", f"{shown} cannot be", todo)
    if newest is not None and newest > now + AHEAD_SECONDS:
        return Finding("clock", "missing", f"{shown} is {newest - now:.0f} s before the database's newest event", todo)
    return Finding("clock", "good", shown)
