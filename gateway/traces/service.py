"""Reads a clip's marks and looks up what they name. The event list answers for jobs and tokens that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import InvalidRequest
from gateway.store import Connection, Store, events, tokens
from gateway.store.jobs import reference_text


@dataclass(frozen=True)
class TracedJob:
    """The job that a mark names, and its token. Times are Unix seconds; `state` is the token's, None once forgotten."""

    video: str
    queued_at: float
    accessor: str
    principal: str | None
    cohort: str | None
    state: str | None


@dataclass(frozen=True)
class Finding:
    """What a clip says of its origin.

    `reference` is the mark's 64 bits as 16 hexadecimal digits, None where there is no mark that this deployment's key
    reads; `confidence` 0 to 1; `job` None where the reference names no job that was ever queued here.
    """

    reference: str | None
    confidence: float
    score: float
    frames: int
    reason: str
    job: TracedJob | None
    provenance: Mapping[str, Any]


async def trace_clip(store: Store, key: bytes, clip: Path, *, now: float) -> Finding:
    """Traces the file; raises InvalidRequest where it is no video."""
    seen, provenance = await asyncio.to_thread(_look, clip, key)
    reference = None if seen.payload is None else reference_text(seen.payload)
    job = await store.read(lambda tx: _named(tx, reference, now)) if reference is not None else None
    reason = seen.reason
    if reference is not None and job is None:
        reason = f"{reason}; no job with this reference was ever queued here"
    return Finding(reference, seen.confidence, seen.score, seen.frames, reason, job, provenance)


def _look(clip: Path, key: bytes) -> tuple[Any, Mapping[str, Any]]:
    """Both marks, in a thread. Imported here: numpy would cost every gateway's start a quarter of a second."""
    from fake_model import provenance
    from fake_model.trace import NotAVideo, trace

    try:
        seen = trace(clip, key)
    except NotAVideo as exc:
        raise InvalidRequest(f"This is not a video that can be looked at: {exc}", param="body") from exc
    try:
        manifest = provenance.read(clip)
    except provenance.ProvenanceError:
        manifest = provenance.Provenance("absent", "no C2PA manifest: this container is not MP4, so it was stripped")
    return seen, vars(manifest)


def _named(tx: Connection, reference: str, now: float) -> TracedJob | None:
    queued = events.first_of_job(tx, reference)
    if queued is None or queued.job is None or queued.accessor is None:
        return None
    token = tokens.by_accessor(tx, queued.accessor)
    issued = events.first_of_token(tx, queued.accessor)
    told = issued.data if issued else {}
    return TracedJob(
        video=queued.job,
        queued_at=queued.at,
        accessor=queued.accessor,
        principal=str(told["principal"]) if "principal" in told else None,
        cohort=str(told["cohort"]) if "cohort" in told else None,
        state=token.shown_state(now) if token else None,
    )
