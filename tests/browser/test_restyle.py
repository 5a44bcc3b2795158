"""Restyle in a real browser, with the real engine and small translators."""

import numpy as np
import pytest
from real_studio import real_context

from studio.gallery import Gallery
from studio.media import read_image, write_image
from studio.restyle import read_mask

WAIT = 60_000
FULL = ".studio-viewer[data-quality=full]"


@pytest.fixture(scope="module")
def studio(tmp_path_factory, serve):
    """A studio with a generator and two translators."""
    return serve(real_context(tmp_path_factory.mktemp("real")))


@pytest.fixture
def photo(tmp_path):
    image = np.random.default_rng(3).integers(0, 256, (48, 72, 3), dtype=np.uint8)
    return write_image(tmp_path / "lake.png", image).path


def dropped(person, file):
    """Drop a photo on whatever tab is open and wait for its restyled picture."""
    person.drop(file)
    person.page.wait_for_selector(f'.studio-viewer[data-quality=full] img[alt^="After: {file.name},"]', timeout=WAIT)


def quiet(person):
    """Wait until no photo is at work."""
    person.page.wait_for_function("!document.querySelector('.studio-photo[data-busy]')", timeout=WAIT)
    person.page.wait_for_selector(FULL, timeout=WAIT)


def strength_box(person):
    return person.page.locator("#studio-restyle").get_by_label("Strength, as a number")


def set_strength(person, value):
    box = strength_box(person)
    box.fill(value)
    box.press("Enter")
    quiet(person)


def saved(person, studio):
    person.page.get_by_role("button", name="Save", exact=True).click()
    person.page.wait_for_function("document.getElementById('studio-status').textContent.includes('Saved')", timeout=WAIT)
    return Gallery(studio.ctx.settings.pictures).items()[0]


def test_a_photo_dropped_anywhere_comes_back_restyled_at_its_own_size(studio, visit, shared_data):
    person = visit()
    file = sorted((shared_data / "photos_kodak").glob("*.jpg"))[0]
    source = read_image(file)
    dropped(person, file)
    assert person.page.get_by_role("tab", name="Restyle").get_attribute("aria-selected") == "true"
    sizes = person.page.evaluate(
        "[...document.querySelectorAll('.studio-plate img')].map((image) => [image.naturalWidth, image.naturalHeight])"
    )
    assert sizes == [[source.width, source.height]] * 2
    item = saved(person, studio)
    picture = read_image(item.path)
    assert (picture.width, picture.height) == (source.width, source.height)
    assert picture.recipe.restyle.source_sha256 == source.sha256
    assert not np.array_equal(picture.image, source.image)


def test_a_restyled_picture_dropped_on_the_page_brings_every_control_back(studio, person, photo):
    dropped(person, photo)
    set_strength(person, "0.4")
    person.page.locator(".studio-toggle", has_text="Keep colours").click()
    quiet(person)
    item = saved(person, studio)
    set_strength(person, "1")
    person.page.locator(".studio-toggle", has_text="Keep colours").click()
    quiet(person)
    person.page.get_by_role("tab", name="Explore").click()
    person.drop(item.path)
    person.page.wait_for_function("document.getElementById('studio-status').textContent.includes('as it was')", timeout=WAIT)
    assert strength_box(person).input_value() == "0.4"
    assert person.page.locator(".studio-toggle", has_text="Keep colours").locator("input").is_checked()


def test_photos_and_their_settings_survive_a_reload(person, photo):
    dropped(person, photo)
    person.page.locator(".studio-style").nth(1).click()
    quiet(person)
    set_strength(person, "0.55")
    person.page.reload()
    person.page.wait_for_selector(FULL, timeout=WAIT)
    assert strength_box(person).input_value() == "0.55"
    assert person.page.locator(".studio-style").nth(1).get_attribute("aria-checked") == "true"
    assert person.page.locator(".studio-photo").count() == 1


def test_several_photos_keep_a_state_of_their_own_and_undo_is_per_photo(person, photo, tmp_path):
    other = write_image(tmp_path / "hill.png", np.full((40, 40, 3), 90, np.uint8)).path
    dropped(person, photo)
    dropped(person, other)
    set_strength(person, "0.2")
    strength = strength_box(person)
    person.page.get_by_role("button", name="lake.png", exact=True).click()
    quiet(person)
    assert strength.input_value() == "1"
    person.page.get_by_role("button", name="hill.png", exact=True).click()
    quiet(person)
    assert strength.input_value() == "0.2"
    person.page.locator(".studio-photo .picture").first.focus()
    person.page.keyboard.press("z")
    person.page.wait_for_function("document.querySelector('#studio-restyle [aria-label=\"Strength, as a number\"]').value === '1'")


def test_the_edge_moves_by_keyboard_and_both_pictures_zoom_in_step(person, photo):
    dropped(person, photo)
    page = person.page
    page.get_by_role("slider", name="Edge between before and after").focus()
    before = page.evaluate("document.querySelector('.studio-edge').style.left")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('.studio-edge').style.left") != before
    page.get_by_role("button", name="Larger").click()
    transforms = page.evaluate("[...document.querySelectorAll('.studio-plate img')].map((image) => image.style.transform)")
    assert transforms[0] == transforms[1]


def test_a_photo_removed_from_the_row_comes_back_with_undo(person, photo):
    dropped(person, photo)
    person.page.locator(".studio-photo").hover()
    person.page.get_by_role("button", name="Remove lake.png").click()
    person.page.wait_for_selector(".studio-viewer .studio-empty:not([hidden])")
    person.page.get_by_role("button", name="Undo remove").click()
    person.page.wait_for_selector(FULL, timeout=WAIT)


def test_a_file_that_is_no_picture_says_so_beside_the_controls(person, tmp_path):
    fake = tmp_path / "lake.jpg"
    fake.write_bytes(b"<html>not found</html>")
    person.drop(fake)
    person.page.wait_for_function("document.getElementById('studio-status').dataset.kind === 'error'", timeout=WAIT)
    assert "lake.jpg" in person.say()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_nothing_of_restyle_is_cut_off(visit, photo, size):
    person = visit(viewport={"width": size[0], "height": size[1]})
    dropped(person, photo)
    assert person.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for selector in (".studio-viewer", ".studio-style", "#studio-restyle .studio-actions .primary"):
        box = person.page.locator(selector).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size[0]
        assert box["y"] + box["height"] <= size[1]


def test_strokes_a_second_style_and_a_painted_mask_reach_the_saved_recipe(studio, visit, photo):
    person = visit()
    dropped(person, photo)
    tab = person.page.locator("#studio-restyle")
    box = tab.get_by_label("Stroke size, as a number")
    box.fill("2")
    box.press("Enter")
    quiet(person)
    for label in ("Mix with", "Then"):
        tab.get_by_label(label).select_option(index=1)
        quiet(person)
    tab.get_by_text("Brush", exact=True).click()
    frame = person.page.locator("#studio-restyle .studio-viewer").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    person.page.mouse.move(x, y)
    person.page.mouse.down()
    person.page.mouse.move(x + 40, y + 10, steps=4)
    person.page.mouse.up()
    quiet(person)
    wishes = Gallery(studio.ctx.settings.pictures).recipe(saved(person, studio).id).restyle
    assert wishes.texture_scale == 2 and len(wishes.mix) == 1 and len(wishes.then) == 1
    mask = read_mask(wishes.mask)
    assert mask.max() == 255 and mask.min() == 0 and (mask > 0).mean() < 0.5
