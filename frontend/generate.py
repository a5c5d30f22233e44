"""The Generate page: what a visitor fills in, and how one press of the button becomes a clip or a refusal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr
import yaml

from frontend import context, joining, panels, wording
from frontend.client import Gateway, GatewayError, Order
from frontend.links import Links
from frontend.live import Live
from frontend.previews import Preview
from frontend.render import PATIENCE, Credential, Finished, Moment, Rendering, Stopped, Waiting, render_clip
from frontend.settings import TOKEN
from frontend.tokens import PageTokens

PROMPT_LIMIT = 1000
SEED_LIMIT = 2**31 - 1
MOST_SECONDS = 10  # the longest clip of the incident; the model's own limit is higher
DEFAULT_STYLE = "(model's default)"
SIZES = {
    ("480p", "landscape"): "854x480",
    ("480p", "portrait"): "480x854",
    ("480p", "square"): "480x480",
    ("720p", "landscape"): "1280x720",
    ("720p", "portrait"): "720x1280",
    ("720p", "square"): "720x720",
    ("1080p", "landscape"): "1920x1080",
    ("1080p", "portrait"): "1080x1920",
    ("1080p", "square"): "1080x1080",
}
PROMPTS_FILE = Path(__file__).resolve().parent / "prompts.yaml"


def example_prompts(file: Path = PROMPTS_FILE) -> list[str]:
    return [str(prompt) for prompt in yaml.safe_load(file.read_text(encoding="utf-8"))["prompts"]]


@dataclass(frozen=True)
class Form:
    """The fields in the order the page hands them over."""

    prompt: str
    resolution: str
    aspect: str
    seconds: float
    style: str | None
    negative_prompt: str
    seed: float | None
    randomise: bool
    model: str

    def order(self, rng: random.Random | None) -> Order:
        """The order as the gateway takes it. Without `rng` a random seed is left for later."""
        fixed = None if self.randomise or self.seed is None else int(self.seed)
        seed = rng.randint(0, SEED_LIMIT) if rng and fixed is None else fixed
        return Order(
            prompt=self.prompt.strip()[:PROMPT_LIMIT],
            model=self.model,
            size=SIZES[self.resolution, self.aspect],
            seconds=int(self.seconds),
            seed=seed,
            style=None if self.style in (None, "", DEFAULT_STYLE) else self.style,
            negative_prompt=(self.negative_prompt or "").strip()[:PROMPT_LIMIT] or None,
        )


class GeneratePage:
    """The handlers behind the page. They hold what the whole page shares and nothing of a single visitor."""

    def __init__(
        self,
        gateway: Gateway,
        live: Live,
        links: Links,
        tokens: PageTokens,
        rng: random.Random,
        shown_url: str,
        patience: float = PATIENCE,
    ) -> None:
        self.gateway = gateway
        self.live = live
        self.links = links
        self.tokens = tokens
        self.rng = rng
        self.shown_url = shown_url
        self.patience = patience
        self._styles: tuple[str, ...] = ()
        # By tab. Weak: an entry lasts as long as the generation that waits on it.
        self._running: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    async def generate(self, request: gr.Request, *fields: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Yields stage, status, the API call, the seed used and the Cancel button."""
        *form, own_token, student = fields
        order = Form(*form).order(self.rng)
        credential = self._credential(str(own_token or "").strip(), str(student or ""))
        why = _not_started(order, credential)
        call = panels.api_call(order, self.shown_url)
        if why or credential is None:
            yield gr.skip(), panels.refusal(why or wording.NO_TOKEN), call, gr.skip(), _cancel(False)
            return
        yield gr.skip(), gr.skip(), call, order.seed, _cancel(True)
        progress, accepted = 0, False
        stop, preview = self._stoppable(request), Preview(self.gateway, self.links, credential.token)
        rendering = render_clip(self.gateway, self.live, order, credential, stop, patience=self.patience)
        async with aclosing(rendering) as moments:
            async for moment in moments:
                # The stage changes when the gateway has taken the order: a refusal leaves the last clip in place.
                stage = self._stage(moment, order, credential, accepted)
                accepted = accepted or isinstance(moment, Waiting | Rendering)
                if accepted and not credential.own:
                    self.tokens.note_worked(credential.token)
                if isinstance(moment, Rendering):
                    # 100 is kept for the end, so that a full bar always means a clip.
                    progress = max(progress, min(moment.progress, 99))
                over = isinstance(moment, Finished | Stopped)
                yield (
                    stage,
                    panels.status(moment, progress, await preview.at(moment)),
                    gr.skip(),
                    gr.skip(),
                    _cancel(False) if over else gr.skip(),
                )

    def _credential(self, own_token: str, student: str) -> Credential | None:
        if own_token:
            return Credential(own_token, own=True, student=joining.student_of(own_token, student))
        token = self.tokens.pick()
        return Credential(token, own=False, worked=self.tokens.worked(token)) if token else None

    def _stage(self, moment: Moment, order: Order, credential: Credential, accepted: bool) -> Any:
        match moment:
            case Finished():
                if not credential.own:
                    self.links.remember(moment.video.id, credential.token)
                return panels.clip(moment, order, self.links.public(moment.link))
            case Stopped() if accepted:
                return panels.idle_stage(order.size)
            case Waiting() | Rendering() if not accepted:
                return panels.busy_stage(order.size)
            case _:
                return gr.skip()

    def _stoppable(self, request: gr.Request) -> asyncio.Event:
        stop = self._running[str(request.session_hash)] = asyncio.Event()
        return stop

    async def cancel(self, request: gr.Request) -> Any:
        # The generation itself says that it was cancelled. With Gradio's own `cancels` its last words before the
        # cancellation could arrive after it and stay on the page.
        stop = self._running.get(str(request.session_hash))
        if stop:
            stop.set()
        return _cancel(False)

    async def show_call(self, *fields: Any) -> str:
        return panels.api_call(Form(*fields).order(None), self.shown_url)

    async def offer_styles(self) -> Any:
        """The gateway's styles; the last known ones, or only the default, while it cannot be asked."""
        return await self.styles_for(self.tokens.pick())

    async def styles_for(self, token: str | None) -> Any:
        """The same, asked for with this token."""
        if token:
            with suppress(GatewayError):
                self._styles = await self.gateway.styles(token)
        return gr.update(choices=[DEFAULT_STYLE, *self._styles])


