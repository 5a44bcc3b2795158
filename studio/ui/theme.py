"""The look of Gradio's own parts, so that nothing of its default chrome shows beside ours. The rest is ``assets/studio.css``."""

from __future__ import annotations

import gradio as gr

ACCENT = "#e0a458"
DARK = {"ground": "#16171a", "panel": "#1f2125", "line": "#33363c", "text": "#e8e6e1", "quiet": "#a3a5a8"}
LIGHT = {"ground": "#f4f3f0", "panel": "#ffffff", "line": "#d9d7d1", "text": "#1d1e20", "quiet": "#62646a"}


def studio_theme() -> gr.themes.Base:
    """Return a theme with the studio's greys, its one accent and IBM Plex Sans, which ships with Gradio."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.amber,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_sm,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
        font=[gr.themes.GoogleFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[gr.themes.GoogleFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"],
    )
    values: dict[str, str] = {}
    for suffix, tones in (("", LIGHT), ("_dark", DARK)):
        values |= {
            f"body_background_fill{suffix}": tones["ground"],
            f"body_text_color{suffix}": tones["text"],
            f"body_text_color_subdued{suffix}": tones["quiet"],
            f"background_fill_primary{suffix}": tones["panel"],
            f"background_fill_secondary{suffix}": tones["ground"],
            f"block_background_fill{suffix}": tones["panel"],
            f"block_border_color{suffix}": tones["line"],
            f"border_color_primary{suffix}": tones["line"],
            f"input_background_fill{suffix}": tones["ground"],
            f"input_border_color{suffix}": tones["line"],
            f"block_shadow{suffix}": "none",
            f"input_shadow{suffix}": "none",
            f"button_primary_background_fill{suffix}": ACCENT,
            f"button_primary_text_color{suffix}": "#16171a",
            f"color_accent_soft{suffix}": tones["ground"],
        }
    return theme.set(color_accent=ACCENT, slider_color=ACCENT, **values)
