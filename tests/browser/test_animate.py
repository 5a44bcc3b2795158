"""Films in a real browser, with a real engine and a small random model: from nothing to a playing result, by mouse and by keyboard."""

import time
import wave

import numpy as np
import pytest
from films import film_recipe
from real_studio import real_context
from toys import save_toy, toy_stylegan2

from studio.media import inspect_media, probe_film, write_film
from studio.ui import jobs_drawer

WAIT = 60_000


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    ctx = real_context(tmp_path_factory.mktemp("real"), models=False)
    save_toy(ctx.settings.models, "waves", toy_stylegan2(16))
    yield serve(ctx)
    ctx.sessions.parts[jobs_drawer.PART].close()


def shorten(page, seconds="0.5"):
    field = page.get_by_label("Length, seconds", exact=True)
    field.fill(seconds)
    field.press("Enter")
    page.wait_for_function("(seconds) => studio.film.facts.seconds === Number(seconds)", arg=seconds, timeout=WAIT)


def plays(page):
    page.wait_for_function(
        """() => { const video = document.querySelector('video.large');
            return video?.videoWidth > 0 && !video.hidden && !video.paused && video.currentTime > 0; }""",
        timeout=WAIT,
    )
    return page.evaluate("document.querySelector('video.large').duration")


def done_job(title):
    return f".film-job[data-state=done]:has(b[title='{title}'])"


class Hand:
    """Somebody who has a mouse and no keyboard: everything goes through the pointer and its wheel."""

    def __init__(self, page):
        self.page = page

    def find(self, locator):
        """Wait until something can be used, turn the wheel over its column until it is in sight; its middle."""
        locator.wait_for(timeout=WAIT)
        for _ in range(60):
            found = locator.evaluate(
                """(node) => {
                    const box = node.getBoundingClientRect(), [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                    const seen = document.elementFromPoint(x, y);
                    const column = (node.closest(".studio-side, .studio-page") || document.body).getBoundingClientRect();
                    return { x, y, isSeen: !!seen && (node.contains(seen) || seen.contains(node)) && !node.disabled,
                             column: [column.x + 4, column.y + column.height / 2], isBelow: y > column.y + column.height / 2 };
                }"""
            )
            if found["isSeen"]:
                return found["x"], found["y"]
            self.page.mouse.move(*found["column"])
            self.page.mouse.wheel(0, 60 if found["isBelow"] else -60)
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{locator} cannot be reached with the wheel")

    def click(self, locator):
        self.page.mouse.move(*self.find(locator))
        self.page.mouse.down()
        self.page.mouse.up()

    def drag(self, locator, right):
        x, y = self.find(locator)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + right, y, steps=6)
        self.page.mouse.up()


def test_a_film_from_nothing_to_a_playing_result_with_the_mouse_only(visit):
    person = visit()
    page = person.page
    hand = Hand(page)
    hand.click(page.get_by_role("button", name="Random", exact=True))
    page.wait_for_function("studio.stripItems().length === 2", timeout=WAIT)
    hand.click(page.get_by_role("tab", name="Animate"))
    hand.click(page.get_by_role("button", name="Choose all"))
    page.wait_for_selector(".film-choice[aria-pressed=true]")
    hand.click(page.get_by_role("button", name="Make a film"))
    person.wait_say("A film through 2 pictures.")
    assert page.evaluate("studio.film.value.film.loop")
    page.wait_for_selector("#studio-animate .studio-canvas[data-index='0']:not([hidden])")
    hand.drag(page.locator(".film-key.place").nth(1), 120)
    page.wait_for_function("studio.film.value.film.latents[0].keys[1].time > 3.5 && studio.film.steps.undo === 1")
    length = page.get_by_label("Length, seconds", exact=True)
    hand.click(length)
    for seconds in (5, 4, 3, 2, 1):
        page.mouse.wheel(0, 10)
        page.wait_for_function(f"document.activeElement.value === '{seconds}'")
    page.wait_for_function("studio.film.facts.count === 30", timeout=WAIT)
    hand.click(page.get_by_role("button", name="Render"))
    hand.click(page.locator(done_job("waves, 1 s")).get_by_role("button", name="Show in Gallery"))
    assert plays(page) == pytest.approx(1.0, abs=0.05)


class Typist:
    """Somebody who has a keyboard and no mouse: goes on with Tab until what is wanted has the focus."""

    def __init__(self, page):
        self.page = page

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def go(self, name):
        """Go to a tab of the page by its number."""
        titles = self.page.evaluate("studio.tabs.list().map((tab) => tab.textContent.trim())")
        self.press(str(titles.index(name) + 1))

    def tab_to(self, selector, most=120):
        for _ in range(most):
            self.press("Tab")
            if self.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} cannot be reached with Tab")


