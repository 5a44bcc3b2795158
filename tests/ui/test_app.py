"""How the page is put together and launched."""

import asyncio
import os
import re
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import pytest
from fake_studio import fake_context

from studio.ui import app
from studio.ui.settings import Settings


class Launched:
    """Stands for the page and keeps what it was launched with."""

    def launch(self, **options):
        self.options = options


def launched(**settings):
    page = Launched()
    app.launch(Settings(**settings), page=page, block=False)
    return page.options


def test_nothing_is_served_logged_or_sent_that_was_not_asked_for(tmp_path):
    options = launched(models=tmp_path / "models", pictures=tmp_path / "pictures")
    assert options["server_name"] == "127.0.0.1"
    assert options["allowed_paths"] == []
    assert {str(tmp_path / "models"), str(tmp_path / "pictures")} <= set(options["blocked_paths"])
    off = ("share", "ssr_mode", "run_history", "enable_monitoring", "mcp_server", "pwa", "show_error")
    assert [options[name] for name in off] == [False] * len(off)
    assert options["strict_cors"] is True
    assert options["footer_links"] == []


def test_strangers_send_small_files_only():
    assert launched(public=True)["max_file_size"] <= 20 * 2**20 < launched()["max_file_size"]


def test_the_page_names_no_other_host():
    hosts = set(re.findall(r"(?:https?:)?//([a-z0-9.-]+\.[a-z]+)", app.head()))
    assert hosts <= {"www.w3.org"}


@pytest.mark.parametrize(("kind", "named"), [("js", app.SCRIPTS), ("css", app.STYLES)])
def test_the_page_is_given_every_script_and_style_sheet_of_the_assets_once(kind, named):
    folder = resources.files("studio.ui") / "assets"
    assert sorted(named) == sorted(file.name for file in folder.iterdir() if file.name.endswith(f".{kind}"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page, built in an event loop of its own: Gradio would make several otherwise and leave them open."""
    ctx = fake_context(tmp_path_factory.mktemp("page"))

    async def build():
        return app.build(ctx.settings, ctx)

    with ThreadPoolExecutor(1) as other:  # this thread may have the browser's event loop running
        return other.submit(asyncio.run, build()).result()


def test_no_part_of_the_page_asks_gradio_for_anything_on_load(page):
    assert page.analytics_enabled is False
    assert [fn for fn in page.fns.values() if fn.api_visibility == "public"] == []


def test_the_page_stays_light(page):
    assert len(page.blocks) < 60


def test_every_tab_has_a_title_and_widgets(page):
    tabs = [block for block in page.blocks.values() if block.get_block_name() == "tabitem"]
    assert [tab.label for tab in tabs][:2] == ["Explore", "Mix"]
    assert all(tab.children for tab in tabs)


def test_a_page_sends_its_functions_nothing_but_checked_requests(page):
    functions = [fn for block in page.blocks.values() for fn in getattr(block, "server_fns", [])]
    assert len(functions) > 10
    for function in functions:
        for data in (None, [], "text", {"token": 5}, {"token": "x" * 999}, {}):
            answer = function(data)
            assert "error" in answer or function.__name__ == "hello", function.__name__


def test_what_a_killed_app_left_behind_is_deleted_and_what_a_running_one_uses_is_not(tmp_path):
    mine, gone = tmp_path / "uploads" / str(os.getpid()), tmp_path / "uploads" / str(2**22 + 1)
    visitors = tmp_path / "visitors" / gone.name
    for folder in (mine, gone, visitors):
        folder.mkdir(parents=True)
    app._tidy(Settings(uploads=mine))
    assert mine.exists()
    assert not gone.exists()
    assert not visitors.exists()