def _not_started(order: Order, credential: Credential | None) -> wording.Refusal | None:
    if not order.prompt:
        return wording.EMPTY_PROMPT
    if credential is None:
        return wording.NO_TOKEN
    if not TOKEN.fullmatch(credential.token):
        return wording.OWN_UNKNOWN
    return None


def _cancel(active: bool) -> Any:
    return gr.update(interactive=active)


@dataclass(frozen=True)
class Controls:
    """The fields and buttons of the left column."""

    prompt: gr.Textbox
    resolution: gr.Radio
    aspect: gr.Radio
    seconds: gr.Slider
    style: gr.Dropdown
    negative_prompt: gr.Textbox
    seed: gr.Number
    randomise: gr.Checkbox
    model: gr.Radio
    own_token: gr.Textbox
    generate: gr.Button
    cancel: gr.Button

    @property
    def form(self) -> list[gr.components.Component]:
        """In the order of `Form`."""
        return [
            self.prompt,
            self.resolution,
            self.aspect,
            self.seconds,
            self.style,
            self.negative_prompt,
            self.seed,
            self.randomise,
            self.model,
        ]


def build(page: GeneratePage, prompts: list[str]) -> gr.Blocks:
    # Nothing is kept per visitor on the server (no gr.State) and nothing ticks (no gr.Timer): both open a standing
    # stream per tab, and a browser allows six of those before further tabs hang.
    demo = gr.Blocks(title="leakdrill: generate a clip", analytics_enabled=False)
    with demo:
        gr.HTML(panels.header(), elem_id="ld-header")
        gr.HTML(panels.banner(), elem_id="ld-banner-block")
        with gr.Row(elem_classes="ld-columns"):
            with gr.Column(min_width=300, scale=5):
                join_fields = joining.fields()
                controls = _controls(prompts)
            with gr.Column(min_width=300, scale=7):
                stage = gr.HTML(panels.idle_stage(), elem_id="ld-stage-block")
                status = gr.HTML(panels.ready(), elem_id="ld-status-block")
                gr.HTML(panels.history(), elem_id="ld-history-block")
                with gr.Accordion("As an API call", open=False) as call_panel:
                    call = gr.HTML(elem_id="ld-call-block")
        with gr.Accordion(context.TITLE, open=False, elem_id="ld-context"):
            gr.HTML(context.context(), elem_id="ld-context-block")
        _wire(demo, page, controls, join_fields.student, stage, status, call, call_panel)
        joining.wire(page.gateway, join_fields, controls.own_token, controls.style, page.styles_for)
    demo.queue(default_concurrency_limit=None, api_open=False)
    return demo