def test_a_film_from_nothing_to_a_playing_result_with_the_keyboard_only(visit):
    person = visit()
    page = person.page
    typist = Typist(page)
    typist.go("Animate")
    page.wait_for_selector("#studio-animate .studio-widget[data-ready]", timeout=WAIT)
    typist.press("k")
    page.wait_for_function("studio.film.places()?.keys.length === 1", timeout=WAIT)
    typist.go("Explore")
    typist.press("r")
    person.settled()
    typist.go("Animate")
    typist.press(".", ".", ".", "k")
    page.wait_for_function("studio.film.places()?.keys.length === 2")
    typist.tab_to(".film-key.place:nth-of-type(2)")
    typist.press("ArrowRight")
    page.wait_for_function("Math.abs(studio.film.places().keys[1].time - 4 / 30) < 1e-6 && studio.film.steps.undo === 2")
    typist.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Time of the keyframe, seconds"
    typist.press("Escape")
    page.wait_for_function("document.activeElement.classList.contains('film-key')")
    typist.press("Delete")
    page.wait_for_function("studio.film.places().keys.length === 1")
    typist.press("z")
    page.wait_for_function("studio.film.places().keys.length === 2")
    typist.tab_to("[aria-label='Length, seconds']")
    page.keyboard.type("0.5")
    typist.press("Enter")
    page.wait_for_function("studio.film.facts.seconds === 0.5", timeout=WAIT)
    typist.press("s")
    page.wait_for_selector(done_job("waves, 0.5 s"), timeout=WAIT)
    typist.tab_to(f"{done_job('waves, 0.5 s')} .studio-button:not([hidden])")
    assert page.evaluate("document.activeElement.textContent") == "Show in Gallery"
    typist.press("Enter")
    assert plays(page) == pytest.approx(0.5, abs=0.05)


