"""Every sentence the page says about the gateway, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from frontend.client import AWAY, GatewayError, Status, Video

MOCK = (
    "A mock: no video model runs here. Every clip is synthetic, made by arithmetic, and carries leakdrill's own mark."
)
EXERCISE = "EXERCISE · EXERCISE · EXERCISE"
EXERCISE_LINE = "A rehearsal of leaked access. No real service, no real token, no real leak."
PREVIEW = "The clip so far: noise on its way to a picture"
SECONDS_NOTE = "Up to 10, as in 2024. GET /v1/models says what the API takes."
NO_ACCESS = "No access has been given to this page yet."

_HEADLINES = {
    "normal": "Preview by invitation",
    "exposed": "Open to everyone",
    "revoked": "Access revoked",
    "away": "Gateway away",
}
_DETAILS = {
    "normal": "The page holds access that its owner was given.",
    "exposed": "Testers' access is behind this page, and anyone can press Generate.",
    "revoked": "The access behind this page has been cut off. Clips made with it are no longer served.",
    "away": "The page cannot reach the gateway. It asks again every second.",
}


@dataclass(frozen=True)
class Banner:
    """What /state tells the browser: words only, so that the script has nothing to decide."""

    phase: str
    headline: str
    detail: str
    queue: str
    clock: str
    broadcast: str
    errs: str
    access: bool


def headline(phase: str) -> str:
    """The phase in words."""
    return _HEADLINES.get(phase, phase.capitalize())


def banner(status: Status | None, *, access: bool) -> Banner:
    phase = status.phase if status else "away"
    detail = _DETAILS.get(phase, "")
    if not access and phase in ("normal", "exposed"):
        detail = NO_ACCESS
    return Banner(
        phase=phase,
        headline=headline(phase),
        detail=detail,
        queue=_queue(status) if status else "",
        clock=_clock(status) if status else "",
        broadcast=(status.broadcast or "") if status else "",
        errs=_errs(status) if status else "",
        access=access,
    )


def _errs(status: Status) -> str:
    """That the gateway does something wrong on purpose: nobody shall take it for the real behaviour."""
    said = [] if status.consistency == "strict" else [f"revocations arrive late ({status.consistency})"]
    said += [f"seeded defects: {', '.join(status.defects)}"] if status.defects else []
    return f"Errs on purpose: {'; '.join(said)}" if said else ""


def _queue(status: Status) -> str:
    if status.workers == 0:
        return f"{status.waiting} waiting, no worker is running"
    line = f"{status.waiting} waiting, {status.running} running"
    return line if status.eta_ms is None else f"{line}, {about(status.eta_ms)}"


def _clock(status: Status) -> str:
    if not status.replay_time:
        return ""
    try:
        time = datetime.fromisoformat(status.replay_time)
    except ValueError:
        return ""
    # The incident is told in US Eastern time; any other offset is shown as it came.
    eastern = time.utcoffset() in (timedelta(hours=-5), timedelta(hours=-4))
    pace = f"×{status.replay_speed:g}" if status.replay_running else "paused"
    zone = "ET" if eastern else time.strftime("%z")
    return " ".join(f"Replay clock {time:%H:%M} {zone} {pace}".split())


def about(milliseconds: int) -> str:
    seconds = max(1, math.ceil(milliseconds / 1000))
    return f"about {seconds} s" if seconds <= 90 else f"about {round(seconds / 60)} min"


def waiting(ahead: int | None, eta_ms: int | None) -> str:
    place = "You are next" if ahead == 0 else "In the waiting line" if ahead is None else f"{ahead} ahead of you"
    return place if eta_ms is None else f"{place}, {about(eta_ms)}"


def rendering(step: tuple[int, int] | None, progress: int, eta_ms: int | None) -> str:
    said = f"step {step[0]} of {step[1]}" if step else f"{progress} % done" if progress else "starting"
    return f"Refining: {said}" if eta_ms is None else f"Refining: {said}, {about(eta_ms)} to go"


def finished(seed: int | None, took: float) -> str:
    return f"Done, took {took:.1f} s" if seed is None else f"Done, seed {seed}, took {took:.1f} s"


@dataclass(frozen=True)
class Refusal:
    """Why there is no clip. `kind` is for scripts and style, `words` for people."""

    kind: str
    words: str


NO_TOKEN = Refusal(
    "no_access",
    f"Not started. {NO_ACCESS} Wait until it has some, join a class, or put a token of your own under Advanced.",
)
EMPTY_PROMPT = Refusal("empty_prompt", "Not started. Write a prompt first, or take one of the examples.")
CANCELLED = Refusal("cancelled", "Cancelled. The gateway was told to drop the clip.")

_AWAY = Refusal(
    "gateway_away",
    "The gateway does not answer, so nothing was queued. The banner says when it is back; press Generate again then.",
)
_SILENT = Refusal(
    "gateway_away",
    "Stopped waiting: the gateway has not answered for a while. When it is back, press Generate again.",
)
_REVOKED = Refusal(
    "revoked",
    "Refused: access has been cut off. The token this page used was revoked, and the gateway now answers as if it had "
    "never existed. Pressing Generate again will not change that.",
)
_OWN_REVOKED = Refusal(
    "revoked",
    "Refused: the gateway does not accept your token. Access has been cut off, so yours was probably revoked too.",
)
_WITHDRAWN = Refusal(
    "revoked",
    "Refused: access has been cut off. The token this page used was accepted before and is not any more: it was "
    "revoked, suspended or has expired.",
)
# A student whose seat was freed holds a token that was revoked, whatever the phase says.
JOIN_AGAIN = "If your instructor has freed your seat, join again with the class code."
_STOPPED = Refusal("access_revoked", "Stopped: access was revoked while your clip was rendering.")
_UNKNOWN = Refusal(
    "unknown_token",
    "Refused: the gateway does not know the token this page used. Press Generate again; if the page holds others, it "
    "may pick one that works.",
)
OWN_UNKNOWN = Refusal(
    "unknown_token",
    "Refused: the gateway does not know your token. Check that you copied all of it, from ldk_ to the last letter.",
)
_SCOPE = Refusal(
    "not_allowed",
    "Refused: this token may look at clips but not make new ones. Ask whoever runs the gateway.",
)


def refused(
    error: GatewayError, phase: str | None, *, own_token: bool, worked: bool = False, student: str | None = None
) -> Refusal:
    """Why an order was not taken. A revoked and an unknown token get one answer; the phase tells them apart, or that
    the token `worked` before. `student` is whose seat the token came with."""
    if error.status == 401 and student:
        why = "access has been cut off" if phase == "revoked" else "the gateway no longer accepts its token"
        return Refusal("seat_refused", f"Refused for {student}: {why}. {JOIN_AGAIN}")
    if error.status == 401 and phase == "revoked":
        return _OWN_REVOKED if own_token else _REVOKED
    if error.status == 401 and worked:
        return _WITHDRAWN
    if error.status == 401:
        return OWN_UNKNOWN if own_token else _UNKNOWN
    if error.status == 403:
        return _SCOPE
    if error.code == "queue_full" or error.status == 429:
        when = f"in {about(int(error.retry_after * 1000))}" if error.retry_after else "in a moment"
        return Refusal(
            "queue_full",
            f"Not queued: the waiting line is full. Your access is fine; press Generate again {when}.",
        )
    if error.code == AWAY:
        return _AWAY
    if error.status == 400 or error.status == 422:
        return Refusal("not_taken", f"Not queued: the gateway did not take this request. It says: {error.message}")
    return Refusal("trouble", f"Not queued: the gateway is in trouble. It says: {error.message}")


def lost(error: GatewayError, phase: str | None, *, own_token: bool, student: str | None = None) -> Refusal:
    """Why the gateway stopped talking about an order it had taken."""
    if error.status == 401 and student:
        return Refusal("access_revoked", f"Stopped: the token of {student} was revoked meanwhile. {JOIN_AGAIN}")
    if error.status == 401 and phase == "revoked":
        return _STOPPED
    if error.status == 401:
        whose = "your token" if own_token else "the token this page used"
        return Refusal("access_revoked", f"Stopped: the gateway no longer accepts {whose}. It may have been revoked.")
    if error.status == 404:
        return Refusal("gone", "Stopped: the gateway no longer knows this clip. It was deleted, or the room was reset.")
    if error.passing:
        return _SILENT
    return Refusal("trouble", f"Stopped: the gateway would not say more about this clip. It says: {error.message}")


def failed(video: Video) -> Refusal:
    if video.error_code == "access_revoked":
        return _STOPPED
    if video.error_code == "cancelled":
        return CANCELLED
    if video.error_code == "rejected":
        return Refusal("rejected", f"Rejected by the gateway: {video.error_message or 'no reason given'}")
    if video.error_code == "worker_lost":
        return Refusal("failed", "Failed: the machine rendering your clip went away. Press Generate again.")
    return Refusal("failed", f"Failed: {video.error_message or 'the clip could not be rendered'}")


LINK_WORDS = {
    "served": "",
    "cut": "Made before revocation; the gateway no longer serves it. What your browser has already loaded cannot be "
    "called back.",
    "expired": "The link to this clip has run out, and the page did not keep the token it was made with.",
    "gone": "The gateway no longer has this clip.",
    "away": "The gateway does not answer, so this clip cannot be fetched now.",
}


def joined(name: str) -> str:
    return f"You are {name}"


JOINED_NOTE = (
    "Your token is in this tab and nowhere else. Keep the tab open: a reload forgets the token, and then your "
    "instructor has to free your seat."
)
NO_CODE = Refusal("no_code", "Not joined. Type the class code first; it is on the board, or on the sheet.")
_JOIN_REFUSALS = {
    "invalid_join_code": "No class has this code. Check it letter by letter with the board.",
    "class_ended": "This code is old: its class has ended. Ask your instructor for the present code.",
    "seat_taken": "Somebody has joined under this name. If it was you, in another tab or before a reload, ask your "
    "instructor to free your seat.",
    "seat_not_found": "This name is not on the list of the class. Leave the name empty for the next free one.",
    "class_full": "Every seat of this class is taken. Ask your instructor.",
    "seat_revoked": "Access of this seat has been cut off before anybody took it. Ask your instructor.",
}


def not_joined(error: GatewayError) -> Refusal:
    """Why a visitor has no seat."""
    words = _JOIN_REFUSALS.get(error.code)
    if words is None and error.status == 429:
        when = f"in {about(int(error.retry_after * 1000))}" if error.retry_after else "in a moment"
        words = f"Too many wrong codes were tried. Try again {when}."
    if words is None and error.code == AWAY:
        words = "The gateway does not answer. Try again when the banner says that it is back."
    return Refusal(error.code, f"Not joined. {words or f'The gateway says: {error.message}'}")
