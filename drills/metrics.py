"""Figures of a drill, each with both ends named. None is unknown, never 0.

Terms: exposure window (published until the last accepted use began), revocation lag (acknowledgement until the last
accepted use began, per surface), collateral (uninvolved tokens denied), blast radius (what the leaked tokens did).
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from drills.history import Exchange, Outcome
from drills.journal import Journal


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Part):
    """A length of time, in real seconds and in replay minutes."""

    seconds: float | None
    replay_minutes: float | None


class Tally(_Part):
    """Requests with leaked tokens on one side of the acknowledgement."""

    requests: int
    accepted: int
    refused: int
    limited: int
    other: int
    submits_accepted: int
    submits_refused: int


class Collateral(_Part):
    """What the cut did to tokens that were not leaked."""

    held: int
    accepted_before: int
    denied_after: int | None
    revoked: int | None


class Metrics(_Part):
    """See the module. `before` and `after` split at the acknowledgement by each request's start."""

    before: Tally | None
    after: Tally | None
    jobs_queued_stopped: int | None
    jobs_running_stopped: int | None
    tokens_revoked: int | None
    leaked_tokens_used: int
    clips_fetched: int
    bytes_fetched: int
    published_to_last_accepted: Span
    published_to_surfaces_dead: Span
    published_to_acknowledged: Span
    call_to_acknowledged: float | None
    last_accepted_after_ack: float | None
    first_refused_after_ack: float | None
    greatest_lag: float | None
    queue_peak: int | None
    queue_empty_after_ack: float | None
    collateral: Collateral


def measure(journal: Journal) -> Metrics:
    """All figures, from the journal alone."""
    leaked = {token.accessor for token in journal.tokens if token.leaked}
    uses = [each for each in journal.exchanges if each.accessor in leaked]
    accepted = [each.start for each in uses if each.outcome == "accepted"]
    ack = acknowledged(journal)
    published = published_at(journal)
    fetched = [each for each in uses if each.outcome == "accepted" and each.bytes is not None]
    lags = [each.lag for each in journal.verdict.surfaces if each.lag is not None]
    refused = [each.start for each in uses if each.outcome == "refused" and ack is not None and each.start >= ack]
    revoke = journal.revoke
    return Metrics(
        before=_tally([each for each in uses if each.start < ack]) if ack is not None else None,
        after=_tally([each for each in uses if each.start >= ack]) if ack is not None else None,
        jobs_queued_stopped=revoke.queued if revoke else None,
        jobs_running_stopped=revoke.running if revoke else None,
        tokens_revoked=revoke.tokens if revoke else None,
        leaked_tokens_used=len({each.accessor for each in uses if each.outcome == "accepted"}),
        clips_fetched=len(fetched),
        bytes_fetched=sum(each.bytes or 0 for each in fetched),
        published_to_last_accepted=_span(journal, published, max(accepted, default=None)),
        published_to_surfaces_dead=_span(journal, published, _surfaces_dead(journal)),
        published_to_acknowledged=_span(journal, published, ack),
        call_to_acknowledged=round(ack - revoke.start, 6) if ack is not None and revoke else None,
        last_accepted_after_ack=round(max(accepted) - ack, 6) if ack is not None and accepted else None,
        first_refused_after_ack=round(min(refused) - ack, 6) if ack is not None and refused else None,
        greatest_lag=max(lags) if lags and len(lags) == len(journal.verdict.surfaces) else None,
        queue_peak=max((sample.waiting for sample in journal.samples), default=None),
        queue_empty_after_ack=_queue_empty(journal, ack),
        collateral=_collateral(journal, ack),
    )


def acknowledged(journal: Journal) -> float | None:
    """The second at which the revoke call answered with success."""
    revoke = journal.revoke
    return revoke.end if revoke and revoke.outcome == "acknowledged" else None


def published_at(journal: Journal) -> float | None:
    """The second at which the page was opened; None where it was not, and where nothing leaks."""
    line = journal.scenario.first("leak_posted")
    return next((played.fired for played in journal.msel if line and played.line == line.id), None)


def replay_minute(journal: Journal, second: float) -> float | None:
    """The replay minute of a second of the drill; None when the replay clock never ran."""
    if journal.replay_zero is None:
        return None
    return round((second - journal.replay_zero) * journal.speed / 60, 4)


def _span(journal: Journal, start: float | None, end: float | None) -> Span:
    if start is None or end is None:
        return Span(seconds=None, replay_minutes=None)
    seconds = round(end - start, 6)
    return Span(seconds=seconds, replay_minutes=round(seconds * journal.speed / 60, 4))


def _tally(uses: Sequence[Exchange]) -> Tally:
    def count(outcome: Outcome, surface: str | None = None) -> int:
        return sum(each.outcome == outcome and surface in (None, each.surface) for each in uses)

    accepted, refused, limited = count("accepted"), count("refused"), count("limited")
    return Tally(
        requests=len(uses),
        accepted=accepted,
        refused=refused,
        limited=limited,
        other=len(uses) - accepted - refused - limited,
        submits_accepted=count("accepted", "submit"),
        submits_refused=count("refused", "submit"),
    )


def _surfaces_dead(journal: Journal) -> float | None:
    """The second at which the last surface gave its first refusal; None unless every surface is dead."""
    ack, surfaces = acknowledged(journal), journal.verdict.surfaces
    if ack is None or not surfaces or any(each.after != "dead" for each in surfaces):
        return None
    return ack + max((each.first_refused for each in surfaces if each.first_refused is not None), default=0.0)


def _queue_empty(journal: Journal, ack: float | None) -> float | None:
    """Seconds from the acknowledgement to the first look at the queue that found nothing waiting or running."""
    if ack is None:
        return None
    empty = [each.at for each in journal.samples if each.at >= ack and each.waiting + each.running == 0]
    return round(min(empty) - ack, 6) if empty else None


def _collateral(journal: Journal, ack: float | None) -> Collateral:
    bystanders = {token.accessor for token in journal.tokens if not token.leaked}
    uses = [each for each in journal.exchanges if each.actor == "bystander"]
    before = {each.accessor for each in uses if each.outcome == "accepted" and (ack is None or each.end <= ack)}
    tried = {each.accessor for each in uses if ack is not None and each.start >= ack}
    denied = {each.accessor for each in uses if each.outcome == "refused" and ack is not None and each.start >= ack}
    revoke = journal.revoke
    return Collateral(
        held=len(bystanders),
        accepted_before=len(before),
        denied_after=len(denied) if tried else None,
        revoked=len(bystanders & set(revoke.accessors)) if revoke and ack is not None else None,
    )