def _controls(prompts: list[str]) -> Controls:
    prompt = gr.Textbox(
        label="Prompt",
        info=f"Up to {PROMPT_LIMIT} characters. Shift+Enter generates.",
        placeholder="Describe a short scene",
        lines=3,
        max_lines=6,
        max_length=PROMPT_LIMIT,
        elem_id="ld-prompt",
    )
    with gr.Row(equal_height=True, elem_classes="ld-buttons"):
        generate = gr.Button("Generate", variant="primary", scale=3, min_width=140, elem_id="ld-generate")
        cancel = gr.Button("Cancel", variant="secondary", scale=1, min_width=90, interactive=False, elem_id="ld-cancel")
    gr.Examples(
        [[prompt] for prompt in prompts],
        inputs=prompt,
        label="Examples",
        examples_per_page=len(prompts),
        cache_examples=False,
        api_visibility="private",
        elem_id="ld-examples",
    )
    with gr.Group():
        resolution = gr.Radio(["480p", "720p", "1080p"], value="480p", label="Resolution", elem_id="ld-resolution")
        aspect = gr.Radio(["landscape", "portrait", "square"], value="landscape", label="Aspect", elem_id="ld-aspect")
        seconds = gr.Slider(
            1, MOST_SECONDS, value=4, step=1, label="Seconds", info=wording.SECONDS_NOTE, elem_id="ld-seconds"
        )
        style = gr.Dropdown(
            [DEFAULT_STYLE], value=DEFAULT_STYLE, label="Style", info="Names invented for this mock", elem_id="ld-style"
        )
    with gr.Accordion("Advanced", open=False, elem_id="ld-advanced"):
        negative_prompt = gr.Textbox(label="Negative prompt", max_length=PROMPT_LIMIT, lines=1)
        seed = gr.Number(label="Seed", value=0, precision=0, elem_id="ld-seed")
        randomise = gr.Checkbox(label="Randomise the seed", value=True, elem_id="ld-randomise")
        model = gr.Radio(["standard", "turbo"], value="standard", label="Model", elem_id="ld-model")
        own_token = gr.Textbox(
            label="Your own token",
            info="Used instead of the page's. It is sent with your request and not kept.",
            type="password",
            autofocus=False,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
            elem_id="ld-own-token",
        )
    return Controls(
        prompt, resolution, aspect, seconds, style, negative_prompt, seed, randomise, model, own_token, generate, cancel
    )


def _wire(
    demo: gr.Blocks,
    page: GeneratePage,
    controls: Controls,
    student: gr.Textbox,
    stage: gr.HTML,
    status: gr.HTML,
    call: gr.HTML,
    call_panel: gr.Accordion,
) -> None:
    # "hidden" also keeps Gradio's own live region from speaking: the page has one of its own.
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on(
        [controls.generate.click, controls.prompt.submit],
        page.generate,
        inputs=[*controls.form, controls.own_token, student],
        outputs=[stage, status, call, controls.seed, controls.cancel],
        concurrency_limit=None,
        **quiet,
    )
    controls.cancel.click(page.cancel, outputs=controls.cancel, queue=False, **quiet)
    changes = [
        controls.prompt.blur,
        controls.resolution.change,
        controls.aspect.change,
        controls.seconds.release,
        controls.style.change,
        controls.model.change,
    ]
    gr.on([call_panel.expand, *changes], page.show_call, inputs=controls.form, outputs=call, queue=False, **quiet)
    demo.load(page.offer_styles, outputs=controls.style, queue=False, **quiet)
