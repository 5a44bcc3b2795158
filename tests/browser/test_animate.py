"""Films in a real browser, with a real engine and a small random model: from nothing to a playing result, by mouse and by keyboard."""

import time

import pytest
from real_studio import real_context
from toys import save_toy, toy_stylegan2

from studio.media import inspect_media
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
        "document.querySelector('video.large')?.videoWidth > 0 && !document.querySelector('video.large').hidden", timeout=WAIT
    )
    return page.evaluate("document.querySelector('video.large').duration")


def test_a_film_from_nothing_to_a_playing_result_with_the_mouse_only(visit):
    person = visit()
    page = person.random().page
    page.get_by_role("tab", name="Animate").click()
    page.get_by_role("button", name="Choose all").click(timeout=WAIT)
    page.get_by_role("button", name="Make a film").click()
    person.wait_say("A film through 2 pictures.")
    assert page.evaluate("studio.film.value.film.loop")
    page.wait_for_selector("#studio-animate .studio-canvas[data-index='0']:not([hidden])")
    key = page.locator(".film-key.place").nth(1).bounding_box()
    page.mouse.move(key["x"] + 20, key["y"] + 20)
    page.mouse.down()
    page.mouse.move(key["x"] + 140, key["y"] + 20, steps=6)
    page.mouse.up()
    page.wait_for_function("studio.film.value.film.latents[0].keys[1].time > 3.5 && studio.film.steps.undo === 1")
    page.evaluate("studio.film.edit((film) => { film.seconds = 0.5; film.latents[0].keys[1].time = 0.25; })")
    page.wait_for_function("studio.film.facts.count === 15")
    page.get_by_role("button", name="Render").click()
    page.get_by_role("button", name="Show in Gallery").click(timeout=WAIT)
    assert plays(page) == pytest.approx(0.5, abs=0.05)


def test_a_film_from_nothing_to_a_playing_result_with_the_keyboard_only(visit):
    person = visit()
    page = person.page
    page.keyboard.press("5")
    page.wait_for_selector("#studio-animate .studio-widget[data-ready]", timeout=WAIT)
    page.keyboard.press("k")
    page.wait_for_function("studio.film.places()?.keys.length === 1", timeout=WAIT)
    page.keyboard.press("1")
    page.keyboard.press("r")
    person.settled()
    page.keyboard.press("5")
    for _ in range(3):
        page.keyboard.press(".")
    page.keyboard.press("k")
    page.wait_for_function("studio.film.places()?.keys.length === 2")
    key = page.locator(".film-key.place").nth(1)
    key.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("Math.abs(studio.film.places().keys[1].time - 4 / 30) < 1e-6 && studio.film.steps.undo === 2")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Time of the keyframe, seconds"
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.classList.contains('film-key')")
    page.keyboard.press("Delete")
    page.wait_for_function("studio.film.places().keys.length === 1")
    page.keyboard.press("z")
    page.wait_for_function("studio.film.places().keys.length === 2")
    shorten(page)
    page.get_by_role("tab", name="Animate").focus()
    page.keyboard.press("s")
    look = page.get_by_role("button", name="Show in Gallery").first
    look.wait_for(timeout=WAIT)
    look.focus()
    page.keyboard.press("Enter")
    assert plays(page) == pytest.approx(0.5, abs=0.05)


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


@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_nothing_of_a_film_scrolls_sideways(visit, size):
    page = visit(viewport={"width": size[0], "height": size[1]}).page
    page.evaluate("studio.tabs.show('animate')")
    page.get_by_role("button", name="Four at random").click(timeout=WAIT)
    page.wait_for_selector(".film-key.place")
    wide = page.evaluate(
        """() => [document.documentElement, ...document.querySelectorAll("#studio-animate :is(.studio-side, .film-bar, .studio-group)")]
            .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.className || part.tagName)"""
    )
    assert wide == []
