"""What became of the jobs of revoked tokens, read from the gateway's event list.

A revoked token cannot be used to ask about its jobs, so this one surface rests on the gateway's own record. The order
of the list (`seq`) decides, not the server's clock.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drills.replies import GatewayEvent

Stood = Literal["queued", "running", "ended"]

GOES_ON = frozenset({"job.queued", "job.started", "job.reclaimed", "job.completed"})
STANDS_AFTER: Mapping[str, Stood] = MappingProxyType(
    {
        "job.queued": "queued",
        "job.released": "queued",
        "job.started": "running",
        "job.reclaimed": "running",
        "job.completed": "ended",
        "job.failed": "ended",
        "job.cancelled": "ended",
        "job.deleted": "ended",
    }
)


class JobTrace(BaseModel):
    """One job of a revoked token around the revocation.

    `stood` is where it was when the revocation was applied. `late` lists events after it that mean the job went on,
    with the server's seconds between the two.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str
    accessor: str
    stood: Stood
    late: list[tuple[str, float]] = []

    def forgiven(self, bound: float) -> "JobTrace":
        """Without what happened within `bound` seconds; and without what became of a job that was taken within them."""
        if not bound or not self.late:
            return self
        taken_in_time = self.stood == "ended" and self.late[0][1] < bound
        late = [] if taken_in_time else [one for one in self.late if one[1] >= bound]
        return self.model_copy(update={"late": late})


def trace_jobs(
    events: Iterable[GatewayEvent], revocation: str, accessors: Set[str], stop_within: float
) -> list[JobTrace] | None:
    """One trace per job of `accessors`; None when the revocation is not in the list.

    Args:
        events: the list in order of `seq`.
        revocation: id of the revocation, as `revocation.applied` carries it.
        stop_within: seconds for which a running job may still report progress.
    """
    ordered = sorted(events, key=lambda event: event.seq)
    cut = next(
        (each for each in ordered if each.kind == "revocation.applied" and each.data.get("id") == revocation), None
    )
    if cut is None:
        return None
    by_job: dict[str, list[GatewayEvent]] = defaultdict(list)
    for event in ordered:
        if event.job and event.kind.startswith("job."):
            by_job[event.job].append(event)
    traces = [_trace(job, own, cut, stop_within) for job, own in by_job.items() if _owner(own) in accessors]
    return sorted(traces, key=lambda trace: trace.job)


def _owner(events: list[GatewayEvent]) -> str:
    return next((event.accessor for event in events if event.accessor), "")


def _trace(job: str, events: list[GatewayEvent], cut: GatewayEvent, stop_within: float) -> JobTrace:
    stood: Stood = "ended" if events[0].seq > cut.seq else "queued"
    late = []
    for event in events:
        if event.seq < cut.seq:
            # An ending that the revocation itself wrote may stand just before it in the list.
            stood = stood if event.data.get("code") == "access_revoked" else STANDS_AFTER.get(event.kind, stood)
        elif event.kind in GOES_ON or (event.kind == "job.progressed" and event.at - cut.at > stop_within):
            late.append((event.kind, round(event.at - cut.at, 6)))
    return JobTrace(job=job, accessor=_owner(events), stood=stood, late=late)
