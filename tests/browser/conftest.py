"""A studio with a fake engine, and a real Chromium to look at it with."""

import dataclasses
import os
import shutil
import socket
from urllib.parse import urlparse

import pytest

pytest.importorskip("gradio")
playwright_api = pytest.importorskip("playwright.sync_api")

from fake_studio import BITS, BLOCK, SIDE, code_of, fake_context  # noqa: E402

from studio.ui import app  # noqa: E402

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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Studio:
    """One running page: its address and the parts behind it."""

    def __init__(self, ctx):
        settings = dataclasses.replace(ctx.settings, port=free_port())
        self.ctx = dataclasses.replace(ctx, settings=settings)
        self.blocks = app.launch(settings, page=app.build(settings, self.ctx), block=False)
        self.url = f"http://127.0.0.1:{settings.port}/"

    def close(self):
        self.blocks.close(verbose=False)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio with three generators, a translator, and an engine that answers at once."""
    running = Studio(fake_context(tmp_path_factory.mktemp("studio")))
    yield running
    running.close()


class Person:
    """Somebody at the page. Leaving fails when the page had an error or asked another host for anything."""

    def __init__(self, browser, url, **context):
        self.troubles = []
        self.url = url
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        self.page.on("console", lambda message: self.troubles.append(f"console: {message.text}") if message.type == "error" else None)
        self.page.on("request", self.check_host)

    def check_host(self, request):
        where = urlparse(request.url)
        if where.scheme in ("http", "https", "ws", "wss") and where.hostname != "127.0.0.1":
            self.troubles.append(f"asked another host: {request.url}")

    def open(self):
        self.page.goto(self.url)
        self.settled()
        return self

    def settled(self):
        """Wait until the picture is drawn in full quality."""
        self.page.wait_for_selector(
            "#studio-latent-board .studio-canvas[data-quality=full]:not([hidden])", timeout=30_000, state="attached"
        )
        return self

    def recipe(self):
        return self.page.evaluate("studio.recipe.value")

    def code(self):
        """Read the code of the recipe whose picture is on the canvas."""
        return self.page.evaluate(
            """([bits, block, side]) => {
                const canvas = document.querySelector("#studio-latent-board .studio-canvas");
                const pixels = canvas.getContext("2d").getImageData(0, 0, side, side).data;
                let code = 0;
                for (let bit = 0; bit < bits; bit += 1) {
                    const row = Math.floor(bit / (side / block)), column = bit % (side / block);
                    const at = 4 * ((row * block + block / 2) * side + column * block + block / 2);
                    if (pixels[at] > 127) code += 2 ** bit;
                }
                return code;
            }""",
            [BITS, BLOCK, SIDE],
        )

    def wait_code(self, recipe):
        """Wait until the picture of a recipe (as the page holds it) is on the canvas."""
        from studio.ui.payloads import recipe_from

        wanted = code_of(recipe_from(recipe))
        for _ in range(100):
            if self.code() == wanted:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"the canvas shows {self.code()}, not {wanted}")

    def random(self):
        """Go to a random place and wait for its picture."""
        before = self.recipe()["latent"]
        self.page.get_by_role("button", name="Random", exact=True).click()
        self.page.wait_for_function("(before) => studio.recipe.value.latent.x !== before.x", arg=before)
        return self.settled()

    def say(self):
        return self.page.locator("#studio-status").inner_text()

    def wait_say(self, part):
        self.page.wait_for_function("(part) => document.getElementById('studio-status').textContent.includes(part)", arg=part)

    def drop(self, path, selector="body"):
        """Drop a file of this computer on the page."""
        data = list(path.read_bytes())
        mime = {".png": "image/png", ".jpg": "image/jpeg"}.get(path.suffix, "application/octet-stream")
        self.page.evaluate(
            """([bytes, name, type, selector]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
                const target = document.querySelector(selector);
                for (const kind of ["dragenter", "dragover", "drop"]) {
                    target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
                }
            }""",
            [data, path.name, mime, selector],
        )

    def leave(self):
        self.context.close()
        assert not self.troubles, self.troubles


@pytest.fixture
def visit(chromium, studio):
    """Open the page: ``visit()`` gives a person; each is checked for trouble at the end."""
    people = []

    def arrive(url=None, **context):
        person = Person(chromium, url or studio.url, **context)
        people.append(person)
        return person.open()

    yield arrive
    for person in people:
        person.leave()


@pytest.fixture
def person(visit):
    return visit()
