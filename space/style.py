"""How the Space looks: system fonts, so that no other host is asked, and contrast in light and dark."""

from pathlib import Path

import gradio as gr


STYLE_SHEET = Path(__file__).parent / "stage" / "theme.css"  # colours, type and spacing
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "sans-serif", "Noto Color Emoji"]
# Gradio's own accents and subdued greys are fainter than 4.5 to 1.
THEME = gr.themes.Default(
    primary_hue="amber",
    secondary_hue="amber",
    neutral_hue="stone",
    font=FONTS,
    font_mono=["ui-monospace", "monospace"],
).set(
    color_accent="#96560a",
    body_background_fill="#f7f4ee",
    body_background_fill_dark="#14120f",
    block_background_fill="#fffdf9",
    block_background_fill_dark="#1d1a16",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    block_title_text_color="*neutral_700",
    block_title_text_color_dark="*neutral_200",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="*neutral_300",
    link_text_color="*primary_800",
    link_text_color_dark="*primary_300",
    button_primary_background_fill="#211d18",
    button_primary_background_fill_hover="#3a332c",
    button_primary_background_fill_dark="#f1ebe1",
    button_primary_background_fill_hover_dark="#d8d0c4",
    button_primary_text_color="#fffdf9",
    button_primary_text_color_dark="#14120f",
    checkbox_label_background_fill_selected="*primary_800",
    checkbox_label_background_fill_selected_dark="*primary_800",
    checkbox_label_text_color_selected="white",
    checkbox_label_text_color_selected_dark="white",
)


def result_image(label: str, height: int, alt_text: str) -> gr.Image:
    """Make an image that the Space shows: to download and to enlarge, but not to post elsewhere."""
    return gr.Image(
        label=label,
        interactive=False,
        height=height,
        alt_text=alt_text,
        buttons=["download", "fullscreen"],
        elem_classes="florenz-picture",
    )


CSS = """
.dark { --color-accent: #f0a93b; }
.florenz-note { margin: 0; color: var(--body-text-color); }
.florenz-scroll { overflow-x: auto; }
.florenz-table { width: 100%; border-collapse: collapse; color: var(--body-text-color); }
.florenz-table, .florenz-table thead, .florenz-table tbody, .florenz-table tr { border: 0 !important; }
.florenz-table caption { text-align: left; padding: 0.3rem 0; font-weight: 600; }
.florenz-table th, .florenz-table td { text-align: left; padding: 0.4rem 0.6rem !important; vertical-align: top;
  border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important; word-break: normal;
  overflow-wrap: break-word; }
.florenz-table th { white-space: nowrap; }
.florenz-share { min-width: 6rem; }
.florenz-bar { display: block; height: 0.6rem; min-width: 2px; border-radius: 3px; background: var(--primary-600); }
/* On a phone the picture is as wide as its frame, and the label would hide a corner; its alternative text stays. */
@media (max-width: 640px) { .florenz-picture label[data-testid="block-label"] { display: none; } }
#words label { cursor: pointer; }
/* Gradio nests this button around a file input and leaves its name untranslated; clearing first does the same. */
button[aria-label="common.upload"] { display: none !important; }
"""
