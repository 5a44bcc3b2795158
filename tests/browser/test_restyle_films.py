"""A film in Restyle in a real browser, from the drop to the finished film beside it, with the real engine and small translators."""

import numpy as np
import pytest
from film_synthesis import square_film, write_tone
from real_studio import real_context

from studio import media
from studio.gallery import Gallery
from studio.ui import jobs_drawer

WAIT = 120_000
FILMS = "[...document.querySelectorAll('.studio-plate video')]"
FACTS = "[...document.querySelectorAll('.restyle-facts dd')].map((entry) => entry.textContent)"
BEFORE = "document.querySelector('.studio-viewer[data-quality=full] .studio-plate img')?.src"


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    """A studio with a generator, two translators, and a list of jobs that is worked off."""
    ctx = real_context(tmp_path_factory.mktemp("films"))
    yield serve(ctx)
    ctx.sessions.parts[jobs_drawer.PART].close()


@pytest.fixture
def film(tmp_path):
    """Two seconds of a square that walks, with a tone."""
    tone = write_tone(tmp_path / "tone.m4a", 2.0)
    path = tmp_path / "walk.mp4"
    media.write_film(path, square_film(24), rate=12, sound=media.Sound(tone, mode="copy"))
    return path


def shown(person, name):
    """Wait until a file is there, before and after."""
    person.page.wait_for_selector(f'.studio-viewer[data-quality=full] .studio-plate img[alt^="After: {name},"]', timeout=WAIT)


def test_a_dropped_film_is_scrubbed_cut_restyled_and_watched_beside_its_original(studio, visit, film):
    person = visit()
    page = person.page
    person.drop(film)
    shown(person, "walk.mp4")
    tab = page.locator("#studio-restyle")
    assert page.get_by_role("tab", name="Restyle").get_attribute("aria-selected") == "true"
    for words in ("2.00 s, 24 frames", "12 frames per second", "AAC"):
        assert tab.locator(".restyle-facts").get_by_text(words, exact=True).is_visible()
    page.wait_for_function(f"{FACTS}.some((words) => words.startsWith('about '))", timeout=WAIT)

    first = page.evaluate(BEFORE)
    moment = tab.get_by_label("Moment of the film")
    moment.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"(first) => {BEFORE} && {BEFORE} !== first", arg=first, timeout=WAIT)
    assert moment.input_value() == "6" and tab.locator(".restyle-clock").inner_text() == "0:00.50 / 0:02.00"
    tab.get_by_role("button", name="From here").click()
    box = tab.get_by_label("To, in seconds")
    box.fill("1.5")
    box.press("Enter")
    page.wait_for_function(f"{FACTS}.includes('12')", timeout=WAIT)

    tab.get_by_role("button", name="Restyle film").click()
    page.wait_for_selector(".restyle-job:not([hidden])", timeout=WAIT)
    tab.get_by_role("radio", name="Finished film").check(timeout=WAIT)
    page.wait_for_function(f"{FILMS}.length === 2 && {FILMS}[1].currentTime > 0", timeout=WAIT)
    tab.get_by_role("button", name="Pause", exact=True).click()
    moment.fill("12")
    page.wait_for_function(f"{FILMS}.every((film) => film.paused && !film.seeking)", timeout=WAIT)
    times = page.evaluate(f"{FILMS}.map((film) => film.currentTime)")
    assert times == pytest.approx([12.5 / 12, 12.5 / 12 - 0.5], abs=0.01)
    assert page.evaluate(f"{FILMS}.map((film) => film.muted)") == [True, False]

    item = Gallery(studio.ctx.settings.pictures).items("is:film")[0]
    made = media.probe_film(item.path)
    assert (made.frames, made.sound.codec, made.recipe.restyle.source_name) == (12, "aac", "walk.mp4")
    page.reload()
    person.ready()
    tab.get_by_role("radio", name="Finished film").wait_for(timeout=WAIT)
    assert tab.get_by_label("From, in seconds").input_value() == "0.5"


def test_a_mixed_drop_takes_what_it_can_and_names_what_it_cannot(visit, film, tmp_path):
    person = visit()
    picture = media.write_image(tmp_path / "lake.png", np.full((24, 32, 3), 120, np.uint8)).path
    broken = tmp_path / "torn.mp4"
    broken.write_bytes(b"<html>")
    person.drop_all([broken, film, picture])
    shown(person, "walk.mp4")
    note = person.page.locator(".studio-asking")
    note.get_by_text("1 of 3 files could not be opened:").wait_for(timeout=WAIT)
    assert "torn.mp4" in note.locator("li").inner_text()
    assert person.page.locator(".studio-photo").count() == 2
    person.page.get_by_role("button", name="Try 2 s").click()
    person.page.get_by_role("radio", name="Finished film").wait_for(timeout=WAIT)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_nothing_of_a_film_is_cut_off(visit, film, size):
    person = visit(viewport={"width": size[0], "height": size[1]})
    person.drop(film)
    shown(person, "walk.mp4")
    assert person.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for selector in (".studio-viewer", ".restyle-film-line", "#studio-restyle .studio-actions .primary:not([hidden])"):
        box = person.page.locator(selector).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size[0]
        assert box["y"] + box["height"] <= size[1]


def drop_folder(person, folder):
    """Drop a folder as the browser does it."""
    devtools = person.context.new_cdp_session(person.page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})


def test_a_dropped_folder_is_restyled_saved_and_laid_out_on_a_contact_sheet(studio, visit, tmp_path):
    (tmp_path / "walk" / "day 2").mkdir(parents=True)
    for place, name in enumerate(("lake.png", "day 2/hill.png")):
        media.write_image(tmp_path / "walk" / name, np.full((24, 32, 3), 60 + 90 * place, np.uint8))
    (tmp_path / "walk" / "torn.jpg").write_bytes(b"<html>")
    (tmp_path / "walk" / "notes.txt").write_text("not a picture")
    person = visit()
    drop_folder(person, tmp_path / "walk")
    note = person.page.locator(".studio-asking")
    note.get_by_text("1 of 3 files could not be opened:").wait_for(timeout=WAIT)
    assert "torn.jpg" in note.locator("li").inner_text()
    names = person.page.locator(".studio-photo .picture").evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    assert names == ["hill.png", "lake.png"]
    before = len(Gallery(studio.ctx.settings.pictures).items())
    person.page.get_by_role("button", name="Save all").click()
    note.get_by_text("2 of 2 photos are saved.").wait_for(timeout=WAIT)
    with person.page.expect_download(timeout=WAIT) as download:
        note.get_by_role("button", name="Contact sheet").click()
    assert download.value.suggested_filename == "contact-sheet-2.jpg"
    assert len(Gallery(studio.ctx.settings.pictures).items()) == before + 2
