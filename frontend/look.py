"""How the page looks: theme, style sheet, script and mark, all served by the page itself."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

_STATIC = Path(__file__).resolve().parent / "static"
MARK = _STATIC / "mark.svg"

_PINE = gr.themes.Color(
    name="pine",
    c50="#eef7f4",
    c100="#d6ebe5",
    c200="#aed7cd",
    c300="#7fbdb0",
    c400="#4f9f91",
    c500="#2f8377",
    c600="#1b6a60",
    c700="#12564e",
    c800="#0f4540",
    c900="#0c3733",
    c950="#072220",
)
_PAPER = gr.themes.Color(
    name="paper",
    c50="#faf8f4",
    c100="#f2efe8",
    c200="#e3dfd5",
    c300="#cbc6ba",
    c400="#98958c",
    c500="#6c6a64",
    c600="#514f4b",
    c700="#383a3a",
    c800="#23282a",
    c900="#191e20",
    c950="#111517",
)


def theme() -> gr.themes.Base:
    # LocalFont serves the files that Gradio bundles; a GoogleFont would leave the machine. The bundled semibold lacks
    # most letters, so bold stands in for it.
    return gr.themes.Base(
        primary_hue=_PINE,
        secondary_hue=_PINE,
        neutral_hue=_PAPER,
        radius_size=gr.themes.sizes.radius_lg,
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400,)), "ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_300",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_100",
        block_title_text_weight="600",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_950",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        button_secondary_background_fill="*neutral_200",
        button_secondary_background_fill_hover="*neutral_300",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        slider_color="*primary_700",
        slider_color_dark="*primary_400",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_500",
        checkbox_border_color_selected="*primary_700",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_900",
        checkbox_label_text_color_selected="*primary_800",
        checkbox_label_text_color_selected_dark="*primary_100",
        checkbox_label_border_color_selected="*primary_600",
        checkbox_label_border_color_selected_dark="*primary_400",
    )


def css() -> str:
    return (_STATIC / "page.css").read_text(encoding="utf-8")


def head() -> str:
    script = (_STATIC / "page.js").read_text(encoding="utf-8")
    return f'<meta name="referrer" content="no-referrer">\n<script>{script}</script>'
