"""The page: the frame with its tabs, and how it is launched. Each tab is a module of its own (see ``studio.ui``)."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import import_module, resources
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
import psutil

from studio.ui import history, jobs_drawer, live_sound, shell
from studio.ui.context import Context
from studio.ui.session import SessionStore
from studio.ui.settings import Settings
from studio.ui.theme import studio_theme

TABS = ("explore", "mix", "restyle", "live", "animate", "train", "models", "gallery")
"""The tabs from left to right: modules of this package with ``TITLE``, ``build(ctx)`` and, where needed, ``wire(ctx, handles)``.

One with ``LOCAL_ONLY = True`` is left out of public servers."""

STYLES = ("studio.css", "gallery.css", "restyle.css", "models.css", "train.css", "animate.css", "camera.css", "live.css", "history.css")
SCRIPTS = (
    "studio.js",
    "controls.js",
    "keys.js",
    "drops.js",
    "stage.js",
    "plane.js",
    "panel.js",
    "viewer.js",
    "brush.js",
    "restyle_wishes.js",
    "plots.js",
    "folders.js",
    "train_set.js",
    "train_run.js",
    "film_doc.js",
    "film_player.js",
    "film_curves.js",
    "film_inspector.js",
    "film_timeline.js",
    "film_matrix.js",
    "film_side.js",
    "live.js",
    "live_recording.js",
    "live_views.js",
    "live_hearing.js",
    "live_ears.js",
    "live_midi.js",
    "live_matrix.js",
    "live_sources.js",
    "live_knobs.js",
    "live_presets.js",
    "live_hands.js",
    "live_osc.js",
    "style_tiles.js",
    "restyle_row.js",
    "restyle_notice.js",
    "restyle_styles.js",
    "restyle_blend.js",
    "restyle_lesson.js",
    "restyle_batch.js",
    "restyle_pair.js",
    "restyle_film.js",
    "restyle_desk.js",
    "restyle_developer.js",
    "restyle_arrivals.js",
    "restyle_actions.js",
)


def make_context(settings: Settings) -> Context:
    """Bring the engine, the models, the sessions and the galleries together."""
    from studio.checkpoints import Library
    from studio.engine import Engine
    from studio.gallery import Gallery

    library = Library(settings.models, settings.pretrained)
    sessions = SessionStore(
        settings.galleries,
        public=settings.public,
        hours=settings.session_hours,
        max_sessions=settings.max_sessions,
        max_calls=settings.max_calls,
    )
    sessions.parts[live_sound.OSC] = live_sound.open_osc(settings)
    engine = Engine(library, device=settings.device)
    sessions.parts[jobs_drawer.PART] = jobs_drawer.open_queue(settings, engine)
    return Context(
        settings=settings,
        engine=engine,
        library=library,
        sessions=sessions,
        gallery_of=lambda session: Gallery(session.pictures, session.pictures / ".cache" if settings.public else None),
    )


def build(settings: Settings, ctx: Context | None = None) -> gr.Blocks:
    """Build the page; ``ctx`` replaces engine and folders in tests."""
    ctx = ctx or make_context(settings)
    settings.uploads.mkdir(parents=True, exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(settings.uploads)
    with gr.Blocks(title="studio", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as page:
        shell.build_top(ctx)
        with gr.Tabs(elem_id="studio-tabs"):
            for tab in _tabs(settings):
                name = tab.__name__.rsplit(".", 1)[-1]
                with gr.Tab(tab.TITLE, id=name, elem_id=f"tab-{name}"):
                    handles = tab.build(ctx)
                if hasattr(tab, "wire"):
                    tab.wire(ctx, handles)
        shell.build_strip(ctx)
        history.build(ctx)
        jobs_drawer.build(ctx)
    page.queue(default_concurrency_limit=1, max_size=32, api_open=False)
    assert isinstance(page, gr.Blocks)
    return page


def _tabs(settings: Settings) -> list[Any]:
    modules = [import_module(f"studio.ui.{name}") for name in TABS]
    return [tab for tab in modules if not (settings.public and getattr(tab, "LOCAL_ONLY", False))]


def head() -> str:
    """Return the page's ``<head>``: the style sheets and the scripts, in the order in which they build on each other.

    The style sheets go here and not into Gradio's ``css``, which would tie every rule to Gradio's own container: dialogs lie outside.
    """
    folder = resources.files("studio.ui") / "assets"
    style = "\n".join((folder / name).read_text("utf-8") for name in STYLES)
    scripts = "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    return f"<style>\n{style}\n</style>\n<script>\n{scripts}\n</script>"


def launch(settings: Settings | None = None, *, page: gr.Blocks | None = None, block: bool = True) -> gr.Blocks:
    """Serve the page: on this machine only unless asked otherwise, with no request to any other host.

    Args:
        settings: What may be done and where; read from the environment when left out.
        page: A page that was built before.
        block: Serve until interrupted, instead of returning at once.
    """
    settings = settings or Settings.from_env()
    page = page or build(settings)
    page.launch(
        server_name=settings.host,
        server_port=settings.port,
        inbrowser=settings.open_browser,
        prevent_thread_lock=True,
        quiet=True,
        theme=studio_theme(),
        head=head(),
        favicon_path=str(resources.files("studio.ui") / "assets" / "icon.png"),
        max_file_size=settings.max_upload_bytes,
        allowed_paths=[],
        blocked_paths=[str(settings.models), str(settings.pretrained), str(settings.pictures), str(settings.galleries)],
        show_error=False,
        strict_cors=True,
        share=False,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        footer_links=[],
    )
    if block:
        _serve(page, settings)
    return page


def _serve(page: gr.Blocks, settings: Settings) -> None:
    """Say where the page is, serve until interrupted, and leave no dropped file behind."""
    _tidy(settings)
    sys.stdout.write(f"The studio is open at {page.local_url} - press Ctrl+C to end it.\n")
    sys.stdout.flush()
    try:
        page.block_thread()
    finally:
        shutil.rmtree(settings.uploads, ignore_errors=True)
        if settings.public:
            shutil.rmtree(settings.galleries, ignore_errors=True)


def _tidy(settings: Settings) -> None:
    """Delete what apps that were ended by force left behind: their folders are named after their process."""
    for folder in (*settings.uploads.parent.glob("*"), *(settings.uploads.parent.parent / "visitors").glob("*")):
        if folder.name.isdigit() and not psutil.pid_exists(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
