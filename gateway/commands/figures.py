"""What two scrapes of a gateway say together: how things stand, and what went on between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from gateway.errors import OperatorError

Key = tuple[str, frozenset[tuple[str, str]]]
#: Routes whose answers last as long as their reader wants, or as a file is long; they say nothing of latency.
LASTING = ("/events", "/stream", "/content", "/media/{video_id}", "/s/{share_id}")


@dataclass(frozen=True)
class Samples:
    """One scrape, read at `at`: seconds on a clock that never goes back."""

    at: float
    values: Mapping[Key, float]

    def of(self, name: str, **labels: str) -> dict[Key, float]:
        """The samples of that name whose labels include these."""
        wanted = labels.items()
        return {key: value for key, value in self.values.items() if key[0] == f"leakdrill_{name}" and wanted <= key[1]}

    def total(self, name: str, **labels: str) -> float | None:
        """Their sum; None where there is none: the database is away, or its event list is still being read."""
        found = self.of(name, **labels)
        return sum(found.values()) if found else None

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Their sums by the value of one label."""
        found: dict[str, float] = {}
        for (_, pairs), value in self.of(name, **labels).items():
            own = dict(pairs).get(label, "")
            found[own] = found.get(own, 0.0) + value
        return found

    def label(self, name: str, label: str) -> str:
        """The value of a label of the first sample of that name; empty where there is none."""
        return next((dict(pairs).get(label, "") for _, pairs in self.of(name)), "")


@dataclass(frozen=True)
class Quantiles:
    """Seconds within which half, 95 % and 99 % lay; None where nothing happened."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class Standing:
    """How things stand. None is what the gateway could not say."""

    replica: str
    version: str
    database_up: bool
    errs_on_purpose: bool
    unread_events: int
    open_streams: int
    gateways: float | None
    waiting: dict[str, float]
    in_progress: float | None
    stalled: float | None
    oldest_waiting_seconds: float | None
    workers: float | None
    slots: float | None
    tokens: dict[str, float]
    late_accepts: float | None
    revocations: float | None
    revoked_tokens: float | None
    webhooks_owed: float | None
    signals_owed: float | None
    events: float | None
    completed: float | None
    failed: dict[str, float]


@dataclass(frozen=True)
class Rates:
    """What went on between two scrapes, a second, over `seconds`. Jobs and revocations are those of all gateways,
    requests and bearers of this one."""

    seconds: float
    jobs: dict[str, float]
    wait: Quantiles
    run: Quantiles
    requests: dict[str, float]
    latency: Quantiles
    errors: dict[str, float]
    bearers: dict[str, float]


JOBS = {
    "accepted": "jobs_queued_total",
    "started": "job_claims_total",
    "completed": "jobs_completed_total",
    "failed": "jobs_failed_total",
    "taken over": "job_reclaims_total",
    "given back": "job_releases_total",
    "stopped": "job_aborts_total",
}


def read(text: str, *, at: float, where: str) -> Samples:
    """The samples of a scrape; raises OperatorError where it is none of a leakdrill gateway."""
    try:
        found = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    except (ValueError, KeyError, IndexError) as exc:
        raise OperatorError(f"{where} did not answer in Prometheus' format: {str(exc)[:200]}") from exc
    if not any(name == "leakdrill_build_info" for name, _ in found):
        raise OperatorError(f"{where} answers, but is no gateway of leakdrill; name one with --url")
    return Samples(at, found)


def standing(now: Samples) -> Standing:
    """How things stand in one scrape."""
    return Standing(
        replica=now.label("build_info", "replica"),
        version=now.label("build_info", "version"),
        database_up=bool(now.total("database_up")),
        errs_on_purpose=bool(now.total("errs_on_purpose")),
        unread_events=int(now.total("events_unread") or 0),
        open_streams=int(now.total("open_streams") or 0),
        gateways=now.total("replicas"),
        waiting=now.by("jobs", "tier", state="queued"),
        in_progress=now.total("jobs", state="in_progress"),
        stalled=now.total("jobs_stalled"),
        oldest_waiting_seconds=now.total("oldest_waiting_seconds"),
        workers=now.total("workers"),
        slots=now.total("worker_slots"),
        tokens=now.by("tokens", "state"),
        late_accepts=now.total("late_accepts_total"),
        revocations=now.total("revocations_total"),
        revoked_tokens=now.total("revoked_tokens_total"),
        webhooks_owed=now.total("webhook_deliveries_pending"),
        signals_owed=now.total("signals_pending"),
        events=now.total("events_listed"),
        completed=now.total("jobs_completed_total"),
        failed=now.by("jobs_failed_total", "code"),
    )


def rates(before: Samples, now: Samples) -> Rates:
    """What went on between the two. A counter that is smaller than before began anew."""
    seconds = max(now.at - before.at, 1e-9)
    rose = Samples(now.at, _rises(before, now))

    def a_second(found: dict[str, float]) -> dict[str, float]:
        return {name: value / seconds for name, value in found.items()}

    # A list that was not read before has not grown by all that it holds.
    known = bool(before.of("jobs_queued_total")) and bool(now.of("jobs_queued_total"))
    jobs = {name: rose.total(metric) or 0.0 for name, metric in JOBS.items()} if known else {}
    latency = {
        key: value
        for key, value in rose.of("http_request_duration_seconds_bucket").items()
        if not dict(key[1])["route"].endswith(LASTING)
    }
    return Rates(
        seconds,
        a_second(jobs),
        _quantiles(rose.of("job_wait_seconds_bucket") if known else {}),
        _quantiles(rose.of("job_run_seconds_bucket") if known else {}),
        a_second(rose.by("http_requests_total", "status")),
        _quantiles(latency),
        a_second(rose.by("api_errors_total", "code")),
        a_second(rose.by("auth_results_total", "result")),
    )


def _rises(before: Samples, now: Samples) -> dict[Key, float]:
    found = {}
    for key, value in now.values.items():
        earlier = before.values.get(key, 0.0)
        found[key] = value - earlier if value >= earlier else value
    return found


def _quantiles(buckets: Mapping[Key, float]) -> Quantiles:
    """Of the sum of histograms, as Prometheus' `histogram_quantile` reckons: evenly within a bucket."""
    below: dict[float, float] = {}
    for (_, pairs), count in buckets.items():
        bound = float(dict(pairs)["le"])
        below[bound] = below.get(bound, 0.0) + count
    ends = sorted(below.items())
    return Quantiles(*(_quantile(share, ends) for share in (0.5, 0.95, 0.99)))


def _quantile(share: float, ends: list[tuple[float, float]]) -> float | None:
    if not ends or not ends[-1][1]:
        return None
    rank, lower, before = share * ends[-1][1], 0.0, 0.0
    for bound, count in ends:
        if count >= rank and count > before:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (rank - before) / (count - before)
        lower, before = bound, count
    return lower
