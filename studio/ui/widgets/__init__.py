"""Widgets: ``gr.HTML`` components, each drawn by the script of its name in this folder.

A widget's script runs once when it is mounted, with ``element``, ``props``, ``server``, ``trigger``, ``watch`` and ``upload`` in
scope; it fills its own element and calls Python through ``studio.call(server, "name", {...})``. Nothing is ever output *to* a
widget from Gradio, so that its element is never drawn anew under the hand.

They are made by a function and are not subclasses of ``gr.HTML``, because Gradio writes a ``.pyi`` file beside the module of every
subclass when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import gradio as gr


def widget(name: str, *, label: str, server_functions: Sequence[Callable[[Any], dict[str, Any]]] = ()) -> gr.HTML:
    """Create the widget whose script is ``name.js``; its element gets the id ``studio-name``.

    Args:
        name: File name of the script without ``.js``.
        label: What screen readers call the region.
        server_functions: What the script may call, made by :func:`studio.ui.context.endpoint`.
    """
    script = resources.files(__package__).joinpath(f"{name}.js").read_text("utf-8")
    return gr.HTML(
        html_template=f'<section class="studio-widget {name.replace("_", "-")}" aria-label="{label}"></section>',
        js_on_load=script,
        apply_default_css=False,
        elem_id=f"studio-{name.replace('_', '-')}",
        elem_classes=["studio-block"],
        server_functions=list(server_functions) or None,
    )