def write_clicks(path, seconds=1.5):
    """A sound with a click every quarter of a second."""
    rate = 22_050
    y = np.zeros(round(seconds * rate))
    burst = np.sin(np.arange(800) / 4) * np.exp(-np.arange(800) / 150)
    for start in range(2000, len(y) - 800, rate // 4):
        y[start : start + 800] += 0.8 * burst
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((y * 32767).astype("<i2").tobytes())
    return path


def test_a_sound_is_taken_in_moves_the_film_and_is_heard_in_the_result(visit, studio, tmp_path):
    person = visit()
    page = person.page
    page.get_by_role("tab", name="Animate").click()
    page.wait_for_selector("#studio-animate .studio-widget[data-ready]", timeout=WAIT)
    person.drop(write_clicks(tmp_path / "clicks.wav"))
    page.wait_for_function("document.getElementById('studio-status').textContent.includes('joins the film')", timeout=3 * WAIT)
    page.get_by_text("clicks.wav: here, and joins the film that you make.").wait_for()
    page.get_by_role("button", name="Four at random").click()
    page.wait_for_function("studio.film.facts.sounds.length === 1", timeout=WAIT)
    page.get_by_text("clicks.wav: here, and joins the film that you make.").wait_for(state="hidden")
    page.locator(".film-row[data-kind=sound]").wait_for()
    page.get_by_role("button", name="Film as long as the sound").click()
    page.wait_for_function("studio.film.facts.count === 45", timeout=WAIT)
    page.get_by_label("Preset", exact=True).select_option("lucid")
    page.wait_for_function("studio.film.value.film.matrix.length > 0", timeout=WAIT)
    assert page.get_by_label("Preset", exact=True).input_value() == "lucid"
    page.get_by_label("Onsets moves Place, push").wait_for()
    ruler = page.locator(".film-track[data-kind=ruler]").bounding_box()
    page.mouse.click(ruler["x"] + ruler["width"] / 2, ruler["y"] + 8)
    page.wait_for_selector("#studio-animate .studio-canvas[data-index='23']", timeout=WAIT)
    page.get_by_role("button", name="5 s preview").click()
    page.wait_for_function("document.querySelector('.film-video').videoWidth > 0", timeout=WAIT)
    page.get_by_role("button", name="Render").click()
    page.locator(done_job("waves, 1.5 s, clicks")).get_by_role("button", name="Show in Gallery").click(timeout=WAIT)
    assert plays(page) == pytest.approx(1.5, abs=0.05)
    with page.expect_download() as fetched:
        page.get_by_role("button", name="Download").click()
    fetched.value.save_as(tmp_path / "film.mp4")
    assert probe_film(tmp_path / "film.mp4").frames == 45
    with page.expect_download() as fetched:
        page.locator(".studio-look").get_by_role("button", name="Contact sheet").click()
    assert fetched.value.suggested_filename.endswith("-sheet.jpg")
    facts = [probe_film(file) for file in studio.ctx.settings.pictures.glob("*.mp4")]
    found = next(each for each in facts if each.frames == 45)
    assert float(found.sound.duration) == pytest.approx(1.5, abs=0.05)


def test_a_zip_of_frames_brings_its_film_back(visit, tmp_path):
    recipe = film_recipe(model="waves")
    frames = [np.full((16, 16, 3), shade, np.uint8) for shade in range(12)]
    write_film(tmp_path / "frames.zip", frames, rate=24, recipe=recipe)
    person = visit()
    person.drop(tmp_path / "frames.zip")
    person.wait_say("Everything is as it was for frames.zip")
    assert person.page.evaluate("studio.film.value.film.latents[0].keys.map((key) => key.latent.x)") == [1, 5, 9]


def film_of(studio, places):
    """Wait for a film with so many places among the pictures; other tests' films have fewer."""
    end = time.monotonic() + WAIT / 1000
    while time.monotonic() < end:
        for file in studio.ctx.settings.pictures.glob("*.mp4"):
            if len(inspect_media(file).recipe.film.latents[0].keys) == places:
                return file
        time.sleep(0.2)
    raise AssertionError(f"no film with {places} places")


def test_a_film_and_its_job_survive_a_reload_and_its_file_brings_it_back(visit, studio):
    person = visit()
    page = person.random().page
    page.get_by_role("tab", name="Animate").click()
    page.get_by_role("button", name="Four at random").click(timeout=WAIT)
    person.wait_say("A film through 4 pictures.")
    shorten(page, "0.2")
    film = page.evaluate("studio.film.value.film")
    page.reload()
    person.ready()
    page.wait_for_function("studio.film.value !== null", timeout=WAIT)
    assert page.evaluate("studio.film.value.film") == film
    page.get_by_role("button", name="Render").click()
    file = film_of(studio, 4)
    page.reload()
    person.ready()
    page.get_by_role("button", name="Films in the making").click()
    page.get_by_role("button", name="Show in Gallery").first.wait_for(timeout=WAIT)
    page.evaluate("studio.film.edit((film) => { film.latents[0].keys.pop(); })")
    person.drop(file)
    person.wait_say("Everything is as it was for")
    assert page.evaluate("studio.film.value.film.latents[0].keys.length") == 4


def test_frames_in_a_zip_are_fetched_from_the_list_and_carry_their_recipe(visit, tmp_path):
    person = visit()
    page = person.page
    page.evaluate("studio.tabs.show('animate')")
    page.get_by_role("button", name="Four at random").click(timeout=WAIT)
    person.wait_say("A film through 4 pictures.")
    shorten(page, "0.3")
    page.get_by_label("Format", exact=True).select_option("png")
    page.get_by_role("group", name="Film", exact=True).locator("summary", has_text="More").click()
    page.get_by_label("Enlarge with").wait_for()
    assert page.get_by_label("Quality", exact=True).is_hidden()
    page.get_by_role("button", name="Render").click()
    job = page.locator(done_job("waves, 0.3 s"))
    with page.expect_download(timeout=WAIT) as fetched:
        job.get_by_role("button", name="Download").click(timeout=WAIT)
    assert job.get_by_role("button", name="Show in Gallery").is_hidden()
    fetched.value.save_as(tmp_path / "frames.zip")
    found = inspect_media(tmp_path / "frames.zip")
    assert (found.format, found.recipe.film.seconds) == ("ZIP", 0.3)


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_nothing_of_a_film_scrolls_sideways(visit, size):
    page = visit(viewport={"width": size[0], "height": size[1]}).page
    page.evaluate("studio.tabs.show('animate')")
    page.get_by_role("button", name="Four at random").click(timeout=WAIT)
    page.wait_for_selector(".film-key.place")
    wide = page.evaluate(
        """() => [document.documentElement,
                ...document.querySelectorAll("#studio-animate :is(.studio-stage, .studio-actions, .studio-side, .film-bar, .studio-group)")]
            .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.className || part.tagName)"""
    )
    assert wide == []
    render = page.get_by_role("button", name="Render").bounding_box()
    assert render["x"] + render["width"] <= size[0]
