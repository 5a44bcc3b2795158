"""The gallery in a real browser: everything made, found again and returned to."""

import re

import pytest

from studio.gallery import Gallery


@pytest.fixture
def filled(studio, person):
    """Somebody with three saved pictures, looking at the gallery."""
    for _ in range(3):
        person.random()
        person.page.get_by_role("button", name="Save", exact=True).click()
        person.wait_say("Saved")
    person.page.get_by_role("tab", name="Gallery").click()
    person.page.wait_for_selector(".studio-tile img[src]")
    return person


def tiles(person):
    return person.page.locator(".studio-tile")


def test_a_saved_picture_is_found_by_its_seed_and_brings_every_control_back(filled):
    page = filled.page
    wanted = filled.recipe()
    seed = int(wanted["latent"]["x"] + 100 * wanted["latent"]["y"])
    page.get_by_role("tab", name="Explore").click()
    filled.random()
    page.get_by_role("tab", name="Gallery").click()
    page.get_by_role("searchbox").or_(page.locator(".studio-search")).first.fill(f"seed:{seed}")
    page.wait_for_function("document.querySelectorAll('.studio-tile').length === 1")
    tiles(filled).locator(".picture").click()
    page.get_by_role("button", name="Return to this").click()
    page.wait_for_function("(x) => studio.recipe.value.latent.x === x", arg=wanted["latent"]["x"])
    filled.wait_code(wanted)


def test_removed_pictures_come_back_with_one_button(filled):
    page = filled.page
    before = tiles(filled).count()
    first, second = tiles(filled).nth(0), tiles(filled).nth(1)
    first.hover()
    first.locator(".choose").click()
    second.hover()
    second.locator(".choose").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.wait_for_function("(n) => document.querySelectorAll('.studio-tile').length === n", arg=before - 2)
    page.get_by_role("button", name="Undo remove").click()
    page.wait_for_function("(n) => document.querySelectorAll('.studio-tile').length === n", arg=before)


def test_stars_and_tags_are_kept_and_searched(studio, filled):
    page = filled.page
    tiles(filled).nth(0).locator(".picture").click()
    page.get_by_label("New tag").fill("blue mood")
    page.get_by_label("New tag").press("Enter")
    page.get_by_role("button", name="Take the tag blue mood away").wait_for()
    page.locator(".studio-look").get_by_role("button", name="Star", exact=True).click()
    filled.wait_say("has a star")
    page.keyboard.press("Escape")
    page.locator(".studio-toggle", has_text="Starred").click()
    page.wait_for_function("document.querySelectorAll('.studio-tile').length === 1")
    page.locator(".studio-search").fill('tag:"blue mood"')
    page.wait_for_function("document.querySelectorAll('.studio-tile').length === 1")
    found = Gallery(studio.ctx.settings.pictures).items('tag:"blue mood"', starred=True)
    assert len(found) == 1


def test_chosen_pictures_go_across_the_top_of_the_mixing_sheet(filled):
    page = filled.page
    page.get_by_role("tab", name="Mix").click()
    page.wait_for_function("localStorage.getItem('studio.mix.v1') !== null")
    before = len(page.evaluate("JSON.parse(localStorage.getItem('studio.mix.v1')).cols"))
    page.get_by_role("tab", name="Gallery").click()
    tile = tiles(filled).nth(0)
    tile.hover()
    tile.locator(".choose").click()
    page.get_by_role("button", name="To Mix").click()
    page.wait_for_function("(n) => JSON.parse(localStorage.getItem('studio.mix.v1')).cols.length === n + 1", arg=before)
    assert page.get_by_role("tab", name="Mix").get_attribute("aria-selected") == "true"


def test_a_contact_sheet_and_a_copy_without_recipe_can_be_taken_along(filled, tmp_path):
    from studio.media import read_image

    page = filled.page
    for i in range(2):
        tiles(filled).nth(i).hover()
        tiles(filled).nth(i).locator(".choose").click()
    with page.expect_download() as sheet:
        page.get_by_role("button", name="Contact sheet").click()
    sheet.value.save_as(tmp_path / "sheet.jpg")
    assert read_image(tmp_path / "sheet.jpg").width > 2 * 128
    tiles(filled).nth(0).locator(".picture").click()
    with page.expect_download() as copy:
        page.get_by_role("button", name="Without recipe").click()
    copy.value.save_as(tmp_path / "copy.png")
    plain = read_image(tmp_path / "copy.png")
    assert plain.recipe is None
    assert plain.marks.is_generated


def test_nothing_of_the_gallery_sticks_out_on_a_phone(visit):
    person = visit(viewport={"width": 390, "height": 844})
    person.page.get_by_role("tab", name=re.compile("Gallery")).or_(person.page.locator(".overflow-menu button")).first.click()
    assert person.page.evaluate("document.documentElement.scrollWidth") <= 390
