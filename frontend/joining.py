"""Join a class: a code and a name in, a student's own token out, for this tab alone."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from frontend import panels, wording
from frontend.client import Gateway, GatewayError

CODE_LIMIT = 40
NAME_LIMIT = 60
CHECK_LENGTH = 6  # of a token, at its end
# "hidden" also keeps Gradio's own live region from speaking: the page has one of its own.
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class JoinFields:
    """What a student fills in, and what joining gives. `student` is the token's checksum and the name of the seat that
    it came with; it is in the open page only, as the token is."""

    code: gr.Textbox
    name: gr.Textbox
    button: gr.Button
    said: gr.HTML
    student: gr.Textbox


def fields() -> JoinFields:
    with gr.Accordion("Join a class", open=False, elem_id="ld-join"):
        with gr.Row(equal_height=True):
            code = _field("Class code", "As on the board, such as HKTM-4C7R", CODE_LIMIT, "ld-code")
            name = _field("Your name", "As on the list, or nothing", NAME_LIMIT, "ld-name")
        button = gr.Button("Join", variant="primary", elem_id="ld-join-button")
    # Outside of the panel, so that it still says who one is when the panel is closed.
    said = gr.HTML(panels.not_joined_yet(), elem_id="ld-joined-block")
    student = gr.Textbox(visible="hidden", show_label=False, elem_id="ld-student")
    return JoinFields(code, name, button, said, student)


def _field(label: str, info: str, longest: int, elem_id: str) -> gr.Textbox:
    return gr.Textbox(
        label=label,
        info=info,
        max_length=longest,
        lines=1,
        max_lines=1,
        min_width=180,
        html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
        elem_id=elem_id,
    )


async def join(
    gateway: Gateway, request: gr.Request, code: str, name: str, styles: Callable[[str | None], Awaitable[Any]]
) -> tuple[Any, ...]:
    """Takes a seat. Its token, whose it is, what to say, the code's field and the styles; the token goes into this
    answer and is not kept."""
    code, name = (code or "").strip(), (name or "").strip()
    if not code:
        return gr.skip(), gr.skip(), panels.not_joined(wording.NO_CODE), gr.skip(), gr.skip()
    visitor = request.client.host if request.client else ""
    try:
        seat = await gateway.join(code[:CODE_LIMIT], name[:NAME_LIMIT] or None, visitor)
    except GatewayError as error:
        return gr.skip(), gr.skip(), panels.not_joined(wording.not_joined(error)), gr.skip(), gr.skip()
    return seat.token, seat.token[-CHECK_LENGTH:] + seat.name, panels.joined(seat.name), "", await styles(seat.token)


def student_of(own_token: str, student: str) -> str | None:
    """The name of the seat that this token came with; None for another token."""
    return student[CHECK_LENGTH:] or None if own_token.endswith(student[:CHECK_LENGTH]) else None


def wire(
    gateway: Gateway,
    fields: JoinFields,
    own_token: gr.Textbox,
    style: gr.Dropdown,
    styles: Callable[[str | None], Awaitable[Any]],
) -> None:
    """A seat's token goes where one types a token of one's own."""

    async def pressed(request: gr.Request, code: str, name: str) -> tuple[Any, ...]:
        return await join(gateway, request, code, name, styles)

    gr.on(
        [fields.button.click, fields.code.submit, fields.name.submit],
        pressed,
        inputs=[fields.code, fields.name],
        outputs=[own_token, fields.student, fields.said, fields.code, style],
        queue=False,
        **_QUIET,
    )
    # Who types another token is not that student any more. The browser sees to it by itself, once the field is left.
    own_token.blur(
        fn=None,
        js=f"(token, student, said) => token.endsWith(student.slice(0, {CHECK_LENGTH})) ? [student, said] : "
        f"['', {json.dumps(panels.not_joined_yet())}]",
        inputs=[own_token, fields.student, fields.said],
        outputs=[fields.student, fields.said],
        **_QUIET,
    )
