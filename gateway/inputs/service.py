"""Uploads: judged by their bytes in at most two threads, kept under the id of the job that starts from them.

A file's name and media type say nothing: clients guess both. Nothing in the inputs directory is ever served; a file
goes when its job has ended, at the latest with the next sweep.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import InvalidRequest, StoreUnavailable
from gateway.outbound import Reach, fetch
from gateway.store import Store, jobs

if TYPE_CHECKING:
    from fake_model.errors import InvalidInput

log = logging.getLogger("leakdrill.gateway")
T = TypeVar("T")

CHECKS_AT_ONCE = 2  # decoders beside the gateway; the rest of the uploads wait, and polls do not
PICTURE_BYTES = 20_000_000
CLIP_SECONDS = 20.0  # that looking at one clip may take
FETCH_SECONDS = 10.0
PICTURES = ("png", "jpeg", "webp")
CLIPS = ("mp4", "mov", "webm")
SWEEP_SECONDS = 15.0
# A request that is still being read owns files that no job names yet.
SETTLING_SECONDS = 900.0


@dataclass(frozen=True)
class Clip:
    """An uploaded clip: pixels, frames per second, and the seconds that a clip made from it has."""

    width: int
    height: int
    fps: float
    seconds: int


class Inputs:
    """The inputs directory and the threads that look at what comes in. `reach` is where URLs may lead to."""

    def __init__(self, folder: Path, reach: Reach) -> None:
        self._folder = folder
        self._reach: Reach = reach
        self._threads = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="inputs")

    def close(self) -> None:
        """Takes no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check_picture(self, file: Path, size: str, *, param: str) -> None:
        """Raises InvalidRequest (`invalid_image`) unless the file is a whole picture of exactly `size`."""
        width, height = (int(part) for part in size.split("x"))

        def look() -> None:
            from fake_model.sources import check_picture

            _ensure_kind(file, PICTURES, "a PNG, JPEG or WebP picture", param, "invalid_image")
            check_picture(file, width, height)

        await self._judged(look, param, "invalid_image")

    async def size_of_picture(self, file: Path, *, param: str) -> str:
        """The size of a picture, "WxH" in pixels; raises InvalidRequest (`invalid_image`) for what is none."""

        def look() -> str:
            from fake_model.sources import picture_size

            _ensure_kind(file, PICTURES, "a PNG, JPEG or WebP picture", param, "invalid_image")
            width, height = picture_size(file)
            return f"{width}x{height}"

        return await self._judged(look, param, "invalid_image")

    async def look_at_clip(self, file: Path, *, param: str) -> Clip:
        """What a clip is; raises InvalidRequest (`invalid_video`) unless it is one that can be decoded, of 120 s at
        the most."""

        def look() -> Clip:
            from fake_model.sources import probe, whole_seconds

            _ensure_kind(file, CLIPS, "an MP4, MOV or WebM clip", param, "invalid_video")
            found = probe(file, timeout=CLIP_SECONDS)
            return Clip(found.width, found.height, found.fps, whole_seconds(found))

        return await self._judged(look, param, "invalid_video")

    async def palette(self, file: Path, *, param: str) -> tuple[tuple[int, int, int], ...]:
        """The dominant colours of an MP4 clip, as RGB triples; raises InvalidRequest (`invalid_video`)."""

        def look() -> tuple[tuple[int, int, int], ...]:
            from fake_model.sources import palette_of

            _ensure_kind(file, ("mp4",), "an MP4 clip", param, "invalid_video")
            return palette_of(file, timeout=CLIP_SECONDS)

        return await self._judged(look, param, "invalid_video")

    async def fetched(self, url: str, *, param: str) -> Path:
        """The bytes behind a data URL (RFC 2397, base64) or an http(s) URL as a file, which the caller removes.

        Raises UrlRefused, FetchFailed or InvalidRequest (`invalid_image`).
        """
        loop = asyncio.get_running_loop()
        if url[:5].lower() == "data:":
            raw = await loop.run_in_executor(self._threads, _decoded, url, param)
        else:
            raw = await fetch(
                url, allow_private=self._reach, max_bytes=PICTURE_BYTES, timeout=FETCH_SECONDS, param=param
            )
        return await loop.run_in_executor(self._threads, self._spooled, raw)

    def keep(self, file: Path, name: str) -> None:
        """Moves a checked upload to where the job's worker finds it."""
        file.rename(self._folder / name)

    def keep_linked(self, file: Path, name: str) -> None:
        """Keeps a clip of ours for a job, so that deleting its video meanwhile does not break the job.

        A hard link costs nothing; a copy where the file system has no links. Raises FileNotFoundError.
        """
        self._folder.mkdir(exist_ok=True)
        try:
            os.link(file, self._folder / name)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(file, self._folder / name)

    def drop(self, name: str | None) -> None:
        """Removes what was kept under this name, if anything was."""
        if name is not None:
            (self._folder / name).unlink(missing_ok=True)

    async def run(self, store: Store) -> None:
        """Sweeps every 15 s until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                # Wall time whatever the clock of the exercise is: it is compared with times of files.
                await self.sweep(store, now=time.time())
            except StoreUnavailable as exc:
                log.warning("action=sweep_failed reason=%s", exc)

    async def sweep(self, store: Store, *, now: float) -> int:
        """Removes the files of jobs that have ended, whoever ended them, and uploads that a dead gateway left; how
        many. `now` is wall time, Unix seconds."""
        kept = {path: path.name.partition(".")[0] for path in self._folder.glob("video_*")}
        wanted = await store.read(lambda tx: jobs.unended(tx, kept.values())) if kept else set()
        gone = 0
        for path, job in kept.items():
            if job not in wanted and _age(path, now) > 60:
                path.unlink(missing_ok=True)
                gone += 1
        for path in self._folder.glob("incoming-*"):
            if _age(path, now) > SETTLING_SECONDS:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def _spooled(self, raw: bytes) -> Path:
        self._folder.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="incoming-", delete=False) as file:
            file.write(raw)
        return Path(file.name)

    async def _judged(self, look: Callable[[], T], param: str, code: str) -> T:
        def judged() -> T:
            from fake_model.errors import InvalidInput

            try:
                return look()
            except InvalidInput as exc:
                raise _refused(exc, param, code) from exc

        return await asyncio.get_running_loop().run_in_executor(self._threads, judged)


def _ensure_kind(file: Path, kinds: tuple[str, ...], wanted: str, param: str, code: str) -> None:
    from fake_model.sources import sniff

    with file.open("rb") as opened:
        kind = sniff(opened.read(64))
    if kind not in kinds:
        found = f"its bytes are {kind}" if kind else "its bytes are nothing that is known here"
        raise InvalidRequest(f"{param} must be {wanted}; {found}.", param=param, code=code)


def _refused(found: InvalidInput, param: str, code: str) -> InvalidRequest:
    return InvalidRequest(f"{param} must be {found.allowed}.", param=param, code=code)


def _decoded(url: str, param: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise InvalidRequest(f"{param} must be a data URL in base64: data:image/png;base64,…", param=param)
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidRequest(f"{param} holds a data URL whose base64 is broken.", param=param) from exc
    if len(raw) > PICTURE_BYTES:
        raise InvalidRequest(
            f"{param} must be a picture of at most {PICTURE_BYTES} bytes.", param=param, code="invalid_image"
        )
    return raw


def _age(path: Path, now: float) -> float:
    try:
        # Renaming and linking move this time, and leave the content's alone.
        return now - path.stat().st_ctime
    except FileNotFoundError:
        return 0.0
