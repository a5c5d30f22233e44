"""Which latency profile is in force: kept in the exercise's row, whole, so that every worker reads the same one.

A profile that is set for a time steps back by itself: whoever reads it after its end reads the one before. Nothing has
to fire.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

from gateway.errors import InvalidRequest
from gateway.events import EventKind
from gateway.faults.profiles import Load, Profile, draw, expected_seconds, load_folder
from gateway.store import Connection, Store, events, exercise, jobs, workers
from gateway.store.jobs import Job, RenderRequest

INSTANT = "instant"
WORKER_SILENCE_SECONDS = workers.SILENCE_SECONDS
# What the queue's estimate assumes of the jobs in line.
TYPICAL = RenderRequest(prompt="", model="standard", variant="standard", size="1280x720", seconds=4, fps=30, seed=0)


@dataclass(frozen=True)
class InForce:
    """A profile at work. `speed` divides every simulated time; `since` and `until` are Unix seconds, `until` None
    where it stays."""

    profile: Profile
    speed: float
    seed: int
    since: float
    until: float | None

    def hold_seconds(self, job_id: str, request: RenderRequest, load: Load) -> float:
        """How long this job keeps its slot, in seconds of this clock."""
        return draw(self.profile, self.seed, job_id, request, load) / self.speed


@dataclass(frozen=True)
class Latency:
    """The profile in force, and the one that follows when its time is over; `then` None where it stays."""

    now: InForce
    then: InForce | None


@dataclass(frozen=True)
class Wanted:
    """What an operator asks for. `for_seconds` None means until told otherwise."""

    name: str
    speed: float = 1.0
    seed: int = 1
    for_seconds: float | None = None


@lru_cache
def available(profiles_dir: str) -> dict[str, Profile]:
    """The profiles that ship, and those of `profiles_dir` (empty: none), which may replace any but `instant`.

    Raises OperatorError for a file that is no profile.
    """
    with as_file(files("seeds").joinpath("profiles")) as folder:
        shipped = load_folder(folder)
    own = load_folder(Path(profiles_dir)) if profiles_dir else {}
    return {**shipped, **own, INSTANT: shipped[INSTANT]}


async def show(store: Store, now: float) -> Latency:
    """What is in force at `now`."""
    return await store.read(lambda tx: present(tx, now))


async def set_profile(store: Store, profiles: dict[str, Profile], wanted: Wanted, *, now: float, actor: str) -> Latency:
    """Puts a profile in force from now on; raises InvalidRequest naming those that there are."""
    profile = profiles.get(wanted.name)
    if profile is None:
        raise InvalidRequest(
            f"There is no latency profile {wanted.name[:80]!r}; there are {', '.join(sorted(profiles))}.", param="name"
        )

    def work(tx: Connection) -> Latency:
        before = present(tx, now)
        until = None if wanted.for_seconds is None else now + wanted.for_seconds
        fresh = InForce(profile, wanted.speed, wanted.seed, now, until)
        # One that was timed itself is no state to return to: what stays is the one below it.
        then = None if until is None else before.then or before.now
        exercise.set_profile(tx, _text(Latency(fresh, then)))
        data = {"name": profile.name, "speed": wanted.speed, "seed": wanted.seed, "until": until}
        events.append(tx, EventKind.PROFILE_SET, at=now, actor=actor, data=data)
        return Latency(fresh, then)

    return await store.write(work)


def present(tx: Connection, now: float) -> Latency:
    """What is in force at `now`, in the caller's transaction."""
    stored = _parsed(exercise.profile(tx))
    if stored.then is not None and stored.now.until is not None and now >= stored.now.until:
        return Latency(replace(stored.then, since=stored.now.until), None)
    return stored


def holds_of(tx: Connection, claimed: Sequence[Job], now: float) -> list[float]:
    """Seconds for which each of these jobs, just claimed, keeps its slot at the least; 0 under `instant`."""
    in_force = present(tx, now).now
    if in_force.profile.instant:
        return [0.0] * len(claimed)
    load = _load(tx, now)
    return [in_force.hold_seconds(job.id, job.request, load) for job in claimed]


def guess(in_force: InForce, load: Load) -> float | None:
    """Seconds that a job should take by this profile under this load; None under `instant`."""
    if in_force.profile.instant:
        return None
    return expected_seconds(in_force.profile, TYPICAL, load) / in_force.speed


def _load(tx: Connection, now: float) -> Load:
    counts = jobs.queue_counts(tx)
    slots = sum(worker.slots for worker in workers.alive(tx, now - WORKER_SILENCE_SECONDS))
    return Load(counts.waiting, counts.running, max(1, slots))


def _text(latency: Latency) -> str:
    return json.dumps({"now": _values(latency.now), "then": _values(latency.then) if latency.then else None})


def _values(one: InForce) -> dict[str, object]:
    return {**vars(one), "profile": one.profile.model_dump()}


@lru_cache(maxsize=16)
def _parsed(text: str | None) -> Latency:
    if text is None:
        return Latency(InForce(available("")[INSTANT], 1.0, 1, 0.0, None), None)
    values = json.loads(text)
    return Latency(_in_force(values["now"]), _in_force(values["then"]) if values["then"] else None)


def _in_force(values: dict[str, object]) -> InForce:
    return InForce(**{**values, "profile": Profile.model_validate(values["profile"])})  # type: ignore[arg-type]
