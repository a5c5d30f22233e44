"""The page's own pieces of HTML. Everything that came from a person or the gateway is escaped here."""

from __future__ import annotations

from html import escape

from frontend import wording
from frontend.calls import calls
from frontend.client import Order
from frontend.render import Finished, Moment, Rendering, Sent, Silent, Stopped, Waiting


def header() -> str:
    return (
        '<header class="ld-header"><h1><span class="ld-mark" aria-hidden="true"></span>Generate a clip</h1>'
        f"<p>{escape(wording.MOCK)}</p>"
        f'<p class="ld-exercise"><strong>{escape(wording.EXERCISE)}</strong> {escape(wording.EXERCISE_LINE)}</p>'
        "</header>"
    )


def banner() -> str:
    """Empty of facts: the script fills it from /state, and says so if even the page's own server is gone."""
    return (
        '<section class="ld-banner" id="ld-banner" data-phase="unknown" aria-label="State of the gateway" '
        'data-lost-headline="Page disconnected" '
        'data-lost-detail="This page\'s own server does not answer. It is asked again every second.">'
        '<span class="ld-shape" aria-hidden="true"></span>'
        '<div class="ld-says"><strong data-part="headline">Asking the gateway …</strong> '
        '<span data-part="detail"></span></div>'
        '<div class="ld-facts"><span data-part="queue"></span><span data-part="clock"></span></div>'
        '<p class="ld-broadcast" data-part="errs" hidden></p>'
        '<p class="ld-broadcast" data-part="broadcast" hidden></p></section>'
        '<p id="ld-announcer" class="ld-unseen" role="status" aria-live="polite"></p>'
    )


def idle_stage(size: str = "854x480") -> str:
    return (
        f'<div class="ld-stage" data-state="idle" style="{_shape(size)}">'
        '<span class="ld-mark" aria-hidden="true"></span>'
        "<p>Your clip appears here.</p></div>"
    )


def busy_stage(size: str) -> str:
    """Drifting colours, over which the script lays the frames of the refinement as they come."""
    return (
        f'<div class="ld-stage" data-state="busy" data-preview-words="{escape(wording.PREVIEW)}" '
        f'style="{_shape(size)}"><div class="ld-noise"></div></div>'
    )


def clip(moment: Finished, order: Order, url: str) -> str:
    """The clip, straight from the gateway. The script reads the data attributes to keep the list of this session."""
    about = f"{order.size.replace('x', '×')}, {order.seconds} s, seed {moment.seed}"
    return (
        f'<figure class="ld-clip" data-video="{escape(moment.video.id)}" data-prompt="{escape(order.prompt)}" '
        f'data-about="{escape(about)}"><div class="ld-stage" data-state="done" style="{_shape(order.size)}">'
        f'<video controls playsinline muted loop preload="auto" src="{escape(url)}" '
        f'aria-label="Clip: {escape(order.prompt)}"></video></div>'
        f'<figcaption><span class="ld-prompt">{escape(order.prompt)}</span> '
        f'<span class="ld-about">{escape(about)}</span>'
        '<span class="ld-note" hidden></span></figcaption></figure>'
    )


def _shape(size: str) -> str:
    width, height = size.split("x")
    return f"--w:{int(width)};--h:{int(height)}"


def ready() -> str:
    return _status("idle", "Ready when you are.", None)


def status(moment: Moment, progress: int, preview: str | None = None) -> str:
    """One sentence and a bar. `progress` never falls, whatever the gateway says meanwhile. `preview` is where the frame
    of this moment is."""
    match moment:
        case Sent():
            return _status("sent", "Asking the gateway for a place in line", progress)
        case Waiting(ahead, eta_ms):
            return _status("queued", wording.waiting(ahead, eta_ms), progress)
        case Rendering(step, percent, eta_ms):
            return _status("in_progress", wording.rendering(step, percent, eta_ms), progress, preview=preview)
        case Silent():
            return _status("silent", "The gateway does not answer just now; still asking", progress)
        case Finished(_, _, seed, took):
            return _status("completed", wording.finished(seed, took), 100, over=True)
        case Stopped(why):
            return refusal(why)


def refusal(why: wording.Refusal) -> str:
    return _status(why.kind, why.words, None, over=True)


def _status(state: str, words: str, progress: int | None, *, over: bool = False, preview: str | None = None) -> str:
    bar = ""
    if progress is not None:
        bar = (
            f'<div class="ld-bar" role="progressbar" aria-label="Progress of your clip" aria-valuemin="0" '
            f'aria-valuemax="100" aria-valuenow="{progress}"><span style="width:{progress}%"></span></div>'
        )
    tone = "done" if state == "completed" else "stopped" if over else "quiet"
    return (
        f'<div class="ld-status" data-state="{escape(state)}" data-over="{str(over).lower()}" data-tone="{tone}"'
        f' data-preview="{escape(preview or "")}"><p>{escape(words)}</p>{bar}</div>'
    )


def not_joined_yet() -> str:
    return '<div class="ld-joined" data-state="idle"></div>'


def joined(name: str) -> str:
    return (
        f'<div class="ld-joined" data-state="joined"><p><strong>{escape(wording.joined(name))}</strong></p>'
        f"<p>{escape(wording.JOINED_NOTE)}</p></div>"
    )


def not_joined(why: wording.Refusal) -> str:
    return f'<div class="ld-joined" data-state="{escape(why.kind)}"><p>{escape(why.words)}</p></div>'


def history() -> str:
    """Filled by the script and kept in the open page only: a reload forgets it."""
    return (
        '<section class="ld-history" aria-label="Clips of this session"><h2>This session</h2>'
        '<p data-part="empty">The last eight clips you make are listed here until you close or reload the page.</p>'
        "<ol></ol></section>"
    )


def api_call(order: Order, gateway_url: str) -> str:
    return "".join(_code(name, text) for name, text in calls(order, gateway_url).items())


def _code(name: str, text: str) -> str:
    return (
        f'<div class="ld-code"><div><h3>{name}</h3><button type="button" class="ld-copy">Copy</button></div>'
        f'<pre tabindex="0" aria-label="{name}"><code>{escape(text)}</code></pre></div>'
    )
