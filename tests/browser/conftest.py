"""A studio with a fake engine, and a real Chromium to look at it with."""

import os
import shutil

import pytest

pytest.importorskip("gradio")
playwright_api = pytest.importorskip("playwright.sync_api")

from fake_studio import fake_context  # noqa: E402
from people import Person, Studio  # noqa: E402

CHROMIUM = (
    os.environ.get("STUDIO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium():
    if not CHROMIUM:
        pytest.skip("needs Chromium (set STUDIO_CHROMIUM to its path), which is absent")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def serve():
    """Start a studio of one's own: ``serve(ctx)``; it is closed after the module."""
    started = []

    def start(ctx):
        started.append(Studio(ctx))
        return started[-1]

    yield start
    for running in started:
        running.close()
        if hasattr(running.ctx.engine, "close"):
            running.ctx.engine.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio with three generators, a translator, and an engine that answers at once."""
    running = Studio(fake_context(tmp_path_factory.mktemp("studio")))
    yield running
    running.close()


@pytest.fixture
def visit(chromium, studio):
    """Open the page: ``visit()`` gives a person; each is checked for trouble at the end."""
    people = []

    def arrive(url=None, settle=True, **context):
        person = Person(chromium, url or studio.url, **context)
        people.append(person)
        return person.open(settle)

    yield arrive
    for person in people:
        person.leave()


@pytest.fixture
def person(visit):
    return visit()
