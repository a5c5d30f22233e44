"""A scrape as Prometheus' families of metrics. All of them are there at every scrape, with or without samples; labels
take their values from lists that the gateway knows, and whatever is not in one is `other`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from gateway import __version__
from gateway.events import EventKind
from gateway.metrics.counts import AUTH_RESULTS, OTHER, REQUEST_BOUNDS, Histogram
from gateway.metrics.service import Scrape
from gateway.metrics.tally import JOB_CODES, SPAN_BOUNDS, Tally
from gateway.store.metrics import Standing

KINDS = frozenset(map(str, EventKind))
TOKEN_STATES = ("active", "quarantined", "suspended", "revoked", "expired")
JOB_STATES = ("queued", "in_progress")
REFUSALS = ("revoked", "expired", "suspended", "quarantined", "scope")
MOST_SURFACES = 80

Samples = Iterable[tuple[tuple[str, ...], float]]


def families(scrape: Scrape) -> Iterator[Metric]:
    """Everything, in the order of the documentation."""
    return chain.from_iterable(by_source(scrape).values())


def by_source(scrape: Scrape) -> dict[str, Iterator[Metric]]:
    """The same by where it comes from: the heading that the documentation has for it."""
    return {
        "What this gateway does": _of_process(scrape),
        "How things stand": _of_standing(scrape, scrape.standing),
        "What the event list tells": chain(_of_jobs(scrape.tally), _of_events(scrape.tally)),
    }


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = GaugeMetricFamily(f"leakdrill_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = CounterMetricFamily(f"leakdrill_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(
    name: str,
    text: str,
    labels: tuple[str, ...],
    bounds: tuple[float, ...],
    samples: Iterable[tuple[tuple[str, ...], Histogram]],
) -> Metric:
    family = HistogramMetricFamily(f"leakdrill_{name}", text, labels=labels)
    ends = [*map(floatToGoString, bounds), "+Inf"]
    for values, histogram in samples:
        below, buckets = 0, []
        for end, count in zip(ends, histogram.counts, strict=True):
            below += count
            buckets.append((end, float(below)))
        family.add_metric(values, buckets, histogram.seconds)
    return family


def _of_process(scrape: Scrape) -> Iterator[Metric]:
    """What this gateway itself has done since it started."""
    own, counts = (scrape.replica,), scrape.counts
    replica = ("replica",)
    yield _gauge("build_info", "The program's version, as a label.", ("replica", "version"), [((*own, __version__), 1)])
    database = [(own, float(scrape.standing is not None))]
    yield _gauge("database_up", "Whether the database answered this scrape.", replica, database)
    yield _gauge(
        "scrape_seconds", "How long reading the database took for this scrape.", replica, [(own, scrape.seconds)]
    )
    yield _gauge("events_unread", "Events that this scrape had no time for.", replica, [(own, scrape.unread)])
    wrong = "Whether this gateway was told to do anything wrong: a defect, or late knowledge of revocations."
    yield _gauge("errs_on_purpose", wrong, replica, [(own, float(scrape.errs))])
    yield _gauge(
        "open_streams", "Event streams of owners that are open in this gateway.", replica, [(own, scrape.streams)]
    )
    by_route = ("replica", "method", "route", "status")
    requests = [((*own, *labels), histogram) for labels, histogram in sorted(counts.requests.items())]
    totals = ((labels, histogram.total) for labels, histogram in requests)
    yield _counter("http_requests", "Requests that were answered.", by_route, totals)
    latency = "Time from a request's head to its answer's last byte, in seconds."
    yield _histogram("http_request_duration_seconds", latency, by_route, REQUEST_BOUNDS, requests)
    errors = (((*own, code), count) for code, count in sorted(counts.errors.items()))
    yield _counter("api_errors", "Errors that were answered, by the envelope's code.", ("replica", "code"), errors)
    results = (((*own, result), counts.auth[result]) for result in AUTH_RESULTS)
    yield _counter("auth_results", "What came of showing a bearer, or none.", ("replica", "result"), results)


def _of_standing(scrape: Scrape, standing: Standing | None) -> Iterator[Metric]:
    """How things stand in the database; no samples where it did not answer."""

    def one(value: float) -> Samples:
        return [((), value)]

    some = standing is not None
    tiers = [*sorted(scrape.tiers), OTHER]
    depths: Samples = []
    if standing is not None:
        jobs: Counter[tuple[str, str]] = Counter()
        for (state, tier), count in standing.jobs.items():
            jobs[state, tier if tier in scrape.tiers else OTHER] += count
        depths = [((state, tier), jobs[state, tier]) for state in JOB_STATES for tier in tiers]
    yield _gauge("jobs", "Jobs that have not ended, by state and the tier of their token.", ("state", "tier"), depths)
    age = 0.0 if standing is None or standing.oldest is None else max(0.0, scrape.now - standing.oldest)
    oldest = "How long the job that came first has waited, in seconds; 0 where none waits."
    yield _gauge("oldest_waiting_seconds", oldest, (), one(age) if some else [])
    stalled = "Jobs in progress whose worker fell silent, and that nobody has taken over yet."
    yield _gauge("jobs_stalled", stalled, (), one(standing.stalled) if standing else [])
    yield _gauge("workers", "Workers that are alive.", (), one(standing.workers) if standing else [])
    yield _gauge("worker_slots", "Renders that they can do at a time.", (), one(standing.slots) if standing else [])
    yield _gauge(
        "replicas", "Gateways on this database that are alive.", (), one(standing.replicas) if standing else []
    )
    states = [((state,), standing.tokens.get(state, 0)) for state in TOKEN_STATES] if standing else []
    yield _gauge("tokens", "Tokens, by state.", ("state",), states)
    uses = _bounded(standing.accepts) if standing else {}
    accepts = (((surface,), count) for surface, count in sorted(uses.items()))
    yield _counter(
        "token_accepts", "Uses of tokens that were accepted, by surface, links included.", ("surface",), accepts
    )
    late = "Uses that were accepted although they began after the revocation was acknowledged; 0 in strict."
    yield _counter("late_accepts", late, (), one(standing.late) if standing else [])
    owed = one(standing.webhooks) if standing else []
    yield _gauge("webhook_deliveries_pending", "Webhook deliveries that are owed.", (), owed)
    owed = one(standing.signals) if standing else []
    yield _gauge("signals_pending", "Security events that sinks are owed.", (), owed)
    yield _gauge("events_listed", "Length of the event list.", (), one(standing.events) if standing else [])


def _bounded(surfaces: Mapping[str, int]) -> Mapping[str, int]:
    """By surface; beyond MOST_SURFACES, which is more than there are, the rest together."""
    found: Counter[str] = Counter()
    for number, (surface, count) in enumerate(sorted(surfaces.items())):
        found[surface if number < MOST_SURFACES else OTHER] += count
    return found


def _of_jobs(tally: Tally | None) -> Iterator[Metric]:
    """What became of jobs; no samples before the event list was read to its end."""

    def kind(name: str) -> Samples:
        return [((), tally.kind(name))] if tally else []

    yield _counter("jobs_queued", "Jobs that were accepted.", (), kind("job.queued"))
    yield _counter("job_claims", "Jobs that a worker took from the line.", (), kind("job.started"))
    yield _counter("job_reclaims", "Jobs that a worker took over from one that fell silent.", (), kind("job.reclaimed"))
    stalls = [((), tally.kind("job.reclaimed") + tally.failed["worker_lost"])] if tally else []
    yield _counter("job_stalls", "Attempts that ended because their worker fell silent.", (), stalls)
    yield _counter("job_releases", "Jobs that a stopping worker gave back to the line.", (), kind("job.released"))
    reasons = [((reason,), tally.aborted[reason]) for reason in ("cancelled", "revoked")] if tally else []
    yield _counter("job_aborts", "Renders that were stopped under way, by whom.", ("reason",), reasons)
    yield _counter("jobs_completed", "Jobs that ended with a clip.", (), kind("job.completed"))
    codes = [((code,), tally.failed[code]) for code in (*sorted(JOB_CODES), OTHER)] if tally else []
    yield _counter("jobs_failed", "Jobs that ended without a clip, by the error's code.", ("code",), codes)
    waits = [((tier,), histogram) for tier, histogram in sorted(tally.waits.items())] if tally else []
    wait = "Time from a job's acceptance to its first start, by the tier of its token."
    yield _histogram("job_wait_seconds", wait, ("tier",), SPAN_BOUNDS, waits)
    runs = [((), tally.runs)] if tally else []
    yield _histogram("job_run_seconds", "Time from a job's first start to its clip.", (), SPAN_BOUNDS, runs)


def _of_events(tally: Tally | None) -> Iterator[Metric]:
    """What else the list tells."""
    kinds: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    for (kind, what), count in tally.kinds.items() if tally else ():
        kinds[kind if kind in KINDS else OTHER] += count
        if kind == "request.refused":
            refusals[what if what in REFUSALS else OTHER] += count
    applied = [((), tally.kind("revocation.applied"))] if tally else []
    yield _counter("revocations", "Revocations that were applied.", (), applied)
    tokens = [((), tally.revoked_tokens)] if tally else []
    yield _counter("revoked_tokens", "Tokens that they ended.", (), tokens)
    took = [((), tally.revocations)] if tally else []
    duration = "Time from a revocation's request to its acknowledgement, in seconds."
    yield _histogram("revocation_duration_seconds", duration, (), REQUEST_BOUNDS, took)
    refused = [((reason,), refusals[reason]) for reason in (*REFUSALS, OTHER)] if tally else []
    yield _counter(
        "known_token_refusals", "Refused requests of tokens that are known, by reason.", ("reason",), refused
    )
    states = ("delivered", "dead", "stopped")
    ended = [((state,), tally.webhooks[state]) for state in states] if tally else []
    yield _counter("webhook_deliveries", "Webhook deliveries that ended, by state.", ("state",), ended)
    states = ("delivered", "dead", "dropped")
    ended = [((state,), tally.signals[state]) for state in states] if tally else []
    yield _counter("signals", "Security events whose delivery ended, by state.", ("state",), ended)
    listed = (((kind,), count) for kind, count in sorted(kinds.items()))
    yield _counter("events", "Events of the list, by kind.", ("kind",), listed)
