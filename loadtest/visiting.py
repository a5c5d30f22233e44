"""One session: submit, poll as told, fetch the clip, sometimes delete it; or be refused, or lose patience."""

from __future__ import annotations

import random
from dataclasses import dataclass

from loadtest.arrivals import Arrival
from loadtest.client import Line, OpenAIClient, Reply, Session
from loadtest.history import Outcome, Visit

PENDING = ("queued", "in_progress")


@dataclass
class _Seen:
    """How far a session has come. Seconds of the schedule."""

    submitted: float | None = None
    begun: float | None = None
    done: float | None = None
    outcome: Outcome = "cut"
    code: str = ""


def visit(arrival: Arrival, session: Session, line: Line, token: str, *, handed: float, held: bool, seed: int) -> None:
    """Plays the session and keeps it, also where it is cut off.

    Args:
        handed: when it was handed out.
        held: whether no user was free then.
        seed: for the jitter of the client's retries.
    """
    chance = random.Random(f"retries {seed} {arrival.n}")
    client = OpenAIClient(session, line, token, arrival.token, arrival.n, arrival.person, chance)
    started = line.now()
    seen = _Seen()
    try:
        _stay(arrival, client, line, seen, started)
    finally:
        line.history.visits.append(
            Visit(
                process=0,
                session=arrival.n,
                person=arrival.person,
                token=arrival.token,
                due=arrival.due,
                handed=handed,
                started=started,
                ended=line.now(),
                held=held,
                outcome=seen.outcome,
                submitted=seen.submitted,
                begun=seen.begun,
                done=seen.done,
                code=seen.code,
            )
        )


def _stay(arrival: Arrival, client: OpenAIClient, line: Line, seen: _Seen, started: float) -> None:
    clip = arrival.clip
    reply = client.create(arrival.prompt, clip.model, clip.seconds, clip.size)
    video = str(reply.body.get("id") or "")
    if not reply.ok or not video:
        _end(seen, reply)
        return
    seen.submitted = reply.ended
    interval: float | None = None
    while True:
        reply = client.retrieve(video)
        if not reply.ok:
            _end(seen, reply)
            return
        status = reply.body.get("status")
        if status != "queued" and seen.begun is None:
            seen.begun = reply.ended
        if status not in PENDING:
            break
        if interval is None:  # the first hint counts for the whole wait, as with the client's own helper
            interval = reply.poll_after
        left = started + arrival.patience - line.now()
        if left <= interval:
            line.sleep(max(0.0, left))
            seen.outcome = "gave_up"
            return
        line.sleep(interval)
    seen.done = reply.ended
    _take(arrival, client, video, reply, seen)


def _take(arrival: Arrival, client: OpenAIClient, video: str, reply: Reply, seen: _Seen) -> None:
    """What a user does with a video that has ended."""
    if reply.body.get("status") != "completed":
        error = reply.body.get("error")
        seen.outcome = "failed"
        seen.code = str(error.get("code")) if isinstance(error, dict) else str(reply.body.get("status"))
        return
    if arrival.downloads:
        reply = client.download(video)
    if reply.ok and arrival.deletes:
        reply = client.delete(video)
    if reply.ok:
        seen.outcome = "finished"
    else:
        _end(seen, reply)


def _end(seen: _Seen, reply: Reply) -> None:
    seen.outcome = "refused" if reply.refused else "errored"
    seen.code = reply.code or (f"http_{reply.status}" if reply.status >= 300 else "not_a_video")
